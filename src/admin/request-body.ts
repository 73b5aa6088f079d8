import type { IncomingMessage } from "node:http";
import { AdminError } from "./reply.ts";

/** Largest accepted body, in bytes. */
export const MAX_BODY_BYTES = 64 * 1024;

/** Longest accepted `reason`, in characters. */
export const MAX_REASON_LENGTH = 512;

/** A JSON object as a caller sent it; empty when there was no body. */
export type JsonBody = Readonly<Record<string, unknown>>;

/** Reads a JSON object and refuses fields that nobody would read. */
export async function readJsonBody(request: IncomingMessage, fields: readonly string[]): Promise<JsonBody> {
  const text = await readText(request);
  if (text.trim() === "") return {};
  const body = objectFromText(text);
  const unknown = Object.keys(body).find((name) => !fields.includes(name));
  if (unknown === undefined) return body;
  const allowed = fields.length === 0 ? "no fields are understood here" : `allowed: ${fields.join(", ")}`;
  throw new AdminError(400, "bad_request", `${JSON.stringify(unknown)} is not understood; ${allowed}.`);
}

/** The `reason` of a change; "" when none was given. */
export function reasonOf(body: JsonBody): string {
  const { reason } = body;
  if (reason === undefined || reason === null) return "";
  if (typeof reason === "string" && reason.length <= MAX_REASON_LENGTH && !CONTROL_CHARACTER.test(reason))
    return reason;
  throw badField("reason", reason, `is not a text of at most ${MAX_REASON_LENGTH} characters on one line`);
}

/** The `routes` of a kill; null when none were given, which means all. */
export function routesOf(body: JsonBody): readonly string[] | null {
  const { routes } = body;
  if (routes === undefined || routes === null) return null;
  const names = Array.isArray(routes) ? (routes as readonly unknown[]) : [];
  if (names.length > 0 && names.every((name) => typeof name === "string")) return [...new Set(names)];
  throw badField("routes", routes, "is not a list of route names; leave it out to mean all routes");
}

/** The error of one field. */
export function badField(name: string, value: unknown, message: string): AdminError {
  const printed = JSON.stringify(value) ?? "nothing";
  return new AdminError(400, "bad_request", `${name}: ${printed.slice(0, 200)} ${message}.`);
}

// eslint-disable-next-line no-control-regex
const CONTROL_CHARACTER = /[\u0000-\u001f\u007f]/;

function objectFromText(text: string): JsonBody {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new AdminError(400, "bad_json", `The body is not JSON: ${(error as Error).message}.`);
  }
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as JsonBody;
  throw new AdminError(400, "bad_json", "The body is not a JSON object.");
}

async function readText(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  // The stream must outlive a refusal, or the connection is gone before the answer.
  for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_BODY_BYTES) {
      throw new AdminError(413, "body_too_large", `The body is larger than ${MAX_BODY_BYTES} bytes.`);
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}
