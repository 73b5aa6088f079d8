import assert from "node:assert/strict";
import { test } from "node:test";
import { GATE_WORDS, gateStride } from "../../src/base/gates.ts";
import { REFUSED, windowTotals } from "../../src/policy/circuit-cell.ts";
import type { Circuit } from "../../src/policy/circuit-cell.ts";
import { call, GATE, sharedCircuit, transitionsOf } from "../support/circuits.ts";
import type { SharedCircuit } from "../support/circuits.ts";

const START_MS = 5_000_000;
const OFF = 0;

function fail(circuit: Circuit, times: number, nowMs: number): void {
  for (let i = 0; i < times; i++) call(circuit, "failure", nowMs);
}

function succeed(circuit: Circuit, times: number, nowMs: number): void {
  for (let i = 0; i < times; i++) call(circuit, "success", nowMs);
}

/** Admits until refused; the tickets. */
function takeAll(circuit: Circuit, nowMs: number): number[] {
  const tickets: number[] = [];
  for (let ticket = circuit.admit(nowMs); ticket !== REFUSED; ticket = circuit.admit(nowMs)) tickets.push(ticket);
  return tickets;
}

/** Open at `START_MS`, due 30 s later. */
function openCircuit(changes: Parameters<typeof sharedCircuit>[0] = {}, threads = 1): SharedCircuit {
  const shared = sharedCircuit(changes, threads);
  shared.circuit.reset(START_MS);
  shared.circuit.trip(START_MS);
  return shared;
}

test("a circuit opens with exactly the configured number of failures in a row, and refuses at once", () => {
  const { circuit } = sharedCircuit({ consecutiveFailures: 3, errorPpm: OFF });
  fail(circuit, 2, START_MS);
  assert.equal(circuit.reading(START_MS).kind, "closed");
  fail(circuit, 1, START_MS);
  assert.deepEqual(circuit.reading(START_MS), {
    kind: "open",
    sinceMs: 0,
    retryInMs: 30_000,
    level: 0,
    probes: 0,
    successes: 0,
  });
  assert.equal(circuit.mayAdmit(START_MS), false);
  assert.equal(circuit.admit(START_MS), REFUSED);
});

test("a success in between begins the row of failures anew", () => {
  const { circuit } = sharedCircuit({ consecutiveFailures: 3, errorPpm: OFF });
  for (let i = 0; i < 100; i++) {
    fail(circuit, 2, START_MS);
    succeed(circuit, 1, START_MS);
  }
  assert.equal(circuit.reading(START_MS).kind, "closed");
});

test("three failures on three threads open it once, for all of them", () => {
  const shared = sharedCircuit({ consecutiveFailures: 3, errorPpm: OFF }, 8);
  for (const circuit of shared.circuits.slice(0, 3)) fail(circuit, 1, START_MS);
  assert.ok(shared.circuits.every((circuit) => !circuit.mayAdmit(START_MS)));
  assert.equal(transitionsOf(shared).open, 1);
});

test("calls that were under way when it opened neither open it again nor close it", () => {
  const shared = sharedCircuit({ consecutiveFailures: 3, errorPpm: OFF });
  const { circuit } = shared;
  const tickets = [0, 1, 2, 3, 4, 5].map(() => circuit.admit(START_MS));
  for (const ticket of tickets.slice(0, 3)) circuit.report(ticket, "failure", false, START_MS);
  circuit.report(tickets[3] as number, "failure", false, START_MS + 1);
  circuit.report(tickets[4] as number, "success", false, START_MS + 1);
  const halfOpenMs = START_MS + 30_000;
  assert.equal(circuit.mayAdmit(halfOpenMs), true);
  circuit.report(tickets[5] as number, "failure", false, halfOpenMs);
  assert.equal(circuit.reading(halfOpenMs).kind, "half-open");
  assert.equal(transitionsOf(shared).open, 1);
});

