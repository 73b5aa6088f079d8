import assert from "node:assert/strict";
import { once } from "node:events";
import { after, test } from "node:test";
import { Worker } from "node:worker_threads";
import { windowTotals } from "../../src/policy/circuit-cell.ts";
import type { CircuitAnswer, CircuitOrder, CircuitThreadStart } from "../support/circuit-thread.ts";
import { GATE, sharedCircuit, transitionsOf } from "../support/circuits.ts";
import type { SharedCircuit } from "../support/circuits.ts";

const THREADS = 8;
const ROUNDS = 40;
const START_MS = 7_000_000;
const DUE_MS = START_MS + 30_000;

const { gates } = sharedCircuit({}, THREADS);
const gun = new Int32Array(new SharedArrayBuffer(12));
const workers = Array.from({ length: THREADS }, (_, thread) => {
  const workerData: CircuitThreadStart = { gates, gun, thread, threads: THREADS };
  return new Worker(new URL("../support/circuit-thread.ts", import.meta.url), { workerData });
});
after(() => Promise.all(workers.map((worker) => worker.terminate())));

async function heard(worker: Worker): Promise<CircuitAnswer> {
  const [answer] = (await once(worker, "message")) as [CircuitAnswer];
  return answer;
}

/** Lets all threads loose on the circuit at the same moment; how many tickets each of them got. */
async function fire(order: Omit<CircuitOrder, "round">): Promise<readonly number[]> {
  const round = Atomics.load(gun, 0) + 1;
  const ready = workers.map(heard);
  for (const worker of workers) worker.postMessage({ ...order, round });
  await Promise.all(ready);
  const done = workers.map(heard);
  Atomics.store(gun, 0, round);
  Atomics.notify(gun, 0);
  const answers = await Promise.all(done);
  return answers.map((answer) => (answer.kind === "done" ? answer.admitted : 0));
}

function sum(counts: readonly number[]): number {
  return counts.reduce((total, count) => total + count, 0);
}

/** The main thread's hand on the circuit, freshly closed. */
function closedCircuit(rules: CircuitOrder["rules"]): SharedCircuit {
  const shared = sharedCircuit(rules, THREADS, gates);
  shared.circuit.reset(START_MS);
  return shared;
}

test("of eight threads that ask at the same moment exactly as many become probes as are allowed", async () => {
  for (let round = 0; round < ROUNDS; round++) {
    const probes = [1, 3, 10, 100][round % 4] as number;
    const rules = { halfOpenRequests: probes, halfOpenSuccesses: probes };
    const shared = closedCircuit(rules);
    shared.circuit.trip(START_MS);
    const before = transitionsOf(shared);
    const admitted = await fire({ deed: "admit", rules, nowMs: DUE_MS, times: 200, outcome: "success" });
    assert.equal(sum(admitted), probes);
    assert.equal(shared.circuit.reading(DUE_MS).probes, probes);

    const outcome = round % 2 === 0 ? "success" : "failure";
    await fire({ deed: "report", rules, nowMs: DUE_MS, times: 0, outcome });
    const now = transitionsOf(shared);
    assert.equal(now.halfOpen - before.halfOpen, 1);
    assert.equal(now.closed - before.closed, outcome === "success" ? 1 : 0);
    assert.equal(now.open - before.open, outcome === "failure" ? 1 : 0);
    assert.equal(shared.circuit.reading(DUE_MS).level, outcome === "failure" ? 1 : 0);
  }
});

test("permits that come and go on eight threads are never more than allowed, and none is lost", async () => {
  for (const probes of [1, 3, 7]) {
    const rules = { halfOpenRequests: probes, halfOpenSuccesses: probes };
    const { circuit } = closedCircuit(rules);
    circuit.trip(START_MS);
    Atomics.store(gun, 2, 0);
    const admitted = await fire({ deed: "probe", rules, nowMs: DUE_MS, times: 5_000, outcome: "cancelled" });
    assert.ok(sum(admitted) > 0);
    assert.ok(Atomics.load(gun, 2) <= probes, `${Atomics.load(gun, 2)} were out`);
    const { kind, probes: out, successes } = circuit.reading(DUE_MS);
    assert.deepEqual({ kind, out, successes }, { kind: "half-open", out: 0, successes: 0 });
  }
});

test("failures that arrive on eight threads at the same moment open it exactly once, and none of them is lost", async () => {
  const off = { consecutiveFailures: 0, errorPpm: 0 };
  for (let round = 0; round < ROUNDS; round++) {
    const isRow = round % 4 < 2;
    // So many that the threads overlap, on a machine with few cores too; the sum of the window takes longer by itself.
    const each = isRow ? 4_000 : 400;
    const all = THREADS * each;
    const limit = round % 2 === 0 ? all : all + 1;
    const rules = isRow ? { ...off, consecutiveFailures: limit } : { ...off, errorPpm: 1, minRequests: limit };
    const shared = closedCircuit(rules);
    const { circuit } = shared;
    const before = transitionsOf(shared).open;
    const admitted = await fire({ deed: "admit", rules, nowMs: START_MS, times: each, outcome: "failure" });
    assert.equal(sum(admitted), all);
    await fire({ deed: "report", rules, nowMs: START_MS, times: 0, outcome: "failure" });
    if (limit > all) {
      assert.equal(circuit.reading(START_MS).kind, "closed", "one is missing");
      assert.equal(windowTotals(gates, GATE, THREADS, shared.rules.windowMs, START_MS).failures, all);
      circuit.report(circuit.admit(START_MS), "failure", false, START_MS);
    }
    assert.equal(circuit.reading(START_MS).kind, "open");
    assert.equal(transitionsOf(shared).open - before, 1);
  }
});

test("eight threads that call on and on bring it through its states in order, and leave no permit behind", async () => {
  const rules = { consecutiveFailures: 3, openMs: 10, maxOpenMs: 40, slowStartMs: 5, jitterPpm: 100_000 };
  const shared = closedCircuit(rules);
  const before = transitionsOf(shared);
  const admitted = await fire({ deed: "live", rules, nowMs: START_MS, times: 40_000, outcome: "success" });
  const after = transitionsOf(shared);
  const { kind, probes } = shared.circuit.reading(START_MS + 5_000);
  const opened = after.open - before.open;
  const halfOpened = after.halfOpen - before.halfOpen;
  const closed = after.closed - before.closed;
  assert.ok(opened > 20 && closed > 5 && sum(admitted) > 1_000, `opened ${opened}, closed ${closed} times`);
  assert.equal(opened - halfOpened, kind === "open" ? 1 : 0, "out of open leads half-open alone");
  const tripped = closed + 1 - (kind === "closed" ? 1 : 0);
  const reopened = opened - tripped;
  assert.equal(halfOpened - closed - reopened, kind === "half-open" ? 1 : 0, "out of half-open leads closed or open");
  assert.equal(probes, 0);
});
