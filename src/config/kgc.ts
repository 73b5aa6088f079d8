import type { Issue } from "./issue.ts";
import {
  putCircuits,
  putFallbacks,
  putHealth,
  putOpenTimes,
  putPools,
  putRecovery,
  putRetries,
  putShares,
} from "./kgc-sections.ts";
import type { Overlaid } from "./kgc-sections.ts";
import type { Path } from "./schema-walk.ts";
import { shareFromText, thousandthsFromText } from "./units.ts";
import type { Environment } from "./variables.ts";

const PREFIX = "KGC_SIDECAR_";

/** A variable of the KGC sidecar. */
interface KgcAlias {
  /** What it means in Crossfade's words, for the reference. */
  readonly means: string;
  /** What is wrong with a value, in words that follow it; null when nothing is. */
  readonly fault: (value: string) => string | null;
  /** Lays a good value over the config. */
  readonly lay: (over: Overlaid, value: string) => void;
}

/** Every variable of the plan, in the order in which they are applied: what a section is made by comes before what is put into it. */
export const KGC_ALIASES: ReadonlyMap<string, KgcAlias> = new Map([
  [
    "KGC_SIDECAR_V2_ENABLED",
    {
      means: "`false`: every route's split.share is 0%, whatever else says; `true`: nothing",
      fault: oneOf("true", "false"),
      // `false` is applied last of all, after our own variables: see applyKgcAliases.
      lay: () => {},
    },
  ],
  [
    "KGC_SIDECAR_V2_ROLLOUT_PERCENTAGE",
    {
      means: "split.share of every route that has a candidate, 0 to 100",
      fault: (value) => (shareFromText(`${value}%`).ok ? null : "is not a percentage; write 0 to 100"),
      lay: (over, value) => putShares(over, `${value}%`),
    },
  ],
  [
    "KGC_SIDECAR_HEALTH_CHECK_INTERVAL",
    {
      means: "health.interval of every upstream that has a health section, in milliseconds",
      fault: milliseconds,
      lay: (over, value) => putHealth(over, "interval", `${value}ms`),
    },
  ],
  [
    "KGC_SIDECAR_HEALTH_CHECK_TIMEOUT",
    {
      means: "health.timeout of every upstream that has a health section, in milliseconds",
      fault: milliseconds,
      lay: (over, value) => putHealth(over, "timeout", `${value}ms`),
    },
  ],
  [
    "KGC_SIDECAR_HEALTH_CHECK_RETRIES",
    {
      means: "health.unhealthyThreshold of every upstream that has a health section",
      fault: whole,
      lay: (over, value) => putHealth(over, "unhealthyThreshold", value),
    },
  ],
  [
    "KGC_SIDECAR_CIRCUIT_BREAKER_THRESHOLD",
    {
      means: "circuitBreaker.consecutiveFailures of every upstream; the section is made where there is none",
      fault: whole,
      lay: (over, value) => putCircuits(over, "consecutiveFailures", value),
    },
  ],
  [
    "KGC_SIDECAR_CIRCUIT_BREAKER_TIMEOUT",
    {
      means: "circuitBreaker.openFor of every upstream, in milliseconds; a maxOpenFor below it is raised to it",
      fault: milliseconds,
      lay: putOpenTimes,
    },
  ],
  [
    "KGC_SIDECAR_CIRCUIT_BREAKER_HALF_OPEN_REQUESTS",
    {
      means: "circuitBreaker.halfOpenRequests of every upstream",
      fault: whole,
      lay: (over, value) => putCircuits(over, "halfOpenRequests", value),
    },
  ],
  [
    "KGC_SIDECAR_FALLBACK_MODE",
    {
      means: "`none`: no route has a fallback; `local`: each has what the file says",
      fault: oneOf("local", "none"),
      lay: putFallbacks,
    },
  ],
  [
    "KGC_SIDECAR_FALLBACK_AUTO_RECOVER",
    {
      means: "circuitBreaker.autoRecover of every upstream that has a circuitBreaker section",
      fault: oneOf("true", "false"),
      lay: putRecovery,
    },
  ],
  [
    "KGC_SIDECAR_RETRY_MAX_ATTEMPTS",
    {
      means: "retry.attempts of every route, the first one included; the section is made where there is none",
      fault: whole,
      lay: (over, value) => putRetries(over, ["attempts"], value),
    },
  ],
  [
    "KGC_SIDECAR_RETRY_INITIAL_DELAY",
    {
      means: "retry.backoff.initial of every route, in milliseconds",
      fault: milliseconds,
      lay: (over, value) => putRetries(over, ["backoff", "initial"], `${value}ms`),
    },
  ],
  [
    "KGC_SIDECAR_RETRY_MAX_DELAY",
    {
      means: "retry.backoff.max of every route, in milliseconds",
      fault: milliseconds,
      lay: (over, value) => putRetries(over, ["backoff", "max"], `${value}ms`),
    },
  ],
  [
    "KGC_SIDECAR_RETRY_MULTIPLIER",
    {
      means: "retry.backoff.multiplier of every route",
      fault: (value) => (thousandthsFromText(value).ok ? null : "is not a number such as 2 or 1.5"),
      lay: (over, value) => putRetries(over, ["backoff", "multiplier"], value),
    },
  ],
  [
    "KGC_SIDECAR_POOL_MIN_CONNECTIONS",
    {
      means: "pool.minConnections of every upstream",
      fault: whole,
      lay: (over, value) => putPools(over, "minConnections", value),
    },
  ],
  [
    "KGC_SIDECAR_POOL_MAX_CONNECTIONS",
    {
      means: "pool.maxConnections of every upstream",
      fault: whole,
      lay: (over, value) => putPools(over, "maxConnections", value),
    },
  ],
  [
    "KGC_SIDECAR_POOL_IDLE_TIMEOUT",
    {
      means: "pool.idleTimeout of every upstream, in milliseconds",
      fault: milliseconds,
      lay: (over, value) => putPools(over, "idleTimeout", `${value}ms`),
    },
  ],
]);

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
  notes: { readonly issues: Issue[]; readonly warnings: string[] },
  put: (path: Path, value: unknown, name: string) => void,
): () => void {
  const given = new Set(names);
  const over = (name: string): Overlaid => ({
    tree,
    put: (path, value) => put(path, value, name),
    warn: (sentence) => void notes.warnings.push(`${name} ${sentence}`),
  });
  for (const [name, alias] of KGC_ALIASES) {
    if (!given.delete(name)) continue;
    const value = env[name] ?? "";
    const message = alias.fault(value);
    if (message === null) alias.lay(over(name), value);
    else notes.issues.push({ path: [name], value, message });
  }
  for (const name of given) notes.warnings.push(`${name} matches no setting and is ignored`);
  const off = env["KGC_SIDECAR_V2_ENABLED"] === "false";
  return () => {
    if (off) putShares(over("KGC_SIDECAR_V2_ENABLED"), "0%");
  };
}

function oneOf(...words: readonly string[]): (value: string) => string | null {
  return (value) => (words.includes(value) ? null : `is none of ${words.join(", ")}`);
}

function whole(value: string): string | null {
  return /^\d{1,9}$/.test(value) ? null : "is not a whole number";
}

function milliseconds(value: string): string | null {
  return whole(value) === null ? null : "is not a whole number of milliseconds";
}