test("the failed share counts from exactly the configured number of requests on, and at exactly the configured share", () => {
  const belowMinimum = sharedCircuit({ consecutiveFailures: OFF, minRequests: 20 }).circuit;
  fail(belowMinimum, 19, START_MS);
  assert.equal(belowMinimum.reading(START_MS).kind, "closed");
  fail(belowMinimum, 1, START_MS);
  assert.equal(belowMinimum.reading(START_MS).kind, "open");

  const belowShare = sharedCircuit({ consecutiveFailures: OFF, errorPpm: 500_000 }).circuit;
  succeed(belowShare, 51, START_MS);
  fail(belowShare, 50, START_MS);
  assert.equal(belowShare.reading(START_MS).kind, "closed", "50 of 101 are less than a half");
  fail(belowShare, 1, START_MS);
  assert.equal(belowShare.reading(START_MS).kind, "open", "51 of 102 are a half");
});

test("one of two failing does not open it (traefik #10963)", () => {
  const { circuit } = sharedCircuit({ consecutiveFailures: OFF });
  succeed(circuit, 1, START_MS);
  fail(circuit, 1, START_MS);
  assert.equal(circuit.reading(START_MS).kind, "closed");
});

test("the share is that of all threads together", () => {
  const { circuits, circuit } = sharedCircuit({ consecutiveFailures: OFF, minRequests: 20 }, 4);
  for (const each of circuits) fail(each, 4, START_MS);
  fail(circuit, 3, START_MS);
  assert.equal(circuit.reading(START_MS).kind, "closed");
  fail(circuits[3] as Circuit, 1, START_MS);
  assert.equal(circuit.reading(START_MS).kind, "open");
});

test("a window that nobody adds to empties by itself", () => {
  const { circuit, gates, threads, rules } = sharedCircuit({ consecutiveFailures: OFF, minRequests: 20 });
  circuit.reset(START_MS);
  fail(circuit, 19, START_MS);
  const totalsAt = (nowMs: number): number => windowTotals(gates, GATE, threads, rules.windowMs, nowMs).failures;
  assert.equal(totalsAt(START_MS + 9_999), 19);
  assert.equal(totalsAt(START_MS + 10_000), 0);
  fail(circuit, 19, START_MS + 10_000);
  assert.equal(circuit.reading(START_MS + 10_000).kind, "closed", "what is older than the window is forgotten");
});

test("slow calls open it by their share, when that rule is on", () => {
  const on = sharedCircuit({ slowCallPpm: 500_000, minRequests: 10 }).circuit;
  for (let i = 0; i < 9; i++) call(on, "success", START_MS, true);
  assert.equal(on.reading(START_MS).kind, "closed");
  call(on, "success", START_MS, true);
  assert.equal(on.reading(START_MS).kind, "open");

  const off = sharedCircuit({ slowCallPpm: OFF, minRequests: 10 }).circuit;
  for (let i = 0; i < 100; i++) call(off, "success", START_MS, true);
  assert.equal(off.reading(START_MS).kind, "closed");
});

test("a slow probe does not close it, when slow calls open it", () => {
  const { circuit } = openCircuit({ slowCallPpm: 500_000, halfOpenSuccesses: 1 });
  call(circuit, "success", START_MS + 30_000, true);
  assert.equal(circuit.reading(START_MS + 30_000).kind, "open");
});

test("a client's cancel never counts: not for the row, not for the share, not for a probe", () => {
  const { circuit, gates, threads, rules } = sharedCircuit({
    consecutiveFailures: 3,
    minRequests: 1,
    errorPpm: 900_000,
  });
  succeed(circuit, 1, START_MS);
  for (let i = 0; i < 100; i++) call(circuit, "cancelled", START_MS);
  assert.deepEqual(windowTotals(gates, GATE, threads, rules.windowMs, START_MS), { requests: 1, failures: 0, slow: 0 });
  fail(circuit, 2, START_MS);
  call(circuit, "cancelled", START_MS);
  fail(circuit, 1, START_MS);
  assert.equal(circuit.reading(START_MS).kind, "open", "it did not end the row either");

  const dueMs = START_MS + 30_000;
  for (let i = 0; i < 100; i++) assert.equal(call(circuit, "cancelled", dueMs), true, "the permit came back");
  assert.deepEqual(
    { ...circuit.reading(dueMs), retryInMs: 0 },
    {
      kind: "half-open",
      sinceMs: 0,
      retryInMs: 0,
      level: 0,
      probes: 0,
      successes: 0,
    },
  );
});

