import { addressFromText, isLoopback, isWildcard } from "./address.ts";
import type { Address } from "./address.ts";
import type { Issue } from "./issue.ts";
import { MAX_LISTENERS } from "./process-schema.ts";
import { checkRoutes } from "./route-checks.ts";
import type { Path } from "./schema-walk.ts";
import { checkHeaderNames, textOf } from "./shared-checks.ts";
import { NAME_RULE, isName } from "./texts.ts";
import { entriesOf, fieldOf, listOf, mapOf } from "./tree-edit.ts";
import { durationFromText } from "./units.ts";
import { checkUpstreams } from "./upstream-checks.ts";

/**
 * Rules that tie two places together. They look at the tree as read, so that they speak even when the schema has
 * refused another part; what is of the wrong kind is passed over here, the schema has told it.
 */
export function crossCheck(tree: unknown): readonly Issue[] {
  const issues: Issue[] = [];
  checkAddresses(tree, issues);
  checkAdmin(tree, issues);
  checkDrain(tree, issues);
  checkUpstreams(tree, issues);
  for (const [name, segment] of entriesOf(fieldOf(tree, "segments"))) checkSegment(name, segment, issues);
  checkRoutes(tree, issues);
  return issues;
}

interface Place extends Address {
  readonly path: Path;
  readonly text: string;
}

function checkAddresses(tree: unknown, issues: Issue[]): void {
  const places: Place[] = [];
  const owners: (readonly [Path, unknown])[] = listOf(fieldOf(tree, "listen"))
    .slice(0, MAX_LISTENERS)
    .map((listener, index) => [["listen", index], listener]);
  owners.push([["admin"], fieldOf(tree, "admin")], [["metrics"], fieldOf(tree, "metrics")]);
  for (const [path, owner] of owners) {
    const text = fieldOf(owner, "address");
    const address = typeof text === "string" ? addressFromText(text) : null;
    if (address === null || !address.ok || address.value.port === 0) continue;
    const place = { ...address.value, path: [...path, "address"], text: String(text) };
    const taken = places.find((earlier) => collides(earlier, place));
    if (taken !== undefined) issues.push({ path: place.path, value: text, message: `is taken by ${taken.text} above` });
    places.push(place);
  }
}

function collides(a: Address, b: Address): boolean {
  return (
    a.port === b.port && (a.host.toLowerCase() === b.host.toLowerCase() || isWildcard(a.host) || isWildcard(b.host))
  );
}

function checkAdmin(tree: unknown, issues: Issue[]): void {
  const admin = fieldOf(tree, "admin");
  const text = fieldOf(admin, "address");
  if (typeof text !== "string" || (fieldOf(admin, "tokenFile") ?? null) !== null) return;
  const address = addressFromText(text);
  if (!address.ok || isLoopback(address.value.host)) return;
  const message =
    "can be reached from other machines; give admin.tokenFile, or use a loopback address such as 127.0.0.1";
  issues.push({ path: ["admin", "address"], value: text, message });
}

function checkDrain(tree: unknown, issues: Issue[]): void {
  const drain = fieldOf(fieldOf(tree, "runtime"), "drain");
  const lameDuck = textOf(drain, "lameDuck", "5s");
  const deadline = textOf(drain, "deadline", "25s");
  const first = durationFromText(lameDuck);
  const last = durationFromText(deadline);
  if (!first.ok || !last.ok || first.value < last.value) return;
  const field = fieldOf(drain, "lameDuck") === undefined ? "deadline" : "lameDuck";
  const message = `makes lameDuck (${lameDuck}) as long as deadline (${deadline}) or longer; requests need time after lameDuck`;
  issues.push({ path: ["runtime", "drain", field], value: fieldOf(drain, field), message });
}

function checkSegment(name: string, segment: unknown, issues: Issue[]): void {
  const path: Path = ["segments", name];
  if (!isName(name)) issues.push({ path, value: undefined, message: NAME_RULE });
  if (mapOf(segment) === null) return;
  const headers = entriesOf(fieldOf(segment, "headers"));
  checkHeaderNames([...path, "headers"], fieldOf(segment, "headers"), issues);
  if (headers.length > 0 || listOf(fieldOf(segment, "keys")).length > 0) return;
  if (fieldOf(segment, "keys") !== undefined && !Array.isArray(fieldOf(segment, "keys"))) return;
  issues.push({ path, value: undefined, message: "has nobody in it; give keys, headers or both" });
}
