import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  failed,
  FIRST_SPREAD_MS,
  firstWaitMs,
  healthy,
  nextHealth,
  PASS,
  probeWaitMs,
  unhealthy,
  unknown,
  type HealthState,
  type HealthThresholds,
  type ProbeResult,
} from "../../src/policy/health.ts";

const RULES: HealthThresholds = { unhealthyThreshold: 3, healthyThreshold: 2, believeExplicit: true };
const FAIL = failed("timeout", "no answer");
const DENIED = failed("not-serving", "NOT_SERVING", true);

function after(start: HealthState, results: readonly ProbeResult[], rules = RULES): HealthState {
  return results.reduce((state, result) => nextHealth(state, result, rules), start);
}

test("the first pass of an unknown endpoint is enough", () => {
  assert.deepEqual(after(unknown(), [PASS]), healthy());
  assert.deepEqual(after(unknown(), [FAIL, FAIL, PASS]), healthy());
});

test("an unknown endpoint becomes unhealthy by the threshold", () => {
  assert.deepEqual(after(unknown(), [FAIL, FAIL]), unknown(2));
  assert.deepEqual(after(unknown(), [FAIL, FAIL, FAIL]), unhealthy());
});

test("failures count only in a row", () => {
  assert.deepEqual(after(healthy(), [FAIL, FAIL, PASS, FAIL, FAIL]), healthy(2));
  assert.deepEqual(after(healthy(), [FAIL, FAIL, PASS, FAIL, FAIL, FAIL]), unhealthy());
});

test("passes count only in a row", () => {
  assert.deepEqual(after(unhealthy(), [PASS, FAIL, PASS]), unhealthy(1));
  assert.deepEqual(after(unhealthy(), [PASS, FAIL, PASS, PASS]), healthy());
});

test("a plain no is believed at once, unless it is not to be believed", () => {
  for (const start of [unknown(), healthy()]) {
    assert.deepEqual(after(start, [DENIED]), unhealthy());
    assert.equal(after(start, [DENIED, DENIED], { ...RULES, believeExplicit: false }).kind, start.kind);
    assert.deepEqual(after(start, [DENIED, DENIED, DENIED], { ...RULES, believeExplicit: false }), unhealthy());
  }
});

test("the second and third time go as the first", () => {
  const cycle = [FAIL, FAIL, FAIL, PASS, PASS];
  const kinds = (start: HealthState): readonly string[] =>
    cycle.map((_result, index) => after(start, cycle.slice(0, index + 1)).kind);
  const first = kinds(healthy());
  assert.deepEqual(first, ["healthy", "healthy", "unhealthy", "unhealthy", "healthy"]);
  assert.deepEqual(kinds(after(healthy(), cycle)), first);
  assert.deepEqual(kinds(after(healthy(), [...cycle, ...cycle])), first);
});

const results = fc.array(fc.constantFrom(PASS, FAIL, DENIED), { maxLength: 60 });
const thresholds = fc.record({
  unhealthyThreshold: fc.integer({ min: 1, max: 6 }),
  healthyThreshold: fc.integer({ min: 1, max: 6 }),
  believeExplicit: fc.boolean(),
});

test("whatever came before, enough passes make an endpoint healthy and enough failures unhealthy", () => {
  fc.assert(
    fc.property(results, thresholds, (history, rules) => {
      const state = after(unknown(), history, rules);
      const passes = Array.from({ length: rules.healthyThreshold }, () => PASS);
      const failures = Array.from({ length: rules.unhealthyThreshold }, () => FAIL);
      assert.deepEqual(after(state, passes, rules), healthy());
      assert.deepEqual(after(state, failures, rules), unhealthy());
    }),
  );
});

test("no endpoint changes sides with fewer results in a row than its threshold", () => {
  fc.assert(
    fc.property(results, thresholds, (history, rules) => {
      let state = unknown();
      let run = 0;
      let last: ProbeResult["kind"] | null = null;
      for (const result of history) {
        run = result.kind === last ? run + 1 : 1;
        last = result.kind;
        const before = state;
        state = nextHealth(before, result, rules);
        if (state.kind === before.kind) continue;
        if (before.kind === "unhealthy") assert.ok(run >= rules.healthyThreshold);
        else if (state.kind === "unhealthy") {
          assert.ok(run >= rules.unhealthyThreshold || (rules.believeExplicit && result === DENIED));
        }
      }
    }),
  );
});

test("an endpoint that was judged never becomes unknown again", () => {
  fc.assert(
    fc.property(results, thresholds, (history, rules) => {
      const kinds = history.map((_result, index) => after(unknown(), history.slice(0, index + 1), rules).kind);
      const judged = kinds.findIndex((kind) => kind !== "unknown");
      assert.ok(judged === -1 || !kinds.slice(judged).includes("unknown"));
    }),
  );
});

test("waits stay within the jitter, and are shorter while an endpoint is not known to be healthy", () => {
  const pace = { intervalMs: 5_000, unhealthyIntervalMs: 1_000, jitterPpm: 150_000 };
  fc.assert(
    fc.property(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), (dice) => {
      const wait = (state: HealthState): number => probeWaitMs(state, pace, () => dice);
      assert.ok(wait(healthy()) >= 4_250 && wait(healthy()) <= 5_750);
      for (const state of [unknown(), unhealthy(), healthy(1)]) assert.ok(wait(state) >= 850 && wait(state) <= 1_150);
    }),
  );
});

test("a single endpoint is asked at once, several within the spread", () => {
  assert.equal(
    firstWaitMs(1, () => 0.9),
    0,
  );
  assert.equal(
    firstWaitMs(3, () => 0.5),
    FIRST_SPREAD_MS / 2,
  );
});