test("429 counts in the share, neither lengthens nor ends a row of failures, and does not close a half-open circuit", () => {
  const row = sharedCircuit({ consecutiveFailures: 3, errorPpm: OFF }).circuit;
  for (let i = 0; i < 100; i++) call(row, "overload", START_MS);
  assert.equal(row.reading(START_MS).kind, "closed");
  fail(row, 2, START_MS);
  call(row, "overload", START_MS);
  fail(row, 1, START_MS);
  assert.equal(row.reading(START_MS).kind, "open");

  const share = sharedCircuit({ consecutiveFailures: 3, minRequests: 20 }).circuit;
  for (let i = 0; i < 20; i++) call(share, "overload", START_MS);
  assert.equal(share.reading(START_MS).kind, "open");

  const { circuit } = openCircuit({ halfOpenRequests: 1, halfOpenSuccesses: 1 });
  call(circuit, "overload", START_MS + 30_000);
  const reading = circuit.reading(START_MS + 30_000);
  assert.deepEqual([reading.kind, reading.level], ["open", 1]);
});

test("a success that breaks after all counts as a failure, of a call and of a probe", () => {
  const closed = sharedCircuit({ consecutiveFailures: 2, errorPpm: OFF }).circuit;
  for (let i = 0; i < 2; i++) {
    assert.equal(closed.reading(START_MS).kind, "closed");
    const ticket = closed.admit(START_MS);
    if (i === 0) closed.report(ticket, "success", false, START_MS);
    if (i === 0) closed.failLate(ticket, START_MS);
    else closed.report(ticket, "failure", false, START_MS);
  }
  assert.equal(closed.reading(START_MS).kind, "open");

  const { circuit } = openCircuit({ halfOpenRequests: 2, halfOpenSuccesses: 2 });
  const probe = circuit.admit(START_MS + 30_000);
  circuit.report(probe, "success", false, START_MS + 30_000);
  circuit.failLate(probe, START_MS + 30_001);
  const reading = circuit.reading(START_MS + 30_001);
  assert.deepEqual([reading.kind, reading.level], ["open", 1]);
});

test("a half-open circuit admits the configured number of probes at once and refuses the rest, on any thread", () => {
  const { circuits, circuit } = openCircuit({ halfOpenRequests: 3, halfOpenSuccesses: 3 }, 8);
  const dueMs = START_MS + 30_000;
  assert.ok(circuits.every((each) => !each.mayAdmit(dueMs - 1)));
  const tickets = circuits.flatMap((each) => takeAll(each, dueMs));
  assert.equal(tickets.length, 3);
  assert.ok(tickets.every((ticket) => circuit.isProbe(ticket)));
  assert.equal(circuit.mayAdmit(dueMs), false);
});

test("between opening and closing, an upstream that is well again sees as many probes as it takes and no more", () => {
  for (const [halfOpenRequests, halfOpenSuccesses, expected] of [
    [3, 3, 3],
    [1, 3, 3],
    [3, 5, 5],
    [4, 2, 2],
  ] as const) {
    const { circuit } = openCircuit({ halfOpenRequests, halfOpenSuccesses });
    let probes = 0;
    while (circuit.reading(START_MS + 30_000).kind !== "closed") {
      call(circuit, "success", START_MS + 30_000);
      probes++;
    }
    assert.equal(probes, expected);
  }
});

