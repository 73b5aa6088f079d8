import { RETRY_CONDITIONS } from "../base/cells.ts";
import type { HedgeSpec, RetryConditions, RetrySpec } from "../model/snapshot.ts";
import type { FallbackConfig } from "./config.ts";
import type { CheckedFile } from "./schema.ts";

/** Largest answer that is kept, unless the route says otherwise or keeps less in all. */
const ENTRY_BYTES = 262_144;

type Checked = CheckedFile["routes"][number];

/** Retry rules of a route in the shape that the rest of the program uses. */
export function retryOf(retry: NonNullable<Checked["retry"]>): RetrySpec {
  const { initial, max, multiplier } = retry.backoff;
  return {
    ...conditionsOf(retry),
    attempts: retry.attempts,
    perTryTimeoutMs: retry.perTryTimeout,
    backoff: { initialMs: initial, maxMs: max ?? 10 * initial, multiplierMilli: multiplier },
    budgetPpm: retry.budget,
    maxRetryAfterMs: retry.maxRetryAfter,
    bufferBytes: retry.maxBodyBytes,
    idempotencyKey: retry.idempotencyKey,
  };
}

/** Whether and how a second request is sent beside the first. */
export function hedgeOf({ hedge, readPreference }: Pick<Checked, "hedge" | "readPreference">): HedgeSpec | null {
  if (readPreference === "fastest") return { delayMs: 0, to: "other" };
  return hedge === undefined ? null : { delayMs: hedge.delay, to: hedge.to };
}

/** Conditions as given: a list, or a map with statuses beside them. In the order of the table, each once. */
export function conditionsOf(given: Checked["fallbackOn"]): RetryConditions {
  const words = new Set<string>("on" in given ? given.on : given);
  const statuses = "on" in given ? given.statuses : [];
  return { on: RETRY_CONDITIONS.filter((word) => words.has(word)), statuses: [...new Set(statuses)] };
}

/** One rung of the fallback ladder. */
export function fallbackOf(step: Checked["fallback"][number]): FallbackConfig {
  if (step === "arm") return { kind: "arm" };
  if (step.stale !== undefined) {
    const { maxAge, maxBytes, shared } = step.stale;
    const maxEntryBytes = step.stale.maxEntryBytes ?? Math.min(ENTRY_BYTES, maxBytes);
    return { kind: "stale", maxAgeMs: maxAge, maxBytes, maxEntryBytes, shared };
  }
  if (step.static === undefined) return { kind: "upstream", upstream: step.upstream ?? "" };
  const { status, headers, body, bodyFile } = step.static;
  const fields = Object.entries(headers).flatMap(([name, value]) => [name.toLowerCase(), value]);
  return { kind: "static", status, headers: fields, body: body ?? null, bodyFile: bodyFile ?? null };
}
