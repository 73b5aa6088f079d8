import type { SeriesKey } from "../base/series.ts";
import type { Snapshot } from "../model/snapshot.ts";
import type { CircuitReport, HealthReport, OutlierReport } from "./resilience-reports.ts";

/**
 * Everything a scrape reads. All of it is read on the control thread, at scrape time, without a message to any other
 * thread; the functions are called once per scrape.
 */
export interface MetricsSource {
  /** Every series that ever had a block, those of removed routes included: their counters stay. */
  series(): readonly MetricSeries[];
  /** One list of counter pages per data thread slot. A replaced thread takes over the pages of the one that died. */
  regions(): readonly (readonly SharedArrayBuffer[])[];
  /** The snapshot in force; null before the first one. */
  snapshot(): Snapshot | null;
  reloads(): ReloadCounts;
  /** Threads by kind and state. A pair that is not listed is zero. */
  threads(): readonly ThreadCount[];
  /** How often a thread of each kind was replaced since the process started. */
  threadRestarts(): readonly ThreadRestarts[];
  /** What the probes know; also of endpoints that left the config, whose counters stay. */
  health(): readonly HealthReport[];
  /** What the circuits are at, likewise. */
  circuits(): readonly CircuitReport[];
  /** Who was ejected, likewise. */
  outliers(): readonly OutlierReport[];
  /** One word per route, at the index that its `RouteCells.word` names. */
  readonly controlWords: Int32Array;
}

/** A series key and the counter block that it owns in every data thread. */
export interface MetricSeries {
  readonly key: SeriesKey;
  readonly block: number;
}

/** How reloads ended. */
export interface ReloadCounts {
  /** A new generation came of it. */
  readonly applied: number;
  /** The text was not valid; the old snapshot stayed. */
  readonly refused: number;
  /** The text said what is already in force. */
  readonly unchanged: number;
  /** The last reload was not refused. True before the first. */
  readonly lastOk: boolean;
}

/** The kinds of threads; the closed label set `kind`. */
export const THREAD_KINDS = ["control", "data", "lab"] as const;
/** One of `THREAD_KINDS`. */
export type ThreadKind = (typeof THREAD_KINDS)[number];

/** What a thread is doing; the closed label set `state`. */
export const THREAD_STATES = ["starting", "running", "draining"] as const;
/** One of `THREAD_STATES`. */
export type ThreadState = (typeof THREAD_STATES)[number];

/** How many threads of a kind are in a state. */
export interface ThreadCount {
  readonly kind: ThreadKind;
  readonly state: ThreadState;
  readonly count: number;
}

/** How many threads of a kind were replaced. */
export interface ThreadRestarts {
  readonly kind: ThreadKind;
  readonly count: number;
}
