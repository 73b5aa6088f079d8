import { GATE_WORDS, gateStride } from "../../src/base/gates.ts";
import type { CircuitBreakerSpec } from "../../src/model/snapshot.ts";
import { Circuit } from "../../src/policy/circuit-cell.ts";

/** The defaults of the configuration without jitter: tests that mean dice say so. */
export const PLAIN_RULES: CircuitBreakerSpec = {
  consecutiveFailures: 3,
  errorPpm: 500_000,
  slowCallPpm: 0,
  slowCallMs: 0,
  minRequests: 20,
  windowMs: 10_000,
  openMs: 30_000,
  maxOpenMs: 300_000,
  jitterPpm: 0,
  halfOpenRequests: 3,
  halfOpenSuccesses: 3,
  slowStartMs: 5_000,
  autoRecover: true,
};

/** The gate that circuits under test have; not the first, so that a mistake in an offset shows. */
export const GATE = 2;

/** Circuits of several threads on one gate. */
export interface SharedCircuit {
  readonly gates: Int32Array;
  readonly threads: number;
  readonly rules: CircuitBreakerSpec;
  /** One for each thread. */
  readonly circuits: readonly Circuit[];
  /** That of thread 0. */
  readonly circuit: Circuit;
}

/** Makes them; what is not given is as in `PLAIN_RULES`. `gates`: those of others, to join them. */
export function sharedCircuit(
  changes: Partial<CircuitBreakerSpec> = {},
  threads = 1,
  gates: Int32Array = new Int32Array(new SharedArrayBuffer(4 * gateStride(threads) * (GATE + 2))),
): SharedCircuit {
  const rules = { ...PLAIN_RULES, ...changes };
  const circuits = Array.from(
    { length: threads },
    (_, thread) => new Circuit(gates, GATE, { thread, threads }, rules, "v2 *"),
  );
  return { gates, threads, rules, circuits, circuit: circuits[0] as Circuit };
}

/** How often the gate came to each state. */
export function transitionsOf({ gates, threads }: Pick<SharedCircuit, "gates" | "threads">): {
  readonly open: number;
  readonly halfOpen: number;
  readonly closed: number;
} {
  const start = GATE * gateStride(threads);
  return {
    open: Atomics.load(gates, start + GATE_WORDS.toOpen),
    halfOpen: Atomics.load(gates, start + GATE_WORDS.toHalfOpen),
    closed: Atomics.load(gates, start + GATE_WORDS.toClosed),
  };
}

/** One whole call: admitted, then reported. Returns whether it was admitted. */
export function call(
  circuit: Circuit,
  outcome: "success" | "failure" | "overload" | "cancelled",
  nowMs: number,
  slow = false,
): boolean {
  const ticket = circuit.admit(nowMs);
  if (ticket < 0) return false;
  circuit.report(ticket, outcome, slow, nowMs);
  return true;
}
