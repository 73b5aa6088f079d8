import type { DecisionReason } from "../base/cells.ts";
import type { FailureKind } from "../base/failure.ts";
import type { Decision } from "../model/decide.ts";
import { refusalKind, NO_TICKET, UNHEALTHY } from "./gate.ts";
import type { BoundArm } from "./bound-arm.ts";
import { armFor, type Plan } from "./plan.ts";

/** What is entered: an exchange or an upgrade. */
export interface Entrant {
  plan: Plan | null;
  decision: Decision | null;
  arm: BoundArm | null;
  /** What the arm's circuit gave; it must be reported or given back. */
  ticket: number;
}

/**
 * Takes an entrant to the arm that its decision means, through its gate. A caller whose candidate is not to be asked is
 * served by the baseline this time; the assignment does not change by it. Null, or why the baseline cannot be asked either.
 */
export function enter(who: Entrant, plan: Plan, decision: Decision, nowMs: number): FailureKind | null {
  const arm = armFor(plan, decision);
  who.plan = plan;
  who.decision = decision;
  if (arm.arm === "candidate") {
    const why = enterCandidate(who, plan, arm, decision, nowMs);
    if (why === null) return null;
    who.decision = { ...decision, arm: "baseline", reason: why };
  }
  return enterArm(who, plan.baseline, nowMs);
}

/** Through one arm's gate; null, or why it refuses. */
export function enterArm(who: Entrant, arm: BoundArm, nowMs: number): FailureKind | null {
  who.arm = arm;
  who.ticket = arm.gate === null ? NO_TICKET : arm.gate.admit(nowMs);
  if (who.ticket >= 0) return null;
  const why = refusalKind(who.ticket);
  who.ticket = NO_TICKET;
  return why;
}

/** Enters the candidate; or says why the baseline has to serve. */
function enterCandidate(
  who: Entrant,
  plan: Plan,
  arm: BoundArm,
  decision: Decision,
  nowMs: number,
): DecisionReason | null {
  who.arm = arm;
  who.ticket = NO_TICKET;
  if (arm.gate === null) return null;
  // Callers come back in the order of their buckets, so that nobody goes to and fro.
  const back = arm.gate.circuit?.backShare(nowMs) ?? 1;
  if (back < 1 && decision.bucket >= plan.lastPpm * back) return "slow-start";
  const answer = arm.gate.admit(nowMs);
  if (answer < 0) return answer === UNHEALTHY ? "unhealthy" : "circuit-open";
  who.ticket = answer;
  return null;
}
