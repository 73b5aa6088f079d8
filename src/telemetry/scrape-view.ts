import { BLOCK_WORDS, blockView, pageOf, THREAD_BLOCK, THREAD_WORDS } from "../base/cells.ts";
import type { ArmLabel } from "../base/cells.ts";
import type { Snapshot } from "../model/snapshot.ts";
import type { MetricSeries, MetricsSource, ReloadCounts, ThreadCount, ThreadRestarts } from "./metrics-source.ts";
import type { CircuitReport, HealthReport, OutlierReport } from "./resilience-reports.ts";

/** Resolution of exposed histograms: this many of the eight log buckets per doubling. */
export type BucketsPerDoubling = 1 | 2 | 4 | 8;

/** What a scrape says about the build and how finely it shows durations. */
export interface ExpositionOptions {
  readonly version: string;
  /** Default of the config: 1, which is 21 bounds from 122 µs to 128 s. */
  readonly bucketsPerDoubling: BucketsPerDoubling;
}

/**
 * All that the metric families read, taken once at the start of a scrape, so that the families of one scrape agree
 * with one another. `words` are sums over the data threads, indexed by the layouts of base/cells.ts.
 */
export interface ScrapeView {
  readonly options: ExpositionOptions;
  readonly snapshot: Snapshot | null;
  readonly controlWords: Int32Array;
  readonly reloads: ReloadCounts;
  readonly threads: readonly ThreadCount[];
  readonly threadRestarts: readonly ThreadRestarts[];
  readonly threadWords: Float64Array;
  /** The highest stage of overload among the data threads, 0 to 3. */
  readonly overloadStage: number;
  readonly health: readonly HealthReport[];
  readonly circuits: readonly CircuitReport[];
  readonly outliers: readonly OutlierReport[];
  readonly routes: readonly RouteTotals[];
  readonly exchanges: readonly ExchangeTotals[];
  readonly upstreams: readonly UpstreamTotals[];
}

/** Counters of one route; `live` = the snapshot in force has it. */
export interface RouteTotals {
  readonly route: string;
  readonly live: boolean;
  readonly words: Float64Array;
}

/** Counters of one route × arm × upstream. */
export interface ExchangeTotals {
  readonly route: string;
  readonly arm: ArmLabel;
  readonly upstream: string;
  readonly words: Float64Array;
}

/** Counters of one upstream; `live` = the snapshot in force has it. */
export interface UpstreamTotals {
  readonly upstream: string;
  readonly live: boolean;
  readonly words: Float64Array;
}

/** Reads the source once and sums every block over the data threads. */
export function takeScrapeView(source: MetricsSource, options: ExpositionOptions): ScrapeView {
  const snapshot = source.snapshot();
  const regions = source.regions();
  return {
    options,
    snapshot,
    controlWords: source.controlWords,
    reloads: source.reloads(),
    threads: source.threads(),
    threadRestarts: source.threadRestarts(),
    threadWords: sumBlock(regions, THREAD_BLOCK),
    overloadStage: highestStage(regions),
    health: source.health(),
    circuits: source.circuits(),
    outliers: source.outliers(),
    ...sumSeries(source, regions, snapshot),
  };
}

/** The same source with the counters of one route only: for whoever looks at one among thousands. */
export function sourceOfRoute(source: MetricsSource, route: string): MetricsSource {
  const isItsOwn = ({ key }: MetricSeries): boolean => {
    return (key.kind === "route" || key.kind === "exchange") && key.route === route;
  };
  return { ...source, ...NO_REPORTS, series: () => source.series().filter(isItsOwn) };
}

const NO_REPORTS = { health: () => [], circuits: () => [], outliers: () => [] };

type Regions = readonly (readonly SharedArrayBuffer[])[];

function sumSeries(
  source: MetricsSource,
  regions: Regions,
  snapshot: Snapshot | null,
): Pick<ScrapeView, "routes" | "exchanges" | "upstreams"> {
  const liveRoutes = new Set(snapshot?.routes.map((route) => route.name));
  const liveUpstreams = new Set(snapshot?.upstreams.map((upstream) => upstream.name));
  const routes: RouteTotals[] = [];
  const exchanges: ExchangeTotals[] = [];
  const upstreams: UpstreamTotals[] = [];
  for (const { key, block } of source.series()) {
    switch (key.kind) {
      case "thread":
        break;
      case "route":
        routes.push({ route: key.route, live: liveRoutes.has(key.route), words: sumBlock(regions, block) });
        break;
      case "exchange":
        exchanges.push({
          route: key.route,
          arm: key.arm,
          upstream: key.upstream,
          words: sumBlock(regions, block),
        });
        break;
      case "upstream":
        upstreams.push({
          upstream: key.upstream,
          live: liveUpstreams.has(key.upstream),
          words: sumBlock(regions, block),
        });
    }
  }
  return { routes, exchanges, upstreams };
}

function sumBlock(regions: Regions, block: number): Float64Array {
  const sum = new Float64Array(BLOCK_WORDS);
  for (const pages of regions) {
    // A thread gets a page when the first snapshot that needs it arrives; until then it has counted nothing there.
    if (pageOf(block) < pages.length) addWords(sum, blockView(pages, block));
  }
  return sum;
}

/** The stage of overload of the worst data thread: threads that are each in stage 1 are not together in stage 2. */
export function highestStage(regions: Regions): number {
  const stages = regions.map((pages) => {
    return pages.length === 0 ? 0 : (blockView(pages, THREAD_BLOCK)[THREAD_WORDS.overloadStage] as number);
  });
  return Math.max(0, ...stages);
}

/** Adds `words` to `sum`, word by word. */
export function addWords(sum: Float64Array, words: Float64Array): void {
  for (let i = 0; i < sum.length; i++) sum[i] = (sum[i] as number) + (words[i] as number);
}
