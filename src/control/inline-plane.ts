import type { Clock, Random } from "../base/clock.ts";
import { THREAD_BLOCK, THREAD_WORDS, blockView } from "../base/cells.ts";
import type { Engine, ListenerSpec, Snapshot } from "../model/snapshot.ts";
import { openDataPlane } from "../proxy/data-plane.ts";
import { AccessBatcher } from "../telemetry/access-batcher.ts";
import type { AccessWriter } from "../telemetry/access-writer.ts";
import type { CellTable } from "./cell-table.ts";
import type { TrafficPlane } from "./traffic-plane.ts";

/** What the one thread of `inline` mode is given. */
export interface InlineOptions {
  readonly listeners: readonly ListenerSpec[];
  readonly engine: Engine;
  readonly snapshot: Snapshot;
  readonly cells: CellTable;
  readonly clock: Clock;
  readonly random: Random;
  readonly accessWriter: AccessWriter;
}

/** The road on the control thread itself: for tests and tiny pods. A crash here is a crash of the process. */
export async function openInlinePlane(options: InlineOptions): Promise<TrafficPlane> {
  const { cells, clock, random, listeners, engine, snapshot } = options;
  const pages = cells.pagesOf(0);
  const threadCells = blockView(pages, THREAD_BLOCK);
  const batcher = new AccessBatcher({
    send: (batch) => batcher.acknowledge(options.accessWriter.write(batch)),
    onDropped: () => {
      threadCells[THREAD_WORDS.accessRecordsDropped] = (threadCells[THREAD_WORDS.accessRecordsDropped] as number) + 1;
    },
  });
  const logAccess = batcher.add.bind(batcher);
  const plane = await openDataPlane({
    listeners,
    engine,
    snapshot,
    pages,
    words: cells.words,
    gates: cells.gates,
    index: 0,
    threads: 1,
    clock,
    random,
    logAccess,
  });
  let draining = false;
  return {
    ports: plane.ports,
    publish: (next) => plane.apply(next, cells.pagesOf(0)),
    announceDrain: () => {
      draining = true;
      plane.announceDrain();
    },
    async drain(deadlineMs) {
      draining = true;
      await plane.drain(deadlineMs);
      batcher.flush();
    },
    alive: () => true,
    threads: () => [{ kind: "data", state: draining ? "draining" : "running", count: 1 }],
    restarts: () => [],
  };
}
