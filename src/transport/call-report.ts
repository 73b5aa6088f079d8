import { FAILURES, type FailureKind } from "../base/failure.ts";
import type { RawHeaders, ResponseHead } from "../model/exchange-types.ts";
import { headerValue } from "../model/headers.ts";
import type { CallOutcome, Circuit } from "../policy/circuit-cell.ts";
import { grpcStatusOf, isGrpc } from "../policy/grpc.ts";

/**
 * Tells circuits how one call went, each exactly once: that of the upstream as a whole, which gave its ticket before the
 * attempt, and that of the endpoint, once one was chosen. `docs/circuit-breaker.md` has the table of what counts.
 */
export class CallReport {
  readonly #circuit: Circuit | null;
  readonly #ticket: number;
  /** All gRPC is POST: nothing else is looked at for its statuses. */
  readonly #mayBeGrpc: boolean;
  readonly #slowMs: number;
  #endpointCircuit: Circuit | null = null;
  #endpointTicket = 0;
  #startedMs = 0;
  #isSlow = false;
  #isGrpc = false;
  #told: "nothing" | "probe" | "all" = "nothing";

  /** `slowMs`: a longer time to the head counts as slow; 0 = none does. */
  constructor(circuit: Circuit | null, ticket: number, method: string, slowMs: number) {
    this.#circuit = circuit;
    this.#ticket = ticket;
    this.#mayBeGrpc = method === "POST";
    this.#slowMs = slowMs;
  }

  /** Calls are timed, so the times that it is told must be exact. */
  get timesCalls(): boolean {
    return this.#slowMs > 0;
  }

  /** An endpoint was chosen, whose circuit gave this ticket. */
  atEndpoint(circuit: Circuit, ticket: number): void {
    this.#endpointCircuit = circuit;
    this.#endpointTicket = ticket;
  }

  /** The request is on its way. */
  started(nowMs: number): void {
    this.#startedMs = nowMs;
  }

  /** A final head came. */
  onHead(head: ResponseHead, nowMs: number): void {
    if (this.#told !== "nothing") return;
    this.#isSlow = this.#slowMs > 0 && nowMs - this.#startedMs > this.#slowMs;
    this.#isGrpc = this.#mayBeGrpc && isGrpc(headerValue(head.headers, "content-type"));
    const outcome = this.#isGrpc ? outcomeOfGrpc(head.headers) : outcomeOfStatus(head.status);
    if (outcome !== "success") this.#tell(outcome, nowMs);
    // A probe that streams for hours must not keep its permit for hours: a good head is good news enough.
    else if (this.#isProbe) this.#tellProbe(nowMs);
  }

  /** The answer is complete. */
  onEnd(trailers: RawHeaders | null, nowMs: number): void {
    const outcome = this.#isGrpc && trailers !== null ? outcomeOfGrpc(trailers) : "success";
    if (this.#told === "nothing") this.#tell(outcome, nowMs);
    else if (outcome === "failure") this.#failLate(nowMs);
  }

  /** The attempt failed, or was given up by its engine. */
  onFailure(kind: FailureKind, nowMs: number): void {
    const outcome = outcomeOfFailure(kind);
    if (this.#told === "nothing") this.#tell(outcome, nowMs);
    else if (outcome === "failure") this.#failLate(nowMs);
  }

  get #isProbe(): boolean {
    return (
      this.#circuit?.isProbe(this.#ticket) === true || this.#endpointCircuit?.isProbe(this.#endpointTicket) === true
    );
  }

  #tellProbe(nowMs: number): void {
    this.#tell("success", nowMs);
    this.#told = "probe";
  }

  #tell(outcome: CallOutcome, nowMs: number): void {
    this.#told = "all";
    this.#circuit?.report(this.#ticket, outcome, this.#isSlow, nowMs);
    this.#endpointCircuit?.report(this.#endpointTicket, outcome, this.#isSlow, nowMs);
  }

  #failLate(nowMs: number): void {
    if (this.#told !== "probe") return;
    this.#told = "all";
    this.#circuit?.failLate(this.#ticket, nowMs);
    this.#endpointCircuit?.failLate(this.#endpointTicket, nowMs);
  }
}

/** By status, for an answer that carries no gRPC status; `docs/circuit-breaker.md` has the table. */
export function outcomeOfStatus(status: number): CallOutcome {
  if (status === 429) return "overload";
  return status >= 500 && status !== 501 && status !== 505 ? "failure" : "success";
}

/** By grpc-status: unknown, deadline exceeded, internal, unavailable and data loss are the server's failures. */
function outcomeOfGrpc(fields: RawHeaders): CallOutcome {
  switch (grpcStatusOf(fields) ?? 0) {
    case 8:
      return "overload";
    case 2:
    case 4:
    case 13:
    case 14:
    case 15:
      return "failure";
    default:
      return "success";
  }
}

/** What the upstream is to blame for counts; a client that left, a full queue of ours or a lost race says nothing about it. */
function outcomeOfFailure(kind: FailureKind): CallOutcome {
  // An idle connection that closed as we used it is nobody's fault; the next try will tell.
  if (kind === "stale-connection") return "cancelled";
  return FAILURES[kind].fault === "upstream" ? "failure" : "cancelled";
}
