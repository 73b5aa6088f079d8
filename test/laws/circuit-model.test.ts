import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { CircuitBreakerSpec } from "../../src/model/snapshot.ts";
import { REFUSED, windowTotals } from "../../src/policy/circuit-cell.ts";
import type { Circuit } from "../../src/policy/circuit-cell.ts";
import { CircuitModel } from "../support/circuit-model.ts";
import type { ModelTicket } from "../support/circuit-model.ts";
import { GATE, sharedCircuit, transitionsOf } from "../support/circuits.ts";

const THREADS = 3;

const anyThread = fc.nat({ max: THREADS - 1 });
const anyPick = fc.nat({ max: 1_000 });
const anyOutcome = fc.oneof(
  { weight: 4, arbitrary: fc.constant("failure" as const) },
  { weight: 4, arbitrary: fc.constant("success" as const) },
  { weight: 1, arbitrary: fc.constantFrom("overload" as const, "cancelled" as const) },
);
const anyStep = fc.oneof(
  { weight: 12, arbitrary: fc.record({ kind: fc.constant("call" as const), thread: anyThread, outcome: anyOutcome }) },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant("admit" as const), thread: anyThread }) },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant("report" as const),
      thread: anyThread,
      pick: anyPick,
      outcome: anyOutcome,
      slow: fc.boolean(),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("fail-late" as const), thread: anyThread, pick: anyPick }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("wait" as const), ms: fc.integer({ min: 1, max: 1_500 }) }) },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant("wait" as const),
      ms: fc.constantFrom(1_000, 1_999, 2_000, 4_000, 10_000, 30_000, 70_000),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("tick" as const) }) },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constantFrom("back-share" as const, "may-admit" as const), thread: anyThread }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom("reset" as const, "trip" as const) }) },
);
type Step = typeof anyStep extends fc.Arbitrary<infer S> ? S : never;

const anyRules = fc.record({
  consecutiveFailures: fc.constantFrom(0, 1, 3, 5),
  errorPpm: fc.constantFrom(0, 250_000, 500_000, 1_000_000),
  slowCallPpm: fc.constantFrom(0, 500_000),
  minRequests: fc.constantFrom(1, 4, 10),
  windowMs: fc.constantFrom(1_000, 1_001, 10_000),
  openMs: fc.constantFrom(10, 2_000, 40_000),
  maxOpenMs: fc.constantFrom(10, 7_000, 300_000),
  jitterPpm: fc.constantFrom(0, 100_000),
  halfOpenRequests: fc.integer({ min: 1, max: 4 }),
  halfOpenSuccesses: fc.integer({ min: 1, max: 5 }),
  slowStartMs: fc.constantFrom(0, 5_000),
  autoRecover: fc.boolean(),
});

/** The first is a beginning like any other; the others come past where the clock or its sign wraps. */
const anyStartMs = fc.constantFrom(1_234_567, 2 ** 31 - 20_000, 2 ** 32 - 20_000, 3 * 2 ** 32 + 2 ** 31 - 5_000);

/** The circuits of all threads and the model, side by side. */
class Pair {
  readonly #shared;
  readonly #model: CircuitModel;
  readonly #open: { readonly ticket: number; readonly model: ModelTicket }[] = [];
  readonly #done: { readonly ticket: number; readonly model: ModelTicket }[] = [];
  #nowMs: number;

  constructor(changes: Partial<CircuitBreakerSpec>, startMs: number) {
    this.#shared = sharedCircuit(changes, THREADS);
    // Memory that nobody touched does not know when it began; one that was reset does.
    this.#shared.circuit.reset(startMs);
    this.#nowMs = startMs;
    this.#model = new CircuitModel(this.#shared.rules, "v2 *", 1, startMs);
  }

  take(step: Step): void {
    const nowMs = this.#nowMs;
    switch (step.kind) {
      case "wait":
        this.#nowMs += step.ms;
        return;
      case "admit":
        this.#admit(step.thread);
        return;
      case "call":
        if (this.#admit(step.thread)) this.#report(step.thread, this.#open.length - 1, step.outcome, false);
        return;
      case "report":
        if (this.#open.length > 0) this.#report(step.thread, step.pick % this.#open.length, step.outcome, step.slow);
        return;
      case "fail-late":
        if (this.#done.length > 0) this.#failLate(step.thread, step.pick % this.#done.length);
        return;
      case "tick":
      case "reset":
      case "trip":
        this.#shared.circuit[step.kind](nowMs);
        this.#model[step.kind](nowMs);
        return;
      case "back-share":
        assert.equal(this.#circuit(step.thread).backShare(nowMs + 0.25), this.#model.backShare(nowMs));
        return;
      case "may-admit":
        assert.equal(this.#circuit(step.thread).mayAdmit(nowMs + 0.75), this.#model.mayAdmit(nowMs));
    }
  }

  compare(): void {
    const { gates, circuits, rules } = this.#shared;
    for (const circuit of circuits) assert.deepEqual(circuit.reading(this.#nowMs), this.#model.reading(this.#nowMs));
    assert.deepEqual(windowTotals(gates, GATE, THREADS, rules.windowMs, this.#nowMs), this.#model.totals(this.#nowMs));
    assert.deepEqual(transitionsOf(this.#shared), this.#model.transitions);
  }

  #circuit(thread: number): Circuit {
    return this.#shared.circuits[thread] as Circuit;
  }

  #admit(thread: number): boolean {
    const circuit = this.#circuit(thread);
    const ticket = circuit.admit(this.#nowMs);
    const model = this.#model.admit(this.#nowMs);
    assert.equal(ticket === REFUSED, model === null, "both admit or both refuse");
    if (model === null) return false;
    assert.equal(circuit.isProbe(ticket), model.isProbe);
    this.#open.push({ ticket, model });
    return true;
  }

  #report(
    thread: number,
    index: number,
    outcome: "success" | "failure" | "overload" | "cancelled",
    slow: boolean,
  ): void {
    const [call] = this.#open.splice(index, 1);
    if (call === undefined) return;
    this.#circuit(thread).report(call.ticket, outcome, slow, this.#nowMs);
    this.#model.report(call.model, outcome, slow, this.#nowMs);
    if (outcome === "success") this.#done.push(call);
  }

  #failLate(thread: number, index: number): void {
    const [call] = this.#done.splice(index, 1);
    if (call === undefined) return;
    this.#circuit(thread).failLate(call.ticket, this.#nowMs);
    this.#model.failLate(call.model, this.#nowMs);
  }
}

test("the circuits of several threads do together what one simple circuit does, whatever happens in whatever order", () => {
  fc.assert(
    fc.property(anyRules, anyStartMs, fc.array(anyStep, { maxLength: 150, size: "max" }), (changes, startMs, steps) => {
      const pair = new Pair(changes, startMs);
      for (const step of steps) {
        pair.take(step);
        pair.compare();
      }
    }),
    { numRuns: 2_500 },
  );
});
