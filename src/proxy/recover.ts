import { FAILURES, type Failure } from "../base/failure.ts";
import type { AttemptInfo } from "../model/exchange-types.ts";
import { isIdempotent } from "../model/methods.ts";

/** What the recovery rules know of an exchange. */
export interface RecoveryFacts {
  readonly method: string;
  /** The client has seen a status line. */
  readonly committed: boolean;
  readonly attempts: number;
  /** Request body bytes that were already handed to an attempt: they cannot be sent again. */
  readonly bodyBytesUsed: number;
}

/**
 * Whether a failed try is repeated at once on a fresh connection. Only the keep-alive race is: the upstream closed an
 * idle connection just as we used it. A request that may have been processed is repeated only if its method is
 * idempotent (RFC 9110 §9.2.2).
 */
export function mayRetry(why: Failure, info: AttemptInfo, facts: RecoveryFacts): boolean {
  if (facts.committed || facts.attempts > 1 || facts.bodyBytesUsed > 0) return false;
  if (why.kind !== "stale-connection") return false;
  return FAILURES[why.kind].retriable === "idempotent" && (!info.sent || isIdempotent(facts.method));
}
