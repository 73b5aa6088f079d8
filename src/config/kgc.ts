import type { Issue } from "./issue.ts";
import type { Path } from "./schema-walk.ts";
import { entriesOf, fieldOf, listOf } from "./tree-edit.ts";
import { shareFromText } from "./units.ts";
import type { Environment } from "./variables.ts";

const PREFIX = "KGC_SIDECAR_";

/** Aliases that set something: what they mean in Crossfade's words. */
export const KGC_ALIASES: ReadonlyMap<string, string> = new Map([
  ["KGC_SIDECAR_V2_ENABLED", "`false`: every route's split.share is 0%, whatever else says; `true`: nothing"],
  ["KGC_SIDECAR_V2_ROLLOUT_PERCENTAGE", "split.share of every route that has a candidate, 0 to 100"],
  ["KGC_SIDECAR_POOL_MIN_CONNECTIONS", "pool.minConnections of every upstream"],
  ["KGC_SIDECAR_POOL_MAX_CONNECTIONS", "pool.maxConnections of every upstream"],
  ["KGC_SIDECAR_POOL_IDLE_TIMEOUT", "pool.idleTimeout of every upstream, in milliseconds"],
]);

/** Aliases whose feature a later version will have. */
export const KGC_LATER: ReadonlyMap<string, string> = new Map([
  ["KGC_SIDECAR_HEALTH_CHECK_INTERVAL", "health checks"],
  ["KGC_SIDECAR_HEALTH_CHECK_TIMEOUT", "health checks"],
  ["KGC_SIDECAR_HEALTH_CHECK_RETRIES", "health checks"],
  ["KGC_SIDECAR_CIRCUIT_BREAKER_THRESHOLD", "circuit breakers"],
  ["KGC_SIDECAR_CIRCUIT_BREAKER_TIMEOUT", "circuit breakers"],
  ["KGC_SIDECAR_CIRCUIT_BREAKER_HALF_OPEN_REQUESTS", "circuit breakers"],
  ["KGC_SIDECAR_FALLBACK_MODE", "fallbacks"],
  ["KGC_SIDECAR_FALLBACK_AUTO_RECOVER", "fallbacks"],
  ["KGC_SIDECAR_RETRY_MAX_ATTEMPTS", "retries"],
  ["KGC_SIDECAR_RETRY_INITIAL_DELAY", "retries"],
  ["KGC_SIDECAR_RETRY_MAX_DELAY", "retries"],
  ["KGC_SIDECAR_RETRY_MULTIPLIER", "retries"],
]);

/** Writes a value into the tree and remembers which variable it came from. */
export type Put = (path: Path, value: string, name: string) => void;

interface Notes {
  readonly issues: Issue[];
  readonly warnings: string[];
}

/** True for a variable of the KGC family. */
export function isKgcName(name: string): boolean {
  return name.startsWith(PREFIX);
}

/**
 * Applies the aliases among `names`. What comes back applies `KGC_SIDECAR_V2_ENABLED=false`: call it last, so that
 * switching v2 off beats every other setting of a share.
 */
export function applyKgcAliases(
  tree: unknown,
  env: Environment,
  names: readonly string[],
  notes: Notes,
  put: Put,
): () => void {
  for (const name of names) applyAlias(tree, name, env[name] ?? "", notes, put);
  const off = env["KGC_SIDECAR_V2_ENABLED"] === "false";
  return () => {
    if (off) putShares(tree, "0%", "KGC_SIDECAR_V2_ENABLED", put);
  };
}

function applyAlias(tree: unknown, name: string, value: string, notes: Notes, put: Put): void {
  const refuse = (message: string): void => void notes.issues.push({ path: [name], value, message });
  switch (name) {
    case "KGC_SIDECAR_V2_ENABLED":
      return value === "true" || value === "false" ? undefined : refuse("is none of true, false");
    case "KGC_SIDECAR_V2_ROLLOUT_PERCENTAGE":
      return isPercentage(value)
        ? putShares(tree, `${value}%`, name, put)
        : refuse("is not a percentage; write 0 to 100");
    case "KGC_SIDECAR_POOL_MIN_CONNECTIONS":
      return isWhole(value) ? putPools(tree, "minConnections", value, name, put) : refuse("is not a whole number");
    case "KGC_SIDECAR_POOL_MAX_CONNECTIONS":
      return isWhole(value) ? putPools(tree, "maxConnections", value, name, put) : refuse("is not a whole number");
    case "KGC_SIDECAR_POOL_IDLE_TIMEOUT":
      return isWhole(value)
        ? putPools(tree, "idleTimeout", `${value}ms`, name, put)
        : refuse("is not a whole number of milliseconds");
    default:
      notes.warnings.push(warningFor(name));
  }
}

function isWhole(value: string): boolean {
  return /^\d{1,9}$/.test(value);
}

function isPercentage(value: string): boolean {
  return shareFromText(`${value}%`).ok;
}

function warningFor(name: string): string {
  const feature = KGC_LATER.get(name);
  if (feature === undefined) return `${name} matches no setting and is ignored`;
  return `${name} is ignored: ${feature} are not available in this version (0.1) yet`;
}

function putShares(tree: unknown, share: string, name: string, put: Put): void {
  for (const [index, route] of listOf(fieldOf(tree, "routes")).entries()) {
    if (fieldOf(fieldOf(route, "split"), "candidate") === undefined) continue;
    put(["routes", index, "split", "share"], share, name);
  }
}

function putPools(tree: unknown, field: string, value: string, name: string, put: Put): void {
  for (const [upstream, settings] of entriesOf(fieldOf(tree, "upstreams"))) {
    if (typeof settings === "object" && settings !== null) put(["upstreams", upstream, "pool", field], value, name);
  }
}
