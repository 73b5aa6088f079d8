/**
 * Loaded with `--import` into a sidecar under test, in every thread of it. On SIGUSR2 the main thread reads the name of a
 * thread from the file `crash` two folders above the config, and that thread throws where nobody catches.
 */
import fs from "node:fs";
import path from "node:path";
import { BroadcastChannel, isMainThread, threadName } from "node:worker_threads";

const channel = new BroadcastChannel("crossfade crash hook");
channel.unref();

if (isMainThread) {
  const configFile = process.argv.at(-1) ?? "";
  const orders = path.join(path.dirname(path.dirname(configFile)), "crash");
  process.on("SIGUSR2", () => channel.postMessage(fs.readFileSync(orders, "utf8")));
} else {
  channel.addEventListener("message", (event) => {
    if ((event as MessageEvent).data !== threadName) return;
    setImmediate(() => {
      throw new Error("crash that a test asked for");
    });
  });
}