test("one failed probe opens it again for twice as long, up to the maximum; once closed it begins from the first time", () => {
  const { circuit } = openCircuit({ openMs: 30_000, maxOpenMs: 100_000, halfOpenSuccesses: 1 });
  let nowMs = START_MS;
  for (const openMs of [30_000, 60_000, 100_000, 100_000]) {
    assert.equal(circuit.mayAdmit(nowMs + openMs - 1), false);
    nowMs += openMs;
    assert.equal(call(circuit, "failure", nowMs), true);
  }
  assert.equal(circuit.reading(nowMs).level, 4);
  nowMs += 100_000;
  call(circuit, "success", nowMs);
  assert.equal(circuit.reading(nowMs).kind, "closed");
  fail(circuit, 3, nowMs);
  assert.equal(circuit.reading(nowMs).retryInMs, 30_000);
});

test("all threads and a new object on the same gate agree on the open time, dice and all", () => {
  const { circuits } = openCircuit({ jitterPpm: 500_000 }, 8);
  const times = new Set(circuits.map((each) => each.reading(START_MS).retryInMs));
  assert.equal(times.size, 1);
  const [openMs] = times;
  assert.ok(typeof openMs === "number" && openMs >= 30_000 && openMs <= 45_000);
  assert.ok(circuits.every((each) => !each.mayAdmit(START_MS + openMs - 1)));
  assert.ok(circuits.every((each) => each.mayAdmit(START_MS + openMs)));
});

test("the second and third cycles are as the first (envoy #40697)", () => {
  for (const rules of [
    { consecutiveFailures: 3, errorPpm: OFF },
    { consecutiveFailures: OFF, errorPpm: 500_000, minRequests: 4 },
  ]) {
    const shared = sharedCircuit({
      ...rules,
      openMs: 100,
      halfOpenRequests: 2,
      halfOpenSuccesses: 2,
      slowStartMs: 1_000,
    });
    const { circuit } = shared;
    circuit.reset(START_MS);
    const stories = [0, 1, 2, 3].map((cycle) => {
      // All within one bucket of the window, so that nothing falls out of it by age.
      let nowMs = START_MS + cycle * 150;
      const story: unknown[] = [];
      for (const outcome of ["success", "failure", "failure", "overload", "failure", "failure"] as const) {
        story.push(call(circuit, outcome, nowMs), circuit.reading(nowMs).kind);
      }
      for (const step of [0, 99, 1, 0, 0, 1]) {
        nowMs += step;
        story.push(circuit.mayAdmit(nowMs), call(circuit, "success", nowMs), circuit.reading(nowMs));
      }
      story.push(windowTotals(shared.gates, GATE, shared.threads, shared.rules.windowMs, nowMs));
      return story;
    });
    assert.deepEqual(stories[1], stories[0]);
    assert.deepEqual(stories[2], stories[0]);
    assert.deepEqual(stories[3], stories[0]);
    assert.deepEqual(transitionsOf(shared), { open: 4, halfOpen: 4, closed: 4 });
  }
});

test("a failure that is left over from one closed state does not count in the next", () => {
  const { circuit } = sharedCircuit({ consecutiveFailures: 3, errorPpm: OFF });
  fail(circuit, 2, START_MS);
  circuit.trip(START_MS);
  circuit.reset(START_MS);
  fail(circuit, 2, START_MS);
  assert.equal(circuit.reading(START_MS).kind, "closed");
  fail(circuit, 1, START_MS);
  assert.equal(circuit.reading(START_MS).kind, "open");
});

test("after probes closed it the load comes back linearly, but somebody always comes", () => {
  const { circuit, circuits } = openCircuit({ slowStartMs: 5_000, halfOpenSuccesses: 1 }, 2);
  assert.equal(circuit.backShare(START_MS + 29_999), 1, "an open circuit is no matter of shares");
  const closedMs = START_MS + 30_000;
  call(circuit, "success", closedMs);
  for (const each of circuits) {
    assert.equal(each.backShare(closedMs), 0.05);
    assert.equal(each.backShare(closedMs + 1_000), 0.2);
    assert.equal(each.backShare(closedMs + 4_999), 0.9998);
  }
  const tickets = takeAllOnce(circuits, closedMs + 4_999);
  assert.equal(circuit.backShare(closedMs + 5_000), 1);
  assert.equal(circuit.backShare(closedMs), 1, "what is over is over");
  for (const ticket of tickets) circuit.report(ticket, "failure", false, closedMs + 5_000);
  fail(circuit, 1, closedMs + 5_000);
  assert.equal(circuit.reading(closedMs + 5_000).kind, "open", "what was admitted in slow start counts after it");
});

