import { blockView, PAGE_BYTES, packControlWord } from "../../src/base/cells.ts";
import { seriesKeyText } from "../../src/base/series.ts";
import type { SeriesKey } from "../../src/base/series.ts";
import type { RouteSpec, Snapshot, UpstreamSpec } from "../../src/model/snapshot.ts";
import type { MetricSeries, MetricsSource } from "../../src/telemetry/metrics-source.ts";

/** A route of a made-up snapshot. */
export interface PlannedRoute {
  readonly name: string;
  readonly baseline: string;
  readonly candidate: string | null;
  readonly candidatePpm: number;
}

type Reported = "snapshot" | "reloads" | "threads" | "threadRestarts" | "health" | "circuits" | "outliers";

/** A source for metric tests: counters are set by hand, as a data thread would. */
export interface CountingSource extends MetricsSource {
  /** The counters of one series in one thread; made on first use. */
  words(thread: number, key: SeriesKey): Float64Array;
  /** What the source reports; assign to change it. */
  now: { -readonly [Name in Reported]: ReturnType<MetricsSource[Name]> };
}

/** A source with a snapshot of these routes and counter pages for `threadCount` threads. */
export function countingSource(routes: readonly PlannedRoute[], threadCount = 2): CountingSource {
  const blocks = new Map<string, MetricSeries>();
  const regions = Array.from({ length: threadCount }, (): SharedArrayBuffer[] => []);
  const controlWords = new Int32Array(new SharedArrayBuffer(4 * 1024));
  for (const [word, route] of routes.entries()) {
    controlWords[word] = packControlWord({ candidatePpm: route.candidatePpm, killed: false, epoch: 1 });
  }
  const blockOf = (key: SeriesKey): number => {
    const text = seriesKeyText(key);
    const entry = blocks.get(text) ?? { key, block: blocks.size };
    blocks.set(text, entry);
    return entry.block;
  };
  blockOf({ kind: "thread" });
  const now: CountingSource["now"] = {
    snapshot: plannedSnapshot(routes),
    reloads: { applied: 0, refused: 0, unchanged: 0, lastOk: true },
    threads: [],
    threadRestarts: [],
    health: [],
    circuits: [],
    outliers: [],
  };
  return {
    now,
    controlWords,
    series: () => [...blocks.values()],
    regions: () => regions,
    snapshot: () => now.snapshot,
    reloads: () => now.reloads,
    threads: () => now.threads,
    threadRestarts: () => now.threadRestarts,
    health: () => now.health,
    circuits: () => now.circuits,
    outliers: () => now.outliers,
    words(thread, key) {
      const block = blockOf(key);
      const pages = regions[thread] as SharedArrayBuffer[];
      while (pages.length * 512 <= block) pages.push(new SharedArrayBuffer(PAGE_BYTES));
      return blockView(pages, block);
    },
  };
}

/** A snapshot of these routes; route n has control word n and epoch 1. */
export function plannedSnapshot(routes: readonly PlannedRoute[], generation = 1): Snapshot {
  const names = new Set(
    routes.flatMap(({ baseline, candidate }) => [baseline, ...((candidate ?? "") ? [candidate] : [])]),
  );
  return {
    generation,
    cause: { by: "start", actor: "test", reason: "", action: "start" },
    upstreams: [...names].map((name) => ({ name: name as string }) as UpstreamSpec),
    routes: routes.map((route, word) => routeSpec(route, word)),
    killed: false,
  } as unknown as Snapshot;
}

function routeSpec({ name, baseline, candidate, candidatePpm }: PlannedRoute, word: number): RouteSpec {
  return {
    name,
    split: { baseline, candidate, candidatePpm, killed: false },
    cells: { word, epoch: 1 },
  } as unknown as RouteSpec;
}

/** The lines of an exposition that begin with `prefix`, without their line ends. */
export function linesOf(text: string, prefix: string): string[] {
  return text.split("\n").filter((line) => line.startsWith(prefix));
}
