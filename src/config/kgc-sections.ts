import { textFromPath } from "./issue.ts";
import type { Path } from "./schema-walk.ts";
import { msOf, textOf } from "./shared-checks.ts";
import { entriesOf, fieldOf, listOf, mapOf } from "./tree-edit.ts";

/** A config tree with one variable's value being laid over it. */
export interface Overlaid {
  readonly tree: unknown;
  /** Writes a value into the tree and remembers which variable it came from. */
  readonly put: (path: Path, value: unknown) => void;
  /** The sentence goes on after the variable's name. */
  readonly warn: (sentence: string) => void;
}

/** Most names that a warning lists. */
const MAX_LISTED = 10;

/** Sets the share of every route that has a candidate. */
export function putShares({ tree, put }: Overlaid, share: string): void {
  for (const [path, route] of routesOf(tree)) {
    if (fieldOf(fieldOf(route, "split"), "candidate") !== undefined) put([...path, "split", "share"], share);
  }
}

/** Sets a field of every upstream's pool. */
export function putPools({ tree, put }: Overlaid, field: string, value: string): void {
  for (const [path] of upstreamsOf(tree)) put([...path, "pool", field], value);
}

/** Sets a field of every health section; makes none, since it could not know what to ask for. */
export function putHealth({ tree, put, warn }: Overlaid, field: string, value: string): void {
  const checked = upstreamsOf(tree).filter(([, upstream]) => mapOf(fieldOf(upstream, "health")) !== null);
  for (const [path] of checked) put([...path, "health", field], value);
  if (checked.length > 0) return;
  warn("is ignored: no upstream is checked; add a section such as health: { http: { path: /healthz } }");
}

/** Sets a field of every upstream's circuit breaker. */
export function putCircuits({ tree, put }: Overlaid, field: string, value: string): void {
  for (const [path] of upstreamsOf(tree)) put([...path, "circuitBreaker", field], value);
}

/** Sets the first open time of every circuit breaker; the longest cannot be below it. */
export function putOpenTimes({ tree, put }: Overlaid, ms: string): void {
  for (const [path, upstream] of upstreamsOf(tree)) {
    const longestMs = msOf(fieldOf(fieldOf(upstream, "circuitBreaker"), "maxOpenFor") ?? "");
    put([...path, "circuitBreaker", "openFor"], `${ms}ms`);
    if (longestMs !== null && longestMs < Number(ms)) put([...path, "circuitBreaker", "maxOpenFor"], `${ms}ms`);
  }
}

/** Says of every circuit breaker that there is whether it closes by itself. */
export function putRecovery({ tree, put, warn }: Overlaid, value: string): void {
  const guarded = upstreamsOf(tree).filter(([, upstream]) => mapOf(fieldOf(upstream, "circuitBreaker")) !== null);
  for (const [path] of guarded) put([...path, "circuitBreaker", "autoRecover"], value);
  if (guarded.length === 0) warn("is ignored: no upstream has a circuit breaker; add circuitBreaker: {}");
}

/** `none` takes every fallback away; `local` leaves them, and says where there is nothing local. */
export function putFallbacks({ tree, put, warn }: Overlaid, mode: string): void {
  const bare: string[] = [];
  for (const [path, route] of routesOf(tree)) {
    const ladder = listOf(fieldOf(route, "fallback"));
    if (mode === "none" && ladder.length > 0) put([...path, "fallback"], []);
    if (!ladder.some(isLocal)) bare.push(textOf(route, "name", textFromPath(path)));
  }
  if (mode === "none" || bare.length === 0) return;
  const names = bare.slice(0, MAX_LISTED).join(", ") + (bare.length > MAX_LISTED ? ", …" : "");
  warn(`makes no fallback: these routes have no static and no upstream step to fall back on: ${names}`);
}

/** Sets a field of every route's retry section. */
export function putRetries({ tree, put }: Overlaid, field: Path, value: string): void {
  for (const [path] of routesOf(tree)) put([...path, "retry", ...field], value);
}

function isLocal(step: unknown): boolean {
  return fieldOf(step, "static") !== undefined || fieldOf(step, "upstream") !== undefined;
}

type Placed = readonly [path: Path, value: unknown];

function routesOf(tree: unknown): readonly Placed[] {
  const placed = listOf(fieldOf(tree, "routes")).map((route, index): Placed => [["routes", index], route]);
  return placed.filter(([, route]) => mapOf(route) !== null);
}

function upstreamsOf(tree: unknown): readonly Placed[] {
  const placed = entriesOf(fieldOf(tree, "upstreams")).map(([name, upstream]): Placed => [
    ["upstreams", name],
    upstream,
  ]);
  return placed.filter(([, upstream]) => mapOf(upstream) !== null);
}
