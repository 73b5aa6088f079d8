/** Entry of the lab thread: work that no caller may wait for. Today it writes the access log. */
import { readlinkSync } from "node:fs";
import { constants, setPriority } from "node:os";
import { parentPort, workerData, type MessagePort } from "node:worker_threads";
import type { ToLabThread } from "./model/thread-messages.ts";
import type { AccessRecord } from "./telemetry/access-log.ts";
import { createAccessWriter } from "./telemetry/access-writer.ts";
import { createLogger } from "./telemetry/log.ts";

if (parentPort === null) throw new Error("lab-thread.ts runs as a worker thread only");
const { level } = workerData as { readonly level: string };
stepBack();
const writer = createAccessWriter(createLogger({ level }));

parentPort.on("message", (message: ToLabThread) => {
  if (message.type === "stop") {
    setImmediate(() => process.exit(0));
    return;
  }
  const port = message.port as MessagePort;
  port.on("message", (batch: AccessRecord[]) => port.postMessage(writer.write(batch)));
});

/**
 * What the lab does can wait: where it shares a core with a data thread, that one goes first. Linux alone has priorities for
 * single threads; elsewhere it is a thread like the others.
 */
function stepBack(): void {
  try {
    const ownThread = readlinkSync("/proc/thread-self").split("/").at(-1);
    setPriority(Number(ownThread), constants.priority.PRIORITY_BELOW_NORMAL);
  } catch {
    // No such file system, or not allowed: nothing depends on it.
  }
}
