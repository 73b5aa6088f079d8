import { RETRY_REASONS, RETRY_SKIPS, ROUTE_WORDS } from "../base/cells.ts";
import { FAILURES, type FailureKind } from "../base/failure.ts";
import type { OutgoingHead, RequestHead, ResponseHead } from "../model/exchange-types.ts";
import { headerValue } from "../model/headers.ts";
import { isIdempotent, isSafe } from "../model/methods.ts";
import { failureFallsBack, mayRepeat, reasonForAnswer, reasonForFailure } from "../policy/retry.ts";
import { retryAfterMs } from "../policy/retry-after.ts";
import type { StaleRequest } from "../policy/stale-rules.ts";
import type { BoundArm } from "./bound-arm.ts";
import type { Plan } from "./plan.ts";
import { add } from "./record.ts";
import type { RecoveryPlan, Rung } from "./recovery-plan.ts";
import type { Road } from "./road.ts";
import type { StaleAnswer } from "./stale-store.ts";

/** What went wrong with a try: it failed, or its answer is one that the route does not want. */
export type Problem =
  | { readonly kind: "failure"; readonly failure: FailureKind; readonly sent: boolean }
  | { readonly kind: "answer"; readonly head: ResponseHead; readonly grpcStatus: number | null };

/** What is done about it. `end`: nothing more; `asked` = some rung of the ladder would have been for it. */
export type NextMove =
  | { readonly kind: "retry"; readonly waitMs: number }
  | { readonly kind: "arm"; readonly arm: BoundArm; readonly rung: "arm" | "upstream" }
  | { readonly kind: "stale"; readonly answer: StaleAnswer; readonly cells: Float64Array }
  | { readonly kind: "static"; readonly rung: Extract<Rung, { readonly kind: "static" }> }
  | { readonly kind: "end"; readonly asked: boolean };

/** What the exchange knows at that moment. */
export interface Moment {
  readonly arm: BoundArm;
  readonly attempts: number;
  /** Time until the deadline of the whole exchange; null = it has none. */
  readonly remainingMs: number | null;
  readonly nowMs: number;
  /** What has come of the body can be sent again. */
  readonly bodyIsWhole: boolean;
}

/** The request, as the rules look at it. */
export interface RecoveryRequest {
  readonly head: RequestHead;
  readonly outgoing: OutgoingHead;
  /** The caller's sticky key; null when it has none. */
  readonly stickyKey: string | null;
}

/**
 * Decides what one exchange may still do when a try does not go well. First the same arm again, as the retry rules allow;
 * then down the ladder, each rung at most once. It acts on nothing but the budget, in which a retry has its place.
 */
export class RecoveryMoves {
  readonly #plan: RecoveryPlan;
  readonly #route: Plan;
  readonly #road: Road;
  readonly #request: RecoveryRequest;
  #rung = 0;

  constructor(plan: RecoveryPlan, route: Plan, road: Road, request: RecoveryRequest) {
    this.#plan = plan;
    this.#route = route;
    this.#road = road;
    this.#request = request;
  }

  /** What to do about a problem; taken as decided, so it is asked once for each. */
  next(problem: Problem, at: Moment): NextMove {
    const retry = this.#retryMove(problem, at);
    return retry ?? this.#ladderMove(problem, at);
  }

