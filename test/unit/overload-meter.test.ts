import assert from "node:assert/strict";
import { test } from "node:test";
import { THREAD_WORDS } from "../../src/base/cells.ts";
import type { OverloadSpec } from "../../src/model/snapshot.ts";
import { METER_PERIOD_MS, OverloadMeter } from "../../src/proxy/overload-meter.ts";

const NONE: OverloadSpec = { eventLoopLagMs: 0, heapPpm: 0, maxInFlight: 0 };

/** A meter whose timer fires when the test says, and as late as it says. */
function openMeter(spec: OverloadSpec, threads = 1) {
  const world = { nowMs: 0, inFlight: 0, heapUsedPpm: 0, heapReadings: 0 };
  const cells = new Float64Array(256);
  let look: (() => void) | null = null;
  const meter = new OverloadMeter({
    threadCells: cells,
    inFlight: () => world.inFlight,
    nowMs: () => world.nowMs,
    heapUsedPpm: () => {
      world.heapReadings++;
      return world.heapUsedPpm;
    },
    every: (_, call) => {
      look = call;
      return () => (look = null);
    },
  });
  meter.apply(spec, threads);
  return {
    meter,
    world,
    cells,
    isRunning: () => look !== null,
    /** The timer fires, this much too late. */
    tick: (lateMs = 0) => {
      world.nowMs += METER_PERIOD_MS + lateMs;
      look?.();
    },
  };
}

test("a late event loop is noticed when it is late twice, so that one pause sheds nobody", () => {
  const { meter, tick } = openMeter({ ...NONE, eventLoopLagMs: 200 });
  tick(250);
  assert.equal(meter.stage, 0);
  tick(0);
  assert.equal(meter.stage, 0);
  tick(250);
  tick(250);
  assert.equal(meter.stage, 2);
});

test("requests under way are held against this thread's part of the limit", () => {
  const { meter, world, tick } = openMeter({ ...NONE, maxInFlight: 100 }, 4);
  world.inFlight = 24;
  tick();
  assert.equal(meter.stage, 1);
  world.inFlight = 25;
  tick();
  assert.equal(meter.stage, 2);
});

test("the heap is looked at once a second", () => {
  const { meter, world, tick } = openMeter({ ...NONE, heapPpm: 900_000 });
  world.heapUsedPpm = 960_000;
  for (let i = 0; i < 20; i++) tick();
  assert.equal(world.heapReadings, 2);
  assert.equal(meter.stage, 3);
});

test("the stage is shown in the thread's own cells, and a new thread begins calm", () => {
  const { cells, world, tick } = openMeter({ ...NONE, maxInFlight: 10 });
  assert.equal(cells[THREAD_WORDS.overloadStage], 0);
  world.inFlight = 15;
  tick();
  assert.equal(cells[THREAD_WORDS.overloadStage], 3);
  cells[THREAD_WORDS.overloadStage] = 3;
  new OverloadMeter({ threadCells: cells, inFlight: () => 0, nowMs: () => 0 });
  assert.equal(cells[THREAD_WORDS.overloadStage], 0);
});

test("without any limit there is no timer, and none is left when the limits go or the meter closes", () => {
  const { meter, world, isRunning, tick } = openMeter(NONE);
  assert.equal(isRunning(), false);
  meter.apply({ ...NONE, maxInFlight: 10 }, 1);
  world.inFlight = 50;
  tick();
  assert.deepEqual([isRunning(), meter.stage], [true, 3]);
  meter.apply(NONE, 1);
  assert.deepEqual([isRunning(), meter.stage], [false, 0]);
  meter.apply({ ...NONE, eventLoopLagMs: 5 }, 1);
  meter.close();
  assert.equal(isRunning(), false);
});

test("the heap of this very thread is read where nobody says otherwise", async () => {
  const cells = new Float64Array(256);
  const meter = new OverloadMeter({ threadCells: cells, inFlight: () => 0, nowMs: () => performance.now() });
  meter.apply({ ...NONE, heapPpm: 1 }, 1);
  const ended = Promise.withResolvers<void>();
  // The meter's own timer does not keep the process alive; this one does until it has fired.
  const look = setInterval(() => meter.stage > 0 && ended.resolve(), 10);
  await ended.promise;
  clearInterval(look);
  meter.close();
  assert.equal(meter.stage, 0);
});
