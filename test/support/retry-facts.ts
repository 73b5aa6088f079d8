import type { RetrySpec } from "../../src/model/snapshot.ts";
import type { RepeatFacts } from "../../src/policy/retry.ts";

/** A retry rule with the defaults of the config. */
export const RETRY_SPEC: RetrySpec = {
  on: ["connect-failure", "refused-stream"],
  statuses: [],
  attempts: 3,
  perTryTimeoutMs: 0,
  backoff: { initialMs: 100, maxMs: 1_600, multiplierMilli: 2_000 },
  budgetPpm: 200_000,
  maxRetryAfterMs: 10_000,
  bufferBytes: 65_536,
  idempotencyKey: false,
};

/** A first try that found no connection, and nothing that speaks against another. */
export const UNSENT: RepeatFacts = {
  reason: "connect-failure",
  failure: "connect-failure",
  sent: false,
  method: "GET",
  hasIdempotencyKey: false,
  committed: false,
  attempts: 1,
  bodyIsWhole: true,
  retryAfterMs: null,
  remainingMs: null,
  armIsOpen: true,
};

/** A first try that was answered with a 503, and nothing that speaks against another. */
export const ANSWERED: RepeatFacts = { ...UNSENT, reason: "gateway-error", failure: null, sent: true };
