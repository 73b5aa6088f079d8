import { BUCKET_COUNT, BUCKETS_PER_DOUBLING, bucketUpperBound } from "../base/histogram.ts";
import { HISTOGRAM_BUCKETS, HISTOGRAM_SUM } from "../base/cells.ts";
import type { BucketsPerDoubling, ScrapeView } from "./scrape-view.ts";

/** Label names and values. Values come from closed sets: names in the config, or tables in the code. */
export type Labels = Readonly<Record<string, string>>;

/** One line of the exposition. */
export interface Sample {
  readonly value: number;
  readonly labels: Labels;
  /** Labels that several samples have in common; printed after `labels`. */
  readonly sharedLabels?: Labels;
  /** Name of the line when it is not the family's: `_bucket`, `_sum`, `_count`. */
  readonly metricName?: string;
}

/** A metric: what it is called, what it means, and how to read it at scrape time. docs/metrics.md has a row for each. */
export interface Family {
  readonly name: string;
  readonly type: "counter" | "gauge" | "histogram";
  readonly help: string;
  readonly labels: readonly string[];
  /** Lazy where it can be long, so that a scrape can pause between the samples. */
  read(view: ScrapeView): Iterable<Sample>;
}

/** A word of a block. The layouts of base/cells.ts keep `index` inside it. */
export function wordAt(words: Float64Array, index: number): number {
  return words[index] as number;
}

/** A sample for each pair whose value is not zero. A counter that never moved is left out, to keep the output small. */
export function nonZero(samples: readonly Sample[]): readonly Sample[] {
  return samples.filter((sample) => sample.value !== 0);
}

/**
 * The lines of one histogram: cumulative buckets at every bound of the chosen resolution, then sum and count. The
 * bounds are a subset of the counted ones, so nothing is interpolated. Nothing counted yet: no lines.
 */
export function histogramSamples(
  name: string,
  words: Float64Array,
  sharedLabels: Labels,
  bucketsPerDoubling: BucketsPerDoubling,
): readonly Sample[] {
  const samples: Sample[] = [];
  const stride = BUCKETS_PER_DOUBLING / bucketsPerDoubling;
  let count = 0;
  for (let index = 0; index < BUCKET_COUNT; index++) {
    count += wordAt(words, HISTOGRAM_BUCKETS + index);
    const last = index === BUCKET_COUNT - 1;
    if (!last && index % stride !== 0) continue;
    const le = last ? "+Inf" : String(bucketUpperBound(index));
    samples.push({ metricName: `${name}_bucket`, labels: { le }, sharedLabels, value: count });
  }
  if (count === 0) return [];
  samples.push({ metricName: `${name}_sum`, labels: {}, sharedLabels, value: wordAt(words, HISTOGRAM_SUM) });
  samples.push({ metricName: `${name}_count`, labels: {}, sharedLabels, value: count });
  return samples;
}
