import type { HedgeSpec, RetrySpec } from "../model/snapshot.ts";
import type { FallbackConfig, RouteConfig } from "./config.ts";
import { masked } from "./issue.ts";
import { defined } from "./tree-edit.ts";
import { textFromDuration, textFromShare, textFromSize } from "./units.ts";

/** Priority, retries, hedges and fallbacks of a route in the words of the file, every default written out. */
export function recoveryText(route: RouteConfig): Record<string, unknown> {
  const { priority, retry, hedge, fallback, fallbackOn } = route;
  return defined({
    priority,
    ...hedgeText(hedge),
    retry: retry === null ? null : retryText(retry),
    fallback: fallback.map(fallbackText),
    // Without a fallback it would be refused: it says when nothing is done.
    fallbackOn: fallback.length === 0 ? null : fallbackOn,
  });
}

function retryText(retry: RetrySpec): Record<string, unknown> {
  const { initialMs, maxMs, multiplierMilli } = retry.backoff;
  return {
    attempts: retry.attempts,
    on: retry.on,
    statuses: retry.statuses,
    perTryTimeout: textFromDuration(retry.perTryTimeoutMs),
    backoff: {
      initial: textFromDuration(initialMs),
      max: textFromDuration(maxMs),
      multiplier: multiplierMilli / 1_000,
    },
    budget: textFromShare(retry.budgetPpm),
    maxRetryAfter: textFromDuration(retry.maxRetryAfterMs),
    maxBodyBytes: textFromSize(retry.bufferBytes),
    idempotencyKey: retry.idempotencyKey,
  };
}

/** Both arms at once has a name of its own. */
function hedgeText(hedge: HedgeSpec | null): Record<string, unknown> {
  if (hedge === null) return { readPreference: "split" };
  if (hedge.delayMs === 0 && hedge.to === "other") return { readPreference: "fastest" };
  return { readPreference: "split", hedge: { delay: textFromDuration(hedge.delayMs), to: hedge.to } };
}

function fallbackText(step: FallbackConfig): unknown {
  switch (step.kind) {
    case "arm":
      return "arm";
    case "upstream":
      return { upstream: step.upstream };
    case "stale": {
      const { maxAgeMs, maxBytes, maxEntryBytes, shared } = step;
      const sizes = { maxBytes: textFromSize(maxBytes), maxEntryBytes: textFromSize(maxEntryBytes) };
      return { stale: { maxAge: textFromDuration(maxAgeMs), ...sizes, shared } };
    }
    case "static": {
      const { status, headers, body, bodyFile } = step;
      return { static: defined({ status, headers: fieldsText(headers), body, bodyFile }) };
    }
  }
}

function fieldsText(headers: readonly string[]): Record<string, string> {
  const fields: Record<string, string> = {};
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i] ?? "";
    fields[name] = masked(["headers", name], headers[i + 1] ?? "");
  }
  return fields;
}