function takeAllOnce(circuits: readonly Circuit[], nowMs: number): number[] {
  return circuits.map((circuit) => circuit.admit(nowMs));
}

test("time alone ends an open time and a slow start, where somebody ticks", () => {
  const { circuit } = openCircuit({ halfOpenSuccesses: 1 });
  circuit.tick(START_MS + 29_999);
  assert.equal(circuit.reading(START_MS + 29_999).kind, "open");
  circuit.tick(START_MS + 30_000);
  assert.equal(circuit.reading(START_MS + 30_000).kind, "half-open");
  call(circuit, "success", START_MS + 30_000);
  circuit.tick(START_MS + 35_000);
  assert.equal(circuit.backShare(START_MS + 30_001), 1);
});

test("with autoRecover off an open circuit stays open until a hand closes it", () => {
  const { circuit } = openCircuit({ autoRecover: false });
  const dayLater = START_MS + 86_400_000;
  circuit.tick(dayLater);
  assert.equal(circuit.admit(dayLater), REFUSED);
  assert.equal(circuit.reading(dayLater).retryInMs, null);
  circuit.reset(dayLater);
  assert.equal(circuit.mayAdmit(dayLater), true);
  assert.equal(circuit.backShare(dayLater), 1, "by hand means now");
});

test("permits that a dead thread took with it are given out anew", () => {
  const { circuit, circuits } = openCircuit({ openMs: 1_000, halfOpenRequests: 2, halfOpenSuccesses: 2 }, 2);
  const lost = takeAll(circuits[1] as Circuit, START_MS + 1_000);
  assert.equal(lost.length, 2);
  circuit.tick(START_MS + 30_999);
  assert.equal(circuit.mayAdmit(START_MS + 30_999), false);
  circuit.tick(START_MS + 31_000);
  assert.equal(takeAll(circuit, START_MS + 31_000).length, 2);
  // The dead come back: their news is too old.
  for (const ticket of lost) circuit.report(ticket, "failure", false, START_MS + 31_001);
  assert.deepEqual(
    [circuit.reading(START_MS + 31_001).kind, circuit.reading(START_MS + 31_001).probes],
    ["half-open", 2],
  );
});

test("permits are given out anew at once when it is known that somebody who had some is gone", () => {
  const { circuit, circuits } = openCircuit({ openMs: 1_000, halfOpenRequests: 2, halfOpenSuccesses: 2 }, 2);
  const dueMs = START_MS + 1_000;
  const lost = takeAll(circuits[1] as Circuit, dueMs);
  circuit.giveUpProbes(dueMs);
  assert.equal(takeAll(circuit, dueMs).length, 2);
  for (const ticket of lost) circuit.report(ticket, "failure", false, dueMs);
  assert.equal(circuit.reading(dueMs).kind, "half-open");
});

test("a circuit that is not half-open has no probes to give up", () => {
  const { circuit } = openCircuit();
  circuit.giveUpProbes(START_MS);
  assert.equal(circuit.reading(START_MS).kind, "open");
  circuit.reset(START_MS);
  circuit.giveUpProbes(START_MS);
  assert.equal(circuit.reading(START_MS).kind, "closed");
});

test("an open time that is longer than 30 s is also the patience with probes", () => {
  const { circuit } = openCircuit({ openMs: 60_000 });
  const dueMs = START_MS + 60_000;
  takeAll(circuit, dueMs);
  circuit.tick(dueMs + 59_999);
  assert.equal(circuit.mayAdmit(dueMs + 59_999), false);
  circuit.tick(dueMs + 60_000);
  assert.equal(circuit.mayAdmit(dueMs + 60_000), true);
});

