import type { RetryCondition, RetryReason, RetrySkip } from "../base/cells.ts";
import type { Random } from "../base/clock.ts";
import { FAILURES, type FailureKind } from "../base/failure.ts";
import { isIdempotent } from "../model/methods.ts";
import type { RetryConditions, RetrySpec } from "../model/snapshot.ts";
import { backoffMs, spreadRetryAfterMs } from "./backoff.ts";
import type { RetryBudget } from "./retry-budget.ts";

/** What happens after a try that did not go well. A retry has its place in the budget; `skip` is why it was not repeated. */
export type RetryDecision =
  | { readonly kind: "retry"; readonly reason: RetryReason; readonly waitMs: number }
  | { readonly kind: "stop"; readonly skip: RetrySkip | null };

/** What the retry rules know of an exchange and of its try that has just ended. */
export interface RepeatFacts {
  /** The condition of the route's that the try met; null = none. */
  readonly reason: RetryReason | null;
  /** How the try failed; null = it was answered. */
  readonly failure: FailureKind | null;
  /** Any byte of the request may have reached the upstream. */
  readonly sent: boolean;
  readonly method: string;
  /** The request has an Idempotency-Key. */
  readonly hasIdempotencyKey: boolean;
  /** The client has seen a status line. */
  readonly committed: boolean;
  /** Tries so far, this one included. */
  readonly attempts: number;
  /** The body can be sent again from its beginning, or there is none. */
  readonly bodyIsWhole: boolean;
  /** What the answer's Retry-After asks for; null = nothing. */
  readonly retryAfterMs: number | null;
  /** Time until the deadline of the whole exchange; null = it has none. */
  readonly remainingMs: number | null;
  /** The arm's circuit and health would let another try through. */
  readonly armIsOpen: boolean;
}

/**
 * Whether a try is repeated. It takes the retry's place in the budget, which the caller gives back with `retryFinished`
 * when the retry is over. Whatever it decides, the arm stays the same: other arms are the fallbacks' business.
 */
export function mayRepeat(spec: RetrySpec, facts: RepeatFacts, budget: RetryBudget, random: Random): RetryDecision {
  const { reason } = facts;
  if (reason === null || facts.committed || !isRepeatable(facts.failure)) return stop(null);
  const skip = skipFor(spec, facts, reason);
  if (skip !== null) return stop(skip);
  const waitMs = waitBefore(spec, facts, random);
  if (facts.remainingMs !== null && waitMs >= facts.remainingMs) return stop("deadline");
  // Last, because it takes what it asks for.
  if (!budget.tryRetry()) return stop("budget");
  return { kind: "retry", reason, waitMs };
}

function stop(skip: RetrySkip | null): RetryDecision {
  return { kind: "stop", skip };
}

/**
 * Only what the upstream did is repeated. What we refused ourselves, because a queue was full or a circuit open, we would
 * refuse again, or worse: let it join the queue that was too long (Envoy does not retry an overflow either).
 */
function isRepeatable(kind: FailureKind | null): boolean {
  return kind === null || (FAILURES[kind].retriable !== "never" && FAILURES[kind].fault === "upstream");
}

function skipFor(spec: RetrySpec, facts: RepeatFacts, reason: RetryReason): RetrySkip | null {
  if (facts.attempts >= spec.attempts) return "attempts";
  if (!facts.bodyIsWhole) return "body";
  if (!isSafeTwice(spec, facts, reason)) return "method";
  if (facts.retryAfterMs !== null && facts.retryAfterMs > spec.maxRetryAfterMs) return "retry-after";
  return facts.armIsOpen ? null : "circuit-open";
}

/** Whether the upstream may get the request again: it had none of it, or the second time changes nothing, or we were told. */
function isSafeTwice(spec: RetrySpec, facts: RepeatFacts, reason: RetryReason): boolean {
  const neverArrived = facts.failure !== null && !facts.sent;
  if (neverArrived || isIdempotent(facts.method)) return true;
  if (spec.idempotencyKey && facts.hasIdempotencyKey) return true;
  // All gRPC is POST: whoever names such a status says that the calls of this route may be repeated after it.
  return GRPC_CONDITIONS.includes(reason);
}

