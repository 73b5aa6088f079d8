/**
 * Loaded with `--import` into a sidecar under test, in every thread of it. On SIGUSR2 each thread adds a line to the file
 * `resources` two folders above the config: `{"thread":…,"active":{"Timeout":2,…},"liveBytes":…}`, what keeps its event
 * loop alive, and what is left of its heap and buffers after a collection.
 */
import fs from "node:fs";
import path from "node:path";
import v8 from "node:v8";
import vm from "node:vm";
import { BroadcastChannel, isMainThread, threadName } from "node:worker_threads";

const channel = new BroadcastChannel("crossfade resources hook");
channel.unref();

if (isMainThread) {
  const file = path.join(path.dirname(path.dirname(process.argv.at(-1) ?? "")), "resources");
  process.on("SIGUSR2", () => {
    channel.postMessage(file);
    tell(file, "main");
  });
} else {
  channel.addEventListener("message", (event) => tell((event as MessageEvent).data as string, threadName ?? "data"));
}

// The flag of the process would be one of its threads too, but the function exists only in contexts made after it is set.
v8.setFlagsFromString("--expose-gc");
const collectGarbage = vm.runInNewContext("gc") as () => void;

function tell(file: string, thread: string): void {
  const active: Record<string, number> = {};
  for (const type of process.getActiveResourcesInfo()) active[type] = (active[type] ?? 0) + 1;
  collectGarbage();
  const { heapUsed, external } = process.memoryUsage();
  fs.appendFileSync(file, `${JSON.stringify({ thread, active, liveBytes: heapUsed + external })}\n`);
}