  #retryMove(problem: Problem, { arm, attempts, remainingMs, bodyIsWhole }: Moment): NextMove | null {
    const { retry, budget } = this.#plan;
    // A fallback gets one try: it is asked because somebody else had too many.
    if (retry === null || budget === null || this.#rung > 0) return null;
    const reason =
      problem.kind === "failure"
        ? reasonForFailure(retry, problem.failure)
        : reasonForAnswer(retry, problem.head.status, problem.grpcStatus);
    if (reason === null) return null;
    const facts = {
      reason,
      failure: problem.kind === "failure" ? problem.failure : null,
      sent: problem.kind === "answer" || problem.sent,
      method: this.#request.head.method,
      hasIdempotencyKey: retry.idempotencyKey && headerValue(this.#request.head.headers, "idempotency-key") !== null,
      committed: false,
      attempts,
      bodyIsWhole,
      retryAfterMs: problem.kind === "failure" ? null : this.#retryAfter(problem.head),
      remainingMs,
      armIsOpen: arm.gate?.mayAdmit(this.#road.clock.nowMs()) ?? true,
    };
    const decision = mayRepeat(retry, facts, budget, this.#road.random);
    if (decision.kind === "stop") {
      if (decision.skip !== null) this.#count(ROUTE_WORDS.retrySkips + RETRY_SKIPS.indexOf(decision.skip));
      return null;
    }
    this.#count(ROUTE_WORDS.retries + RETRY_REASONS.indexOf(reason));
    return { kind: "retry", waitMs: decision.waitMs };
  }

  #retryAfter(head: ResponseHead): number | null {
    const value = headerValue(head.headers, "retry-after");
    return value === null ? null : retryAfterMs(value, this.#road.clock.wallMs());
  }

  #ladderMove(problem: Problem, at: Moment): NextMove {
    if (!this.#isForLadder(problem)) return { kind: "end", asked: false };
    let asked = this.#rung > 0;
    while (this.#rung < this.#plan.rungs.length) {
      const rung = this.#plan.rungs[this.#rung++] as Rung;
      const move = this.#moveOf(rung, problem, at);
      if (move !== null) return move;
      asked ||= this.#isFree(problem);
    }
    return { kind: "end", asked };
  }

  #isForLadder(problem: Problem): boolean {
    const { fallbackOn, rungs } = this.#plan;
    if (rungs.length === 0) return false;
    if (problem.kind === "answer") return reasonForAnswer(fallbackOn, problem.head.status, problem.grpcStatus) !== null;
    return problem.failure === "total-timeout" || failureFallsBack(fallbackOn, problem.failure);
  }

  #moveOf(rung: Rung, problem: Problem, at: Moment): NextMove | null {
    switch (rung.kind) {
      case "arm": {
        const arm = this.#otherArm(at.arm);
        return arm !== null && this.#maySend(problem, arm, at) ? { kind: "arm", arm, rung: "arm" } : null;
      }
      case "stale": {
        const answer = rung.store.find(staleRequestOf(this.#request), at.nowMs);
        return answer === null ? null : { kind: "stale", answer, cells: rung.cells };
      }
      case "static":
        return this.#isFree(problem) ? { kind: "static", rung } : null;
      case "upstream":
        return this.#maySend(problem, rung.arm, at) ? { kind: "arm", arm: rung.arm, rung: "upstream" } : null;
    }
  }

  #otherArm(arm: BoundArm): BoundArm | null {
    if (arm.arm === "candidate") return this.#route.baseline;
    // Never silently to v2: not for writes, and not after somebody took all callers back.
    const { candidate, lastKilled, lastPpm } = this.#route;
    const isOffered = candidate !== null && !lastKilled && lastPpm > 0;
    return isOffered && arm.arm === "baseline" ? candidate : null;
  }

  /** Whether the request may go to another arm after what happened. */
  #maySend(problem: Problem, arm: BoundArm, { bodyIsWhole }: Moment): boolean {
    const { method } = this.#request.head;
    if (problem.kind === "failure" && problem.failure === "total-timeout") return false;
    if (!bodyIsWhole) return false;
    if (arm.arm === "candidate") return isSafe(method) && this.#request.outgoing.body.kind === "none";
    return !wasSent(problem) || isIdempotent(method);
  }

  /** Whether an answer of ours can stand for it: nothing happened yet, or nothing could. */
  #isFree(problem: Problem): boolean {
    return !wasSent(problem) || isSafe(this.#request.head.method);
  }

  #count(word: number): void {
    add(this.#route.cells, word, 1);
  }
}

/** The request as the store of last good answers looks at it. */
export function staleRequestOf({ head, outgoing, stickyKey }: RecoveryRequest): StaleRequest {
  return { headers: head.headers, outgoing, key: stickyKey };
}

/** The upstream may have acted on the request. */
function wasSent(problem: Problem): boolean {
  if (problem.kind === "answer") return true;
  return problem.sent && FAILURES[problem.failure].retriable !== "unsent";
}
