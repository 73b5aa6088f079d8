import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { platform } from "node:os";
import { test } from "node:test";
import { Worker } from "node:worker_threads";
import { until } from "../support/until.ts";

/** Nice values of this process's threads, by thread. */
function niceValues(): ReadonlyMap<string, number> {
  const values = new Map<string, number>();
  for (const thread of readdirSync("/proc/self/task")) {
    const stat = readFileSync(`/proc/self/task/${thread}/stat`, "latin1");
    // Behind the name, which may hold anything: state is field 3, nice 19.
    values.set(thread, Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[16]));
  }
  return values;
}

const skip = platform() === "linux" ? false : "skipped: no Linux";

test("the lab thread steps back behind the others, and nobody else does", { skip }, async (t) => {
  const before = niceValues();
  const lab = new Worker(new URL("../../src/lab-thread.ts", import.meta.url), { workerData: { level: "silent" } });
  t.after(() => lab.terminate());
  await until(() => [...niceValues().values()].filter((nice) => nice === 10).length === 1, "one thread of nice 10");
  const after = niceValues();
  for (const [thread, nice] of before) assert.equal(after.get(thread) ?? nice, nice);
});
