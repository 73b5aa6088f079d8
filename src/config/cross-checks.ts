import { addressFromText, endpointFromText, isLoopback, isWildcard, textFromEndpoint } from "./address.ts";
import type { Address } from "./address.ts";
import type { Issue } from "./issue.ts";
import { checkHeaderNames, checkRoutes } from "./route-checks.ts";
import { MAX_LISTENERS } from "./process-schema.ts";
import type { Path } from "./schema-walk.ts";
import { NAME_RULE, isName } from "./texts.ts";
import { entriesOf, fieldOf, listOf, mapOf } from "./tree-edit.ts";
import { durationFromText } from "./units.ts";

/**
 * Rules that tie two places together. They look at the tree as read, so that they speak even when the schema has
 * refused another part; what is of the wrong kind is passed over here, the schema has told it.
 */
export function crossCheck(tree: unknown): readonly Issue[] {
  const issues: Issue[] = [];
  checkAddresses(tree, issues);
  checkAdmin(tree, issues);
  checkDrain(tree, issues);
  for (const [name, upstream] of entriesOf(fieldOf(tree, "upstreams"))) {
    checkUpstream(name, upstream, issues);
    if (fieldOf(tree, "engine") === "library") checkPipelining(name, upstream, issues);
  }
  if (mapOf(fieldOf(tree, "upstreams")) !== null && entriesOf(fieldOf(tree, "upstreams")).length === 0) {
    issues.push({ path: ["upstreams"], value: undefined, message: "has no entries; name at least one upstream" });
  }
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

/** A field as text, so that a number is read like the text of it; `fallback` when it is absent. */
function textOf(map: unknown, key: string, fallback: string): string {
  const value = fieldOf(map, key) ?? fallback;
  return typeof value === "string" ? value : JSON.stringify(value);
}

function checkUpstream(name: string, upstream: unknown, issues: Issue[]): void {
  const path: Path = ["upstreams", name];
  if (!isName(name)) issues.push({ path, value: undefined, message: NAME_RULE });
  const schemes = checkEndpoints([...path, "endpoints"], fieldOf(upstream, "endpoints"), issues);
  const pool = fieldOf(upstream, "pool");
  const least = Number(fieldOf(pool, "minConnections") ?? 0);
  const most = Number(fieldOf(pool, "maxConnections") ?? 256);
  if (least > most) {
    const message = `makes minConnections (${least}) larger than maxConnections (${most})`;
    issues.push({ path: [...path, "pool", "minConnections"], value: least, message });
  }
  checkUpstreamTls([...path, "tls"], mapOf(fieldOf(upstream, "tls")), schemes, issues);
}

function checkPipelining(name: string, upstream: unknown, issues: Issue[]): void {
  const pipelining = fieldOf(fieldOf(upstream, "pool"), "pipelining");
  if (!(Number(pipelining) > 1)) return;
  const message =
    "needs engine: native, since the library engine keeps one request in flight per connection; write 1 or remove the line";
  issues.push({ path: ["upstreams", name, "pool", "pipelining"], value: pipelining, message });
}

/** Reports endpoints that are given twice; returns the schemes that occur. */
function checkEndpoints(path: Path, endpoints: unknown, issues: Issue[]): ReadonlySet<string> {
  const seen = new Set<string>();
  const schemes = new Set<string>();
  for (const [index, text] of listOf(endpoints).entries()) {
    const endpoint = typeof text === "string" ? endpointFromText(text) : null;
    if (endpoint === null || !endpoint.ok) continue;
    const canonical = textFromEndpoint(endpoint.value);
    if (seen.has(canonical)) issues.push({ path: [...path, index], value: text, message: "is given twice; keep one" });
    seen.add(canonical);
    schemes.add(endpoint.value.scheme);
  }
  return schemes;
}

function checkUpstreamTls(path: Path, tls: object | null, schemes: ReadonlySet<string>, issues: Issue[]): void {
  if (tls === null) return;
  const hasCert = fieldOf(tls, "cert") !== undefined;
  const hasKey = fieldOf(tls, "key") !== undefined;
  const missing = hasCert ? "key" : "cert";
  if (hasCert !== hasKey)
    issues.push({ path: [...path, missing], value: undefined, message: "is required: cert and key go together" });
  if (schemes.size === 0 || schemes.has("https")) return;
  issues.push({ path, value: undefined, message: "is given, but no endpoint is https; write https:// or remove it" });
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
