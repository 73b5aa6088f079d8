import { GATE_WORDS, gateStride, statusHealth } from "../base/gates.ts";
import type { FailureKind } from "../base/failure.ts";
import type { Arm, UpstreamSpec } from "../model/snapshot.ts";
import { REFUSED, type Circuit } from "../policy/circuit-cell.ts";

/** What a gate answers instead of a ticket. */
export const CIRCUIT_OPEN = -1;
/** What a gate answers when no endpoint is known to be well. */
export const UNHEALTHY = -2;

/** The ticket of an upstream without a circuit. */
export const NO_TICKET = 0;

/** The gates of all upstreams, and for how many threads they were made. */
export interface GateTable {
  readonly gates: Int32Array;
  readonly threads: number;
}

/**
 * Whether an arm may be asked now: some endpoint is healthy and the circuit lets somebody through. A candidate needs an
 * endpoint that has passed a check; a baseline that nobody has checked yet is asked, since it served before us.
 */
export class Gate {
  readonly circuit: Circuit | null;
  readonly #gates: Int32Array;
  /** Status words of the endpoints; empty when nobody checks them. */
  readonly #statuses: readonly number[];
  readonly #trustsUnknown: boolean;
  readonly #panics: boolean;

  /** `gateFor` makes one only where there is something to ask. */
  constructor(role: Arm | "fallback", spec: UpstreamSpec, circuit: Circuit | null, table: GateTable) {
    const stride = gateStride(table.threads);
    this.circuit = circuit;
    this.#gates = table.gates;
    this.#statuses =
      spec.health === null ? [] : spec.cells.endpointGates.map((gate) => gate * stride + GATE_WORDS.status);
    this.#trustsUnknown = role !== "candidate";
    this.#panics = role !== "candidate" && spec.health?.panic === "send";
  }

  /** A ticket of the circuit, which must be reported; or CIRCUIT_OPEN, or UNHEALTHY. */
  admit(nowMs: number): number {
    if (!this.#isWell()) return UNHEALTHY;
    if (this.circuit === null) return NO_TICKET;
    const ticket = this.circuit.admit(nowMs);
    return ticket === REFUSED ? CIRCUIT_OPEN : ticket;
  }

  /** Whether `admit` would give a ticket now. */
  mayAdmit(nowMs: number): boolean {
    return this.#isWell() && this.circuit?.mayAdmit(nowMs) !== false;
  }

  /** A permit was taken and never used. */
  giveBack(ticket: number, nowMs: number): void {
    this.circuit?.report(ticket, "cancelled", false, nowMs);
  }

  #isWell(): boolean {
    if (this.#statuses.length === 0 || this.#panics) return true;
    return this.#statuses.some((word) => this.#isUsable(word));
  }

  #isUsable(word: number): boolean {
    const health = statusHealth(Atomics.load(this.#gates, word));
    return health === "healthy" || health === "unchecked" || (health === "unknown" && this.#trustsUnknown);
  }
}

/** The gate of an arm; null when there is neither health nor circuit to ask. */
export function gateFor(
  role: Arm | "fallback",
  spec: UpstreamSpec,
  circuit: Circuit | null,
  table: GateTable,
): Gate | null {
  return spec.health === null && circuit === null ? null : new Gate(role, spec, circuit, table);
}

/** The failure that a refusal means. */
export function refusalKind(answer: number): FailureKind {
  return answer === UNHEALTHY ? "no-healthy-upstream" : "circuit-open";
}
