/**
 * A scrape with a thousand series on two data threads, at the coarsest and the finest histograms. The limit is 50 ms,
 * on the control thread. Run: node bench/micro/scrape.ts
 */
import { bench, run, summary } from "mitata";
import { HISTOGRAM_BUCKETS, ROUTE_WORDS, statusSlot } from "../../src/base/cells.ts";
import { bucketOf } from "../../src/base/histogram.ts";
import type { ArmLabel } from "../../src/base/cells.ts";
import { createMetrics } from "../../src/telemetry/metrics.ts";
import { countingSource } from "../../test/support/metrics-source.ts";
import type { CountingSource } from "../../test/support/metrics-source.ts";

const ROUTES = 250;
const ARMS: readonly (readonly [ArmLabel, string])[] = [
  ["baseline", "v1"],
  ["candidate", "v2"],
  ["none", "none"],
];

function busySource(): CountingSource {
  const names = Array.from({ length: ROUTES }, (_, i) => `route-${i}`);
  const source = countingSource(
    names.map((name) => ({ name, baseline: "v1", candidate: "v2", candidatePpm: 100_000 })),
  );
  for (const thread of [0, 1]) {
    for (const route of names) {
      source.words(thread, { kind: "route", route })[ROUTE_WORDS.started] = 1;
      for (const [arm, upstream] of ARMS) count(source.words(thread, { kind: "exchange", route, arm, upstream }));
    }
  }
  return source;
}

function count(words: Float64Array): void {
  for (const status of [200, 404, 502]) words[statusSlot(status)] = 7;
  for (let ms = 1; ms < 1_000; ms *= 1.5) words[HISTOGRAM_BUCKETS + bucketOf(ms)] = 7;
}

const source = busySource();
const text = await createMetrics(source, { version: "bench", bucketsPerDoubling: 1 }).scrape();
console.log(`${source.series().length} series, ${text.split("\n").length} lines, ${text.length} bytes`);

summary(() => {
  for (const bucketsPerDoubling of [1, 8] as const) {
    const metrics = createMetrics(source, { version: "bench", bucketsPerDoubling });
    bench(`scrape, ${bucketsPerDoubling} per doubling`, () => metrics.scrape());
  }
});

await run();
