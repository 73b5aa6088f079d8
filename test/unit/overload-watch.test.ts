import assert from "node:assert/strict";
import { test } from "node:test";
import { blockView, THREAD_BLOCK, THREAD_WORDS } from "../../src/base/cells.ts";
import type { StateEvent } from "../../src/base/state-event.ts";
import { CellTable } from "../../src/control/cell-table.ts";
import { OverloadWatch } from "../../src/control/overload-watch.ts";
import type { OverloadSpec, Snapshot } from "../../src/model/snapshot.ts";

const LIMITS: OverloadSpec = { eventLoopLagMs: 200, heapPpm: 0, maxInFlight: 0 };

function snapshotWith(overload: OverloadSpec): Snapshot {
  return { overload } as Snapshot;
}

function openBench() {
  const cells = new CellTable(8, 2);
  const events: StateEvent[] = [];
  let look: (() => void) | null = null;
  const watch = new OverloadWatch({
    regions: () => cells.regions(),
    onEvent: (event) => events.push(event),
    every: (_, call) => {
      look = call;
      return () => (look = null);
    },
  });
  /** The data threads reach these stages, and the watch looks. */
  const stages = (...perThread: readonly number[]): void => {
    for (const [thread, stage] of perThread.entries()) {
      blockView(cells.pagesOf(thread), THREAD_BLOCK)[THREAD_WORDS.overloadStage] = stage;
    }
    look?.();
  };
  return { watch, events, stages, isRunning: () => look !== null };
}

test("it is told when requests begin to be shed, when it gets worse and when it is over, each once", () => {
  const { watch, events, stages } = openBench();
  watch.apply(snapshotWith(LIMITS));
  for (const [first, second] of [
    [0, 0],
    [1, 1],
    [2, 1],
    [2, 2],
    [1, 3],
    [0, 2],
    [1, 1],
    [0, 0],
  ] as const) {
    stages(first, second);
  }
  assert.deepEqual(
    events.map(({ level, name, fields }) => [level, name, fields["stage"]]),
    [
      ["warn", "overload", 2],
      ["warn", "overload", 3],
      ["info", "overload-over", 1],
    ],
  );
});

test("without limits nobody is watched, and an overload ends with its limits", () => {
  const { watch, events, stages, isRunning } = openBench();
  watch.apply(snapshotWith({ ...LIMITS, eventLoopLagMs: 0 }));
  assert.equal(isRunning(), false);
  watch.apply(snapshotWith(LIMITS));
  stages(2, 0);
  watch.apply(snapshotWith({ ...LIMITS, eventLoopLagMs: 0 }));
  assert.deepEqual([isRunning(), events.at(-1)?.name], [false, "overload-over"]);
  watch.apply(snapshotWith(LIMITS));
  watch.close();
  assert.equal(isRunning(), false);
});
