import { setImmediate as nextTurn } from "node:timers/promises";
import { collectDefaultMetrics, Registry } from "prom-client";
import type { Metric } from "prom-client";
import { CONTROL_FAMILIES } from "./control-families.ts";
import type { Family, Sample } from "./family.ts";
import { RESILIENCE_FAMILIES } from "./resilience-families.ts";
import type { MetricsSource } from "./metrics-source.ts";
import { takeScrapeView } from "./scrape-view.ts";
import type { ExpositionOptions } from "./scrape-view.ts";
import { TRAFFIC_FAMILIES } from "./traffic-families.ts";
import { UPSTREAM_FAMILIES } from "./upstream-families.ts";

/** The metrics of the process, ready to be scraped. */
export interface Metrics {
  /** Value of the `content-type` field of an exposition. */
  readonly contentType: string;
  /** The exposition in the Prometheus text format; all counters are read at one moment. */
  scrape(): Promise<string>;
}

/** All families of our own, in the order of the exposition. */
export const FAMILIES: readonly Family[] = [
  ...TRAFFIC_FAMILIES,
  ...UPSTREAM_FAMILIES,
  ...RESILIENCE_FAMILIES,
  ...CONTROL_FAMILIES,
];

/**
 * prom-client's defaults that are left out: gauges whose names end as a counter's must, and the two that walk every
 * open socket twice per scrape.
 */
const REFUSED_DEFAULTS = [
  "nodejs_active_handles",
  "nodejs_active_handles_total",
  "nodejs_active_requests",
  "nodejs_active_requests_total",
  "nodejs_active_resources_total",
];

/** Lines formatted in one go, about a millisecond: between two slices the event loop serves others. */
const SLICE_SAMPLES = 1_000;

/**
 * Builds the metrics over a source. The road counts in plain cells; prom-client sees the numbers only here, once per
 * scrape, so no request ever pays for a label. The process and runtime defaults observe the calling thread for the
 * life of the process: build this once. Bench: bench/micro/scrape.ts.
 */
export function createMetrics(source: MetricsSource, options: ExpositionOptions): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  for (const name of REFUSED_DEFAULTS) registry.removeSingleMetric(name);
  const defaults = registry.getMetricsAsArray().map(({ name }) => name);
  const slice: Slice = { samples: [] };
  for (const family of FAMILIES) registry.registerMetric(metricFromFamily(family, slice));
  return {
    contentType: registry.contentType,
    async scrape() {
      const view = takeScrapeView(source, options);
      const texts: string[] = [];
      for (const family of FAMILIES) texts.push(await renderFamily(registry, slice, family, family.read(view)));
      for (const name of defaults) texts.push(await registry.getSingleMetricAsString(name));
      return `${texts.join("\n")}\n`;
    },
  };
}

/** The samples that our metrics show the registry when it asks, which it does before `getSingleMetricAsString` returns. */
interface Slice {
  samples: readonly Sample[];
}

// prom-client's own classes hash the labels of every value; the registry needs no more of a metric than this.
function metricFromFamily(family: Family, slice: Slice): Metric {
  const metric = { name: family.name, get: () => ({ ...family, values: slice.samples, aggregator: "sum" }) };
  return metric as unknown as Metric;
}

// On the control thread a kill switch may be waiting, and inline the requests are: no long family holds them up.
async function renderFamily(registry: Registry, slice: Slice, { name }: Family, samples: Iterable<Sample>) {
  let text = "";
  for (const some of slicesOf(samples)) {
    const part = await renderSlice(registry, slice, name, some);
    text += text === "" ? part : part.slice(headLength(part));
    await nextTurn();
  }
  return text;
}

/** At least one slice, so that a family without samples has its heading. */
function* slicesOf(samples: Iterable<Sample>): Generator<readonly Sample[]> {
  let some: Sample[] = [];
  let count = 0;
  for (const sample of samples) {
    some.push(sample);
    count++;
    if (some.length < SLICE_SAMPLES) continue;
    yield some;
    some = [];
  }
  if (some.length > 0 || count === 0) yield some;
}

function renderSlice(registry: Registry, slice: Slice, name: string, samples: readonly Sample[]): Promise<string> {
  slice.samples = samples;
  return registry.getSingleMetricAsString(name);
}

// Each slice comes with the HELP and TYPE lines of its family; only the first keeps them.
function headLength(text: string): number {
  return text.indexOf("\n", text.indexOf("\n") + 1);
}
