import assert from "node:assert/strict";
import { test } from "node:test";
import type { CircuitBreakerSpec } from "../../src/model/snapshot.ts";
import { REFUSED } from "../../src/policy/circuit-cell.ts";
import type { Circuit } from "../../src/policy/circuit-cell.ts";
import { sharedCircuit, transitionsOf } from "../support/circuits.ts";

const REQUESTS = 10_000_000;
const THREADS = 4;
const PHASE = 50_000;
/** Milliseconds between two requests, by phase: from hardly more than the minimum in a window to 50 000 per second. */
const PACES_MS = [400, 100, 10, 1, 0.1, 0.02];

/** Mulberry32: the same requests in every run. */
function diceFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Sends requests of which a share fails, by turns on all threads; counts what came of them. */
function simulate(
  rules: Partial<CircuitBreakerSpec>,
  requests: number,
  failedShare: number,
): { readonly failed: number; readonly refused: number; readonly trips: number } {
  const shared = sharedCircuit(rules, THREADS);
  const dice = diceFrom(20_261_122);
  let nowMs = 1_000_000;
  let failed = 0;
  let refused = 0;
  for (let i = 0; i < requests; i++) {
    nowMs += PACES_MS[Math.floor(i / PHASE) % PACES_MS.length] as number;
    const circuit = shared.circuits[i % THREADS] as Circuit;
    const isFailed = dice() < failedShare;
    const ticket = circuit.admit(nowMs);
    if (ticket === REFUSED) {
      refused++;
      continue;
    }
    if (isFailed) failed++;
    circuit.report(ticket, isFailed ? "failure" : "success", false, nowMs);
  }
  return { failed, refused, trips: transitionsOf(shared).open };
}

for (const consecutiveFailures of [0, 10]) {
  const rules = { consecutiveFailures, errorPpm: 500_000, minRequests: 20, windowMs: 10_000 };
  const row = consecutiveFailures === 0 ? "no limit in a row" : `${consecutiveFailures} in a row`;

  test(`10 million requests of which 1 % fail at random never open a circuit (half of at least 20, ${row})`, () => {
    const { failed, refused, trips } = simulate(rules, REQUESTS, 0.01);
    assert.deepEqual({ refused, trips }, { refused: 0, trips: 0 });
    assert.ok(Math.abs(failed - REQUESTS / 100) < 1_000, `${failed} failed`);
  });

  test(`the same requests open it when 60 % of them fail (${row})`, () => {
    assert.ok(simulate(rules, 100_000, 0.6).trips > 0);
  });
}
