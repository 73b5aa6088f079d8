import assert from "node:assert/strict";
import { test } from "node:test";
import { reportLines } from "../../scripts/endurance/report.ts";
import { endure } from "../../scripts/endurance/run.ts";

/** With the quiet before and after it, below the limit that the runner sets for a test. */
const TRAFFIC_MS = 110_000;
const SEED = 3;

test("two minutes of mixed traffic leak nothing and mix up no answers", { timeout: 170_000 }, async (t) => {
  const result = await endure({
    trafficMs: TRAFFIC_MS,
    seed: SEED,
    // Two minutes end before the heaps have settled: pages come and go by 20 MiB. The live heaps have a limit of their own.
    mostGrowthMiB: 32,
    onProgress: (line) => t.diagnostic(line),
    signal: t.signal,
  });
  for (const line of reportLines(result, SEED)) t.diagnostic(line);
  const broken = result.findings.filter(({ kept }) => !kept);
  assert.deepEqual(broken, []);
});