function waitBefore(spec: RetrySpec, facts: RepeatFacts, random: Random): number {
  const { retryAfterMs } = facts;
  // A Retry-After of zero, or one whose date is past, does not say when.
  if (retryAfterMs === null || retryAfterMs === 0) return backoffMs(spec.backoff, facts.attempts, random);
  return spreadRetryAfterMs(retryAfterMs, spec.maxRetryAfterMs, random);
}

const NO_CONNECTION = ["connect-failure", "gateway-error", "5xx"] as const;
const BROKEN_OFF = ["reset", "gateway-error", "5xx"] as const;
const TOO_LATE = ["timeout", "gateway-error", "5xx"] as const;
const NOT_TAKEN = ["refused-stream", "gateway-error", "5xx"] as const;
const NO_GOOD = ["gateway-error", "5xx"] as const;

/** Which conditions a failure meets, the most specific first. Those that are not here meet none. */
const CONDITIONS: Readonly<Partial<Record<FailureKind, readonly RetryCondition[]>>> = {
  "connect-failure": NO_CONNECTION,
  "connect-timeout": NO_CONNECTION,
  "tls-failure": NO_CONNECTION,
  "upstream-reset": BROKEN_OFF,
  "stale-connection": BROKEN_OFF,
  "head-timeout": TOO_LATE,
  "try-timeout": TOO_LATE,
  "idle-timeout": TOO_LATE,
  overflow: NOT_TAKEN,
  "too-many-in-flight": NOT_TAKEN,
  "acquire-timeout": NOT_TAKEN,
  "circuit-open": NOT_TAKEN,
  "no-healthy-upstream": NOT_TAKEN,
  "bad-answer": NO_GOOD,
  "answer-too-large": NO_GOOD,
  "truncated-answer": NO_GOOD,
};

const NO_CONDITIONS: readonly RetryCondition[] = [];

/** The conditions that a failed try meets, the most specific first; empty = it is nobody's business but the client's. */
export function conditionsOfFailure(kind: FailureKind): readonly RetryCondition[] {
  return CONDITIONS[kind] ?? NO_CONDITIONS;
}

/** The most specific configured condition that a failed try meets; null = none. */
export function reasonForFailure(conditions: RetryConditions, kind: FailureKind): RetryReason | null {
  return conditionsOfFailure(kind).find((condition) => conditions.on.includes(condition)) ?? null;
}

/** Whether a failure asks for the fallbacks. An arm that is not asked at all always does, whatever is configured. */
export function failureFallsBack(conditions: RetryConditions, kind: FailureKind): boolean {
  if (kind === "circuit-open" || kind === "no-healthy-upstream") return true;
  return reasonForFailure(conditions, kind) !== null;
}

const CONDITION_BY_GRPC_STATUS: Readonly<Record<number, RetryCondition>> = {
  1: "cancelled",
  4: "deadline-exceeded",
  8: "resource-exhausted",
  13: "internal",
  14: "unavailable",
};
const GRPC_CONDITIONS: readonly RetryReason[] = Object.values(CONDITION_BY_GRPC_STATUS);

/** The most specific configured condition that an answer meets; null = none. `grpcStatus`: null = it says none. */
export function reasonForAnswer(
  conditions: RetryConditions,
  status: number,
  grpcStatus: number | null,
): RetryReason | null {
  const { on, statuses } = conditions;
  if (grpcStatus !== null) {
    const condition = CONDITION_BY_GRPC_STATUS[grpcStatus];
    if (condition !== undefined && on.includes(condition)) return condition;
  }
  if (statuses.length > 0 && statuses.includes(status)) return "retriable-status-codes";
  if (status === 409) return on.includes("retriable-4xx") ? "retriable-4xx" : null;
  if (status >= 502 && status <= 504 && on.includes("gateway-error")) return "gateway-error";
  return status >= 500 && status <= 599 && on.includes("5xx") ? "5xx" : null;
}
