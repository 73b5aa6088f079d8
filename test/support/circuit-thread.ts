import { parentPort, workerData } from "node:worker_threads";
import { REFUSED } from "../../src/policy/circuit-cell.ts";
import type { Circuit, CallOutcome } from "../../src/policy/circuit-cell.ts";
import type { CircuitBreakerSpec } from "../../src/model/snapshot.ts";
import { sharedCircuit } from "./circuits.ts";

/** What a thread is born with. */
export interface CircuitThreadStart {
  readonly gates: Int32Array;
  readonly thread: number;
  readonly threads: number;
  /** The start gun: threads wait until word 0 leaves the round that was before. Word 1: calls under way; word 2: most of them. */
  readonly gun: Int32Array;
}

/** What all threads do in one round. */
export interface CircuitOrder {
  readonly round: number;
  readonly nowMs: number;
  readonly rules: Partial<CircuitBreakerSpec>;
  /**
   * admit: takes tickets and keeps them. report: reports those. probe: takes tickets and gives each back, counting how many
   * are out on all threads. live: calls whose outcomes are drawn, over a time that passes.
   */
  readonly deed: "admit" | "report" | "probe" | "live";
  readonly times: number;
  readonly outcome: CallOutcome;
}

/** What a thread answers: that it stands ready, then how many tickets it got. */
export type CircuitAnswer = { readonly kind: "ready" } | { readonly kind: "done"; readonly admitted: number };

const { gates, gun, thread, threads } = workerData as CircuitThreadStart;
const held: number[] = [];

parentPort?.on("message", (order: CircuitOrder) => {
  const circuit = sharedCircuit(order.rules, threads, gates).circuits[thread] as Circuit;
  say({ kind: "ready" });
  Atomics.wait(gun, 0, order.round - 1);
  say({ kind: "done", admitted: obey(circuit, order) });
});

function say(answer: CircuitAnswer): void {
  parentPort?.postMessage(answer);
}

function obey(circuit: Circuit, order: CircuitOrder): number {
  switch (order.deed) {
    case "admit":
      return admit(circuit, order);
    case "report":
      for (const ticket of held.splice(0)) circuit.report(ticket, order.outcome, false, order.nowMs);
      return 0;
    case "probe":
      return probe(circuit, order);
    case "live":
      return live(circuit, order);
  }
}

function admit(circuit: Circuit, { nowMs, times }: CircuitOrder): number {
  for (let i = 0; i < times; i++) {
    const ticket = circuit.admit(nowMs);
    if (ticket !== REFUSED) held.push(ticket);
  }
  return held.length;
}

function probe(circuit: Circuit, { nowMs, times, outcome }: CircuitOrder): number {
  let admitted = 0;
  for (let i = 0; i < times; i++) {
    const ticket = circuit.admit(nowMs);
    if (ticket === REFUSED) continue;
    admitted++;
    noteMost(Atomics.add(gun, 1, 1) + 1);
    Atomics.sub(gun, 1, 1);
    circuit.report(ticket, outcome, false, nowMs);
  }
  return admitted;
}

function noteMost(count: number): void {
  for (let most = Atomics.load(gun, 2); count > most; most = Atomics.load(gun, 2)) {
    if (Atomics.compareExchange(gun, 2, most, count) === most) return;
  }
}

function live(circuit: Circuit, { nowMs, times }: CircuitOrder): number {
  let admitted = 0;
  let dice = thread + 1;
  for (let i = 0; i < times; i++) {
    const thenMs = nowMs + (i >> 3);
    const ticket = circuit.admit(thenMs);
    if (ticket === REFUSED) continue;
    admitted++;
    dice = (Math.imul(dice, 1_664_525) + 1_013_904_223) >>> 0;
    circuit.report(ticket, dice >>> 30 === 0 ? "failure" : "success", false, thenMs);
  }
  return admitted;
}
