import { createHash } from "node:crypto";
import stringify from "fast-json-stable-stringify";

/** SHA-256 of a JSON-able value as 64 hex digits; the order of keys does not matter, that of lists does. */
export function digestOf(value: unknown): string {
  return createHash("sha256").update(stringify(value)).digest("hex");
}
