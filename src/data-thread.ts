/** Entry of a data thread: wiring only. It obeys the control thread and serves until it is told to drain. */
import { parentPort, workerData, type MessagePort } from "node:worker_threads";
import { blockView, THREAD_BLOCK, THREAD_WORDS } from "./base/cells.ts";
import type { DataThreadStart, FromDataThread, ToDataThread } from "./model/thread-messages.ts";
import { openDataPlane, type DataPlane } from "./proxy/data-plane.ts";
import { AccessBatcher } from "./telemetry/access-batcher.ts";
import { systemClock } from "./system-clock.ts";

if (parentPort === null) throw new Error("data-thread.ts runs as a worker thread only");
const control: MessagePort = parentPort;
const start = workerData as DataThreadStart;
const threadCells = blockView(start.pages, THREAD_BLOCK);
let lab: MessagePort | null = null;

const batcher = new AccessBatcher({
  send: (batch) => {
    if (lab === null) batcher.forget();
    else lab.postMessage(batch);
  },
  onDropped: () => {
    threadCells[THREAD_WORDS.accessRecordsDropped] = (threadCells[THREAD_WORDS.accessRecordsDropped] as number) + 1;
  },
});

function connectLab(port: MessagePort): void {
  lab?.close();
  batcher.forget();
  lab = port;
  port.on("message", (written: number) => batcher.acknowledge(written));
  // The lab is offered work; it does not keep this thread alive.
  port.unref();
}

async function drain(plane: DataPlane, deadlineMs: number): Promise<void> {
  await plane.drain(deadlineMs);
  batcher.flush();
  control.postMessage({ type: "drained" } satisfies FromDataThread);
  // The lab's port delivers what was posted before this thread ends.
  setImmediate(() => process.exit(0));
}

function obey(plane: DataPlane, message: ToDataThread): void {
  switch (message.type) {
    case "snapshot":
      plane.apply(message.snapshot, message.pages);
      control.postMessage({ type: "applied", generation: message.snapshot.generation } satisfies FromDataThread);
      return;
    case "access-port":
      connectLab(message.port as MessagePort);
      return;
    case "announce-drain":
      plane.announceDrain();
      return;
    case "drain":
      void drain(plane, message.deadlineMs);
  }
}

try {
  const plane = await openDataPlane({
    listeners: start.listeners,
    engine: start.engine,
    snapshot: start.snapshot,
    pages: start.pages,
    words: new Int32Array(start.words),
    gates: new Int32Array(start.gates),
    index: start.index,
    threads: start.threads,
    clock: systemClock,
    random: Math.random,
    logAccess: (record) => batcher.add(record),
  });
  control.on("message", (message: ToDataThread) => obey(plane, message));
  control.postMessage({ type: "listening", ports: plane.ports } satisfies FromDataThread);
} catch (error) {
  const why = error instanceof Error ? error.message : String(error);
  control.postMessage({ type: "refused", error: why } satisfies FromDataThread);
}