test("a half-open circuit with a free permit is not stuck, however long nobody comes", () => {
  const { circuit } = openCircuit({ openMs: 1_000, halfOpenRequests: 2 });
  const probe = circuit.admit(START_MS + 1_000);
  circuit.tick(START_MS + 3_600_000);
  circuit.report(probe, "success", false, START_MS + 3_600_000);
  assert.equal(circuit.reading(START_MS + 3_600_000).successes, 1);
});

test("probes that always take longer than the patience with them close it all the same", () => {
  const { circuit } = openCircuit({ openMs: 1_000, halfOpenRequests: 1, halfOpenSuccesses: 5 });
  let nowMs = START_MS + 1_000;
  for (let i = 0; i < 20 && circuit.reading(nowMs).kind !== "closed"; i++) {
    const probe = circuit.admit(nowMs);
    nowMs += 12_000;
    circuit.tick(nowMs);
    circuit.report(probe, "success", false, nowMs);
  }
  assert.equal(circuit.reading(nowMs).kind, "closed");
});

test("limits that a reload made smaller, with probes out, do not lock it", () => {
  const shared = openCircuit({ halfOpenRequests: 5, halfOpenSuccesses: 5 });
  const dueMs = START_MS + 30_000;
  const probes = takeAll(shared.circuit, dueMs);
  for (const probe of probes.slice(0, 4)) shared.circuit.report(probe, "success", false, dueMs);
  const smaller = sharedCircuit({ halfOpenRequests: 1, halfOpenSuccesses: 2 }, 1, shared.gates).circuit;
  assert.equal(smaller.mayAdmit(dueMs), false);
  smaller.report(probes[4] as number, "cancelled", false, dueMs);
  assert.equal(call(smaller, "success", dueMs), true);
  assert.equal(smaller.reading(dueMs).kind, "closed");
});

test("threads with clocks of different age lose no count and open nothing early", () => {
  const { circuits, circuit, gates, threads, rules } = sharedCircuit({ consecutiveFailures: OFF, minRequests: 40 }, 2);
  const behind = circuits[1] as Circuit;
  circuit.reset(START_MS);
  fail(circuit, 10, START_MS);
  fail(behind, 10, START_MS - 100);
  fail(circuit, 10, START_MS + 1_050);
  fail(behind, 9, START_MS + 950);
  for (const nowMs of [START_MS + 950, START_MS + 1_050]) {
    assert.equal(windowTotals(gates, GATE, threads, rules.windowMs, nowMs).failures, 39);
  }
  fail(behind, 1, START_MS + 950);
  assert.equal(circuit.mayAdmit(START_MS + 1_050), false);
  // To this thread the circuit opens in the future.
  assert.equal(behind.mayAdmit(START_MS + 900), false);
  assert.equal(behind.reading(START_MS + 900).sinceMs, 0);
});

test("a closed circuit counts on when it has been closed for weeks, and after the 32-bit clock has come round", () => {
  const { circuit } = sharedCircuit({ consecutiveFailures: OFF, minRequests: 20, windowMs: 1_000 });
  for (const days of [25, 49, 50]) {
    const nowMs = START_MS + days * 86_400_000;
    circuit.reset(START_MS);
    fail(circuit, 19, nowMs);
    assert.equal(circuit.reading(nowMs).kind, "closed");
    fail(circuit, 1, nowMs + 500);
    assert.equal(circuit.reading(nowMs + 500).kind, "open");
  }
});

test("the beginning of a state stays where it is while the next state begins", () => {
  const { gates, threads, circuit } = openCircuit();
  const sinceIndex = GATE * gateStride(threads) + GATE_WORDS.since;
  circuit.tick(START_MS + 30_000);
  assert.deepEqual([...gates.subarray(sinceIndex, sinceIndex + 4)], [0, START_MS, START_MS, START_MS + 30_000]);
});

test("gates do not touch each other", () => {
  const { gates, circuit, threads } = sharedCircuit({}, 2);
  fail(circuit, 3, START_MS);
  const stride = gates.length / (GATE + 2);
  assert.ok(gates.every((word, index) => word === 0 || Math.floor(index / stride) === GATE));
  assert.equal(threads, 2);
});
