import type { Issue } from "./issue.ts";
import { suggestion } from "./nearest.ts";
import type { Path } from "./schema-walk.ts";
import { HEADER_RULE, isToken } from "./texts.ts";
import { entriesOf, fieldOf } from "./tree-edit.ts";
import { durationFromText, shareFromText } from "./units.ts";
import type { Parsed } from "./units.ts";

/** Header names of a map must be tokens, and differ in more than case. */
export function checkHeaderNames(path: Path, headers: unknown, issues: Issue[]): void {
  const seen = new Set<string>();
  for (const [name] of entriesOf(headers)) {
    const lower = name.toLowerCase();
    if (!isToken(name)) issues.push({ path: [...path, name], value: undefined, message: HEADER_RULE });
    else if (seen.has(lower))
      issues.push({ path: [...path, name], value: undefined, message: "is given twice; header names have no case" });
    seen.add(lower);
  }
}

/** Of these header names none may be in a map; `why` follows the name. */
export function refuseHeaderNames(
  path: Path,
  headers: unknown,
  isRefused: (lowerName: string) => boolean,
  why: string,
  issues: Issue[],
): void {
  for (const [name] of entriesOf(headers)) {
    if (isRefused(name.toLowerCase())) issues.push({ path: [...path, name], value: undefined, message: why });
  }
}

/** Fields that frame a message or belong to one connection (RFC 9110 §7.6.1). */
export const FRAMING_HEADERS: ReadonlySet<string> = new Set([
  "connection",
  "content-length",
  "expect",
  "keep-alive",
  "proxy-authenticate",
  "proxy-authorization",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);

/** No item of a list may be in it twice. */
export function checkRepeats(path: Path, items: readonly unknown[], issues: Issue[]): void {
  const seen = new Set<unknown>();
  for (const [index, item] of items.entries()) {
    if (seen.has(item)) issues.push({ path: [...path, index], value: item, message: "is given twice; keep one" });
    seen.add(item);
  }
}

/** What is named must be in the file. */
export function checkReference(
  path: Path,
  name: unknown,
  what: string,
  known: ReadonlySet<string>,
  issues: Issue[],
): void {
  if (typeof name !== "string" || known.has(name)) return;
  const list = [...known].slice(0, 10).join(", ");
  const allowed = list === "" ? `the file has no ${what}s` : `allowed: ${list}${known.size > 10 ? ", …" : ""}`;
  issues.push({ path, value: name, message: `names no ${what}${suggestion(name, known)}; ${allowed}` });
}

/** Of these keys of a map exactly one must be given. */
export function checkExactlyOne(path: Path, map: unknown, keys: readonly string[], issues: Issue[]): void {
  const given = keys.filter((key) => fieldOf(map, key) !== undefined);
  if (given.length === 1) return;
  const found = given.length === 0 ? "has none" : `has ${given.join(" and ")}`;
  issues.push({ path, value: undefined, message: `${found}; give exactly one of ${keys.join(", ")}` });
}

/** A duration that must not be below another one beside it: `shorter` than `longer`, both by their keys. */
export interface Order {
  readonly shorter: string;
  /** Written form that holds when `shorter` is absent. */
  readonly shorterDefault: string;
  readonly longer: string;
}

/** Of two durations of a map, one must not be shorter than the other; told at the one that is given, `longer` first. */
export function checkOrder(
  path: Path,
  map: unknown,
  { shorter, shorterDefault, longer }: Order,
  issues: Issue[],
): void {
  const most = fieldOf(map, longer);
  if (most === undefined) return;
  const least = textOf(map, shorter, shorterDefault);
  const mostMs = msOf(most);
  const leastMs = msOf(least);
  if (mostMs === null || leastMs === null || mostMs >= leastMs) return;
  issues.push({ path: [...path, longer], value: most, message: `is shorter than ${shorter} (${least})` });
}

/** A field as text, so that a number is read like the text of it; `fallback` when it is absent. */
export function textOf(map: unknown, key: string, fallback: string): string {
  return written(fieldOf(map, key) ?? fallback);
}

/** A duration as written, in milliseconds; null when it is none. */
export function msOf(value: unknown): number | null {
  return valueOf(durationFromText(written(value)));
}

/** A share as written, in parts per million; null when it is none. */
export function ppmOf(value: unknown): number | null {
  return valueOf(shareFromText(written(value)));
}

function written(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}

function valueOf(result: Parsed<number>): number | null {
  return result.ok ? result.value : null;
}
