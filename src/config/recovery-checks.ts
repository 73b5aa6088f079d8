import type { Issue } from "./issue.ts";
import { LISTED_STATUSES } from "./retry-schema.ts";
import type { Path } from "./schema-walk.ts";
import {
  FRAMING_HEADERS,
  checkExactlyOne,
  checkHeaderNames,
  checkOrder,
  checkReference,
  checkRepeats,
  refuseHeaderNames,
  textOf,
} from "./shared-checks.ts";
import { fieldOf, listOf, mapOf } from "./tree-edit.ts";
import { sizeFromText } from "./units.ts";

/** Statuses whose answers have no body by definition (RFC 9110 §6.4.1, §15.3.6). */
const BODILESS = new Set(["204", "205", "304"]);

/** Rules of a route's retries, hedges and fallbacks; see cross-checks.ts. */
export function checkRecovery(path: Path, route: unknown, upstreams: ReadonlySet<string>, issues: Issue[]): void {
  checkRetry([...path, "retry"], mapOf(fieldOf(route, "retry")), issues);
  checkHedge(path, route, issues);
  checkLadder([...path, "fallback"], route, upstreams, issues);
  checkFallbackOn([...path, "fallbackOn"], route, issues);
}

function checkRetry(path: Path, retry: object | null, issues: Issue[]): void {
  if (retry === null) return;
  checkConditions(path, { on: fieldOf(retry, "on"), statuses: fieldOf(retry, "statuses") }, issues);
  const waits = { shorter: "initial", shorterDefault: "25ms", longer: "max" };
  checkOrder([...path, "backoff"], fieldOf(retry, "backoff"), waits, issues);
}

function checkFallbackOn(path: Path, route: unknown, issues: Issue[]): void {
  const given = fieldOf(route, "fallbackOn");
  if (given === undefined) return;
  const on = Array.isArray(given) ? given : fieldOf(given, "on");
  checkConditions(path, { on, statuses: fieldOf(given, "statuses") }, issues, Array.isArray(given) ? path : undefined);
  if (fieldOf(route, "fallback") !== undefined) return;
  issues.push({ path, value: undefined, message: "is given, but the route has no fallback; give one or remove it" });
}

interface Conditions {
  readonly on: unknown;
  readonly statuses: unknown;
}

function checkConditions(
  path: Path,
  { on, statuses }: Conditions,
  issues: Issue[],
  onPath: Path = [...path, "on"],
): void {
  const words = listOf(on);
  checkRepeats(onPath, words, issues);
  checkRepeats([...path, "statuses"], listOf(statuses), issues);
  if (listOf(statuses).length > 0) return;
  const alias = words.indexOf(LISTED_STATUSES);
  if (alias !== -1) {
    const message = "needs a list of statuses beside it, such as statuses: [502, 503]";
    issues.push({ path: [...onPath, alias], value: LISTED_STATUSES, message });
  }
  if (!Array.isArray(on) || words.length > 0) return;
  issues.push({ path: onPath, value: undefined, message: "names nothing, and no statuses are given; name something" });
}

function checkHedge(path: Path, route: unknown, issues: Issue[]): void {
  const hedge = fieldOf(route, "hedge");
  const fastest = fieldOf(route, "readPreference") === "fastest";
  if (fastest && hedge !== undefined) {
    const message = "cannot go together with readPreference: fastest, which asks both arms at once; keep one";
    issues.push({ path: [...path, "hedge"], value: undefined, message });
  }
  if (hasCandidate(route)) return;
  const message = "needs another arm, but the split has no candidate";
  if (fastest) issues.push({ path: [...path, "readPreference"], value: "fastest", message });
  if (fieldOf(hedge, "to") === "other") issues.push({ path: [...path, "hedge", "to"], value: "other", message });
}

function checkLadder(path: Path, route: unknown, upstreams: ReadonlySet<string>, issues: Issue[]): void {
  const seen = new Set<string>();
  let last: number | null = null;
  for (const [index, step] of listOf(fieldOf(route, "fallback")).entries()) {
    const here = [...path, index];
    checkStep(here, step, route, upstreams, issues);
    const rung = rungOf(step);
    if (last !== null) {
      const message = `is never reached: fallback[${last}] is static and always answers`;
      issues.push({ path: here, value: undefined, message });
    } else if (rung !== null && seen.has(rung)) {
      issues.push({ path: here, value: undefined, message: "is given twice; keep one" });
    }
    if (rung !== null) seen.add(rung);
    if (rung === "static") last ??= index;
  }
}

/** What a rung is, so that two of the same can be told; null when it is of no kind. */
function rungOf(step: unknown): string | null {
  if (step === "arm") return step;
  const upstream = fieldOf(step, "upstream");
  if (typeof upstream === "string") return `upstream ${upstream}`;
  return ["stale", "static"].find((kind) => fieldOf(step, kind) !== undefined) ?? null;
}

function checkStep(path: Path, step: unknown, route: unknown, upstreams: ReadonlySet<string>, issues: Issue[]): void {
  if (step === "arm" && !hasCandidate(route)) {
    issues.push({ path, value: step, message: "needs another arm, but the split has no candidate" });
  }
  if (mapOf(step) === null) return;
  checkExactlyOne(path, step, ["stale", "static", "upstream"], issues);
  checkStale([...path, "stale"], fieldOf(step, "stale"), issues);
  checkStatic([...path, "static"], mapOf(fieldOf(step, "static")), issues);
  const upstream = fieldOf(step, "upstream");
  checkReference([...path, "upstream"], upstream, "upstream", upstreams, issues);
  const split = fieldOf(route, "split");
  if (upstream === undefined || ![fieldOf(split, "baseline"), fieldOf(split, "candidate")].includes(upstream)) return;
  const message = "is an arm of this route; write arm, or name another upstream";
  issues.push({ path: [...path, "upstream"], value: upstream, message });
}

function checkStale(path: Path, stale: unknown, issues: Issue[]): void {
  const entry = fieldOf(stale, "maxEntryBytes");
  if (entry === undefined) return;
  const largest = sizeFromText(textOf(stale, "maxEntryBytes", ""));
  const all = sizeFromText(textOf(stale, "maxBytes", "16MiB"));
  if (!largest.ok || !all.ok || largest.value <= all.value) return;
  issues.push({
    path: [...path, "maxEntryBytes"],
    value: entry,
    message: "is larger than maxBytes, what is kept in all",
  });
}

function checkStatic(path: Path, answer: object | null, issues: Issue[]): void {
  if (answer === null) return;
  const headers = fieldOf(answer, "headers");
  checkHeaderNames([...path, "headers"], headers, issues);
  const why = "is set by Crossfade itself, or belongs to one connection; remove it";
  refuseHeaderNames([...path, "headers"], headers, isOurs, why, issues);
  const bodies = ["body", "bodyFile"].filter((key) => fieldOf(answer, key) !== undefined);
  if (bodies.length === 2) issues.push({ path, value: undefined, message: "has body and bodyFile; give one" });
  if (bodies.length === 0 || !BODILESS.has(textOf(answer, "status", "200"))) return;
  const status = fieldOf(answer, "status");
  issues.push({ path: [...path, "status"], value: status, message: "has no body by definition; remove the body" });
}

function isOurs(name: string): boolean {
  return FRAMING_HEADERS.has(name) || name === "date" || name === "x-request-id" || name.startsWith("x-crossfade-");
}

function hasCandidate(route: unknown): boolean {
  return fieldOf(fieldOf(route, "split"), "candidate") !== undefined;
}
