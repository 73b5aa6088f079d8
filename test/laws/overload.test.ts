import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { OverloadSpec } from "../../src/model/snapshot.ts";
import { CALM, isShed, limitsOfThread, nextOverload, STAGE_HOLD_MS } from "../../src/policy/overload.ts";
import type { OverloadReadings, OverloadStage, OverloadState } from "../../src/policy/overload.ts";

const LIMITS: OverloadSpec = { eventLoopLagMs: 200, heapPpm: 900_000, maxInFlight: 100 };
const QUIET: OverloadReadings = { lagMs: 0, heapUsedPpm: 0, inFlight: 0 };

const anyReadings = fc.record({
  lagMs: fc.integer({ min: 0, max: 1_000 }),
  heapUsedPpm: fc.integer({ min: 0, max: 1_000_000 }),
  inFlight: fc.integer({ min: 0, max: 300 }),
});
const anyStage = fc.constantFrom<OverloadStage>(0, 1, 2, 3);
const anyState = fc.record({ stage: anyStage, heldAtMs: fc.constant(0) });

function stageOf(readings: Partial<OverloadReadings>, limits: OverloadSpec = LIMITS): OverloadStage {
  return nextOverload(CALM, { ...QUIET, ...readings }, limits, 0).stage;
}

const thresholds: readonly (readonly [keyof OverloadReadings, number, number, number])[] = [
  ["lagMs", 140, 200, 400],
  ["heapUsedPpm", 630_000, 900_000, 950_000],
  ["inFlight", 70, 100, 150],
];
for (const [reading, first, second, third] of thresholds) {
  test(`${reading} makes stage 1 at 70 % of its limit, 2 at the limit, and 3 far beyond`, () => {
    const stages = [first - 1, first, second - 1, second, third - 1, third].map((value) =>
      stageOf({ [reading]: value }),
    );
    assert.deepEqual(stages, [0, 1, 1, 2, 2, 3]);
  });
}

test("a limit of zero is no limit", () => {
  const none: OverloadSpec = { eventLoopLagMs: 0, heapPpm: 0, maxInFlight: 0 };
  fc.assert(fc.property(anyReadings, (readings) => assert.equal(stageOf(readings, none), 0)));
});

test("the worst reading counts", () => {
  fc.assert(
    fc.property(anyReadings, (readings) => {
      const alone = (["lagMs", "heapUsedPpm", "inFlight"] as const).map((name) => stageOf({ [name]: readings[name] }));
      assert.equal(stageOf(readings), Math.max(...alone));
    }),
  );
});

test("what is worse never gives a lower stage", () => {
  fc.assert(
    fc.property(anyState, anyReadings, anyReadings, fc.nat(3_000), (state, readings, more, nowMs) => {
      const worse = {
        lagMs: readings.lagMs + more.lagMs,
        heapUsedPpm: readings.heapUsedPpm + more.heapUsedPpm,
        inFlight: readings.inFlight + more.inFlight,
      };
      const stage = nextOverload(state, readings, LIMITS, nowMs).stage;
      assert.ok(nextOverload(state, worse, LIMITS, nowMs).stage >= stage);
    }),
  );
});

test("a stage is reached at once and left one at a time, each after a second below 80 % of its thresholds", () => {
  const over: OverloadState = nextOverload(CALM, { ...QUIET, inFlight: 150 }, LIMITS, 0);
  assert.equal(over.stage, 3);
  let state = over;
  const stages: number[] = [];
  for (let nowMs = 100; nowMs <= 3_500; nowMs += 100) {
    state = nextOverload(state, QUIET, LIMITS, nowMs);
    stages.push(state.stage);
  }
  assert.deepEqual(stages.indexOf(2), 9);
  assert.deepEqual(stages.indexOf(1), 19);
  assert.deepEqual(stages.indexOf(0), 29);
});

test("between 80 and 100 % of a threshold a stage stays for as long as it takes", () => {
  let state = nextOverload(CALM, { ...QUIET, lagMs: 200 }, LIMITS, 0);
  for (let nowMs = 100; nowMs < 60_000; nowMs += 100) {
    state = nextOverload(state, { ...QUIET, lagMs: 160 }, LIMITS, nowMs);
    assert.equal(state.stage, 2);
  }
  assert.equal(nextOverload(state, { ...QUIET, lagMs: 159 }, LIMITS, 60_000 + STAGE_HOLD_MS).stage, 1);
});

test("no stage is left sooner than a second after the readings last asked for it", () => {
  const steps = fc.array(fc.tuple(anyReadings, fc.integer({ min: 1, max: 400 })), { maxLength: 60 });
  fc.assert(
    fc.property(steps, (list) => {
      let state: OverloadState = CALM;
      let nowMs = 0;
      let askedAtMs = 0;
      for (const [readings, afterMs] of list) {
        nowMs += afterMs;
        const next = nextOverload(state, readings, LIMITS, nowMs);
        assert.ok(next.stage >= state.stage - 1, "one at a time");
        if (next.stage < state.stage) assert.ok(nowMs - askedAtMs >= STAGE_HOLD_MS);
        if (stageOf(readings) >= state.stage || next.stage !== state.stage) askedAtMs = nowMs;
        state = next;
      }
    }),
  );
});

test("low priority goes in stage 2, normal in stage 3, high never", () => {
  const shed = (stage: OverloadStage): readonly boolean[] =>
    (["low", "normal", "high"] as const).map((priority) => isShed(priority, stage));
  assert.deepEqual(
    [0, 1, 2, 3].map((stage) => shed(stage as OverloadStage)),
    [
      [false, false, false],
      [false, false, false],
      [true, false, false],
      [true, true, false],
    ],
  );
});

test("the limit of requests under way is divided among the threads, and never to nothing", () => {
  assert.equal(limitsOfThread(LIMITS, 8).maxInFlight, 13);
  assert.equal(limitsOfThread({ ...LIMITS, maxInFlight: 1 }, 8).maxInFlight, 1);
  assert.equal(limitsOfThread({ ...LIMITS, maxInFlight: 0 }, 8).maxInFlight, 0);
});
