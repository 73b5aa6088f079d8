import assert from "node:assert/strict";
import { test } from "node:test";
import type { CircuitBreakerSpec } from "../../src/model/snapshot.ts";
import { Deadlines } from "../../src/transport/deadlines.ts";
import { Endpoints, type PooledConnection } from "../../src/transport/endpoints.ts";
import { plannedGates, plannedSpec, setBackSince, setHealth, type PlannedArm } from "../support/planned-arms.ts";
import { CIRCUIT_RULES } from "../support/planned-upstreams.ts";

const RULES: CircuitBreakerSpec = { ...CIRCUIT_RULES, consecutiveFailures: 1, openMs: 1_000 };
const CONNECTION: PooledConnection = { closed: false, close: () => {} };

function bench(planned: Partial<PlannedArm> = {}) {
  const gates = plannedGates(1);
  const deadlines = new Deadlines(10, () => 0);
  deadlines.note(100_000);
  const spec = plannedSpec({ role: "baseline", row: 0, endpoints: 3, ...planned });
  const endpoints = new Endpoints<PooledConnection>(spec, { gates, index: 0, threads: 1, deadlines });
  const taken = (): number => {
    const place = endpoints.take();
    return place === null ? -1 : endpoints.all.indexOf(place.endpoint);
  };
  /** How often each is chosen when nothing stays in flight. */
  const shares = (times: number): number[] => {
    const counts = endpoints.all.map(() => 0);
    for (let i = 0; i < times; i++) {
      const index = taken();
      counts[index] = (counts[index] as number) + 1;
    }
    return counts;
  };
  return { gates, deadlines, endpoints, taken, shares };
}

function healthy(gates: Int32Array): void {
  for (const endpoint of [0, 1, 2]) setHealth(gates, 0, endpoint, "healthy");
}

test("ties go round", () => {
  assert.deepEqual(bench().shares(9), [3, 3, 3]);
});

test("the one with the fewest requests in flight is taken", () => {
  const { endpoints, taken } = bench();
  for (const [i, inFlight] of [3, 1, 2].entries()) (endpoints.all[i] as { inFlight: number }).inFlight = inFlight;
  for (let i = 0; i < 5; i++) assert.equal(taken(), 1);
});

test("one that is out leaves its turns to all others alike", () => {
  for (const out of [0, 1, 2]) {
    const { gates, shares } = bench();
    healthy(gates);
    setHealth(gates, 0, out, "unhealthy");
    assert.deepEqual(
      shares(12),
      [0, 1, 2].map((i) => (i === out ? 0 : 6)),
    );
  }
});

for (const [what, health, ejected] of [
  ["unhealthy", "unhealthy", false],
  ["not yet known", "unknown", false],
  ["ejected", "healthy", true],
] as const) {
  test(`one that is ${what} is left out while there is another, and asked when there is none`, () => {
    const { gates, taken, shares } = bench();
    healthy(gates);
    setHealth(gates, 0, 0, health, ejected);
    setHealth(gates, 0, 1, health, ejected);
    for (let i = 0; i < 6; i++) assert.equal(taken(), 2);
    setHealth(gates, 0, 2, health, ejected);
    assert.deepEqual(shares(9), [3, 3, 3]);
  });
}

test("one whose circuit is open is left out, even when all others are unhealthy", () => {
  const { gates, endpoints, taken, deadlines } = bench({ circuitBreaker: RULES });
  healthy(gates);
  endpoints.all[0]?.circuit?.trip(deadlines.recentMs);
  for (let i = 0; i < 6; i++) assert.notEqual(taken(), 0);
  setHealth(gates, 0, 1, "unhealthy");
  setHealth(gates, 0, 2, "unhealthy");
  for (let i = 0; i < 6; i++) assert.notEqual(taken(), 0);
});

test("when the circuits of all are open nobody is taken", () => {
  const { endpoints, deadlines } = bench({ circuitBreaker: RULES });
  for (const { circuit } of endpoints.all) circuit?.trip(deadlines.recentMs);
  assert.equal(endpoints.take(), null);
});

test("a half-open circuit gives its permits one after another", () => {
  const { endpoints, deadlines } = bench({ circuitBreaker: RULES, endpoints: 2 });
  for (const { circuit } of endpoints.all) circuit?.trip(100_000);
  deadlines.note(102_000);
  const places = [endpoints.take(), endpoints.take()];
  assert.equal(new Set(places.map((place) => place?.endpoint)).size, 2);
  for (const place of places) assert.equal(place?.endpoint.circuit?.isProbe(place.ticket), true);
  assert.equal(endpoints.take(), null);
});

test("one that comes back takes part in a growing share of the choices", () => {
  const { gates, deadlines, shares } = bench({ circuitBreaker: { ...RULES, slowStartMs: 10_000 } });
  healthy(gates);
  setBackSince(gates, 0, 0, 100_000);
  const seen: number[] = [];
  for (const part of [0, 0.25, 0.5, 0.75, 1]) {
    deadlines.note(100_000 + part * 10_000);
    seen.push((shares(3_000)[0] as number) / 1_000);
  }
  for (const [i, wanted] of [0.05, 0.25, 0.5, 0.75, 1].entries()) {
    assert.ok(Math.abs((seen[i] as number) - wanted) < 0.05, seen.join(" "));
  }
});

test("one that comes back alone is asked", () => {
  const { gates, taken } = bench();
  for (const endpoint of [1, 2]) setHealth(gates, 0, endpoint, "unhealthy");
  setHealth(gates, 0, 0, "healthy");
  setBackSince(gates, 0, 0, 100_000);
  for (let i = 0; i < 5; i++) assert.equal(taken(), 0);
});

test("a single endpoint is always the one, and has no circuit of its own", () => {
  const { endpoints, gates, taken } = bench({ endpoints: 1, circuitBreaker: RULES });
  setHealth(gates, 0, 0, "unhealthy");
  assert.equal(taken(), 0);
  assert.deepEqual([endpoints.haveCircuits, endpoints.all[0]?.circuit], [false, null]);
});

test("to share only those count that have a connection to share and may be asked", () => {
  const { endpoints, deadlines } = bench({ circuitBreaker: RULES });
  assert.deepEqual([endpoints.mayShare, endpoints.takeShared()], [false, null]);
  endpoints.all[1]?.shared.push(CONNECTION);
  assert.equal(endpoints.mayShare, true);
  assert.equal(endpoints.takeShared()?.endpoint, endpoints.all[1]);
  endpoints.all[1]?.circuit?.trip(deadlines.recentMs);
  assert.deepEqual([endpoints.mayShare, endpoints.takeShared()], [false, null]);
});

test("with outlier detection alone circuits count and never open", () => {
  const { endpoints } = bench({ outliers: true });
  const circuit = endpoints.all[0]?.circuit ?? assert.fail("it counts");
  for (let i = 0; i < 1_000; i++) circuit.report(circuit.admit(1), "failure", false, 1);
  assert.equal(circuit.mayAdmit(1), true);
});
