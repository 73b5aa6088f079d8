/** What counting a request costs: a latency bucket and the words of its blocks. Run: node bench/micro/cells.ts */
import { bench, do_not_optimize, run, summary } from "mitata";
import { blockView, HISTOGRAM_BUCKETS, HISTOGRAM_SUM, PAGE_BYTES, statusSlot } from "../../src/base/cells.ts";
import { bucketOf } from "../../src/base/histogram.ts";

const SAMPLES = 1_024;
/** From 0.1 ms to about 10 s. */
const durationsMs = Float64Array.from({ length: SAMPLES }, (_, i) => 0.1 * 1.0113 ** i);
const block = blockView([new SharedArrayBuffer(PAGE_BYTES)], 3);
const word = new Int32Array(new SharedArrayBuffer(4));

summary(() => {
  let next = 0;
  bench("bucketOf a duration", () => do_not_optimize(bucketOf(durationsMs[next++ % SAMPLES] as number)));
  bench("add to a counter word", () => {
    const slot = statusSlot(200);
    block[slot] = (block[slot] as number) + 1;
  });
  bench("add a duration to a histogram", () => {
    const ms = durationsMs[next++ % SAMPLES] as number;
    const bucket = HISTOGRAM_BUCKETS + bucketOf(ms);
    block[bucket] = (block[bucket] as number) + 1;
    block[HISTOGRAM_SUM] = (block[HISTOGRAM_SUM] as number) + ms / 1000;
  });
  bench("read a control word", () => do_not_optimize(Atomics.load(word, 0)));
});

await run();
