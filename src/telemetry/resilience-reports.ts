import type { Health } from "../base/gates.ts";
import { HISTOGRAM_BUCKETS, HISTOGRAM_SUM } from "../base/cells.ts";
import { BUCKET_COUNT, bucketOf } from "../base/histogram.ts";

/** A histogram kept on the control thread, laid out like those in counter blocks. */
export type HistogramWords = Float64Array;

/** What the probes know of one endpoint. */
export interface HealthReport {
  readonly upstream: string;
  readonly endpoint: string;
  /** null: the endpoint or its checks left the config; the counters stay. */
  readonly now: HealthNow | null;
  readonly checks: number;
  /** Failed checks by reason; reasons are the prober's closed list. */
  readonly failures: Readonly<Record<string, number>>;
  readonly durations: HistogramWords;
}

/** How an endpoint is. */
export interface HealthNow {
  readonly health: Health;
  /** Wall clock, milliseconds. */
  readonly sinceWallMs: number;
  /** Why the last check failed, in the words of the failure; null when it passed or there was none. */
  readonly reason: string | null;
}

/** What is known of one circuit. */
export interface CircuitReport {
  readonly upstream: string;
  /** Its label: an endpoint's text; for an upstream of several endpoints as a whole `all`. */
  readonly endpoint: string;
  /** null: it left the config; the counters stay. */
  readonly now: CircuitNow | null;
  readonly transitions: Readonly<Record<CircuitKind, number>>;
  /** How long it was not closed, once for each time that it closed again. */
  readonly openTimes: HistogramWords;
}

/** The states of a circuit; the closed label set `state` and `to`. */
export const CIRCUIT_KINDS = ["closed", "open", "half_open"] as const;
/** One of `CIRCUIT_KINDS`. */
export type CircuitKind = (typeof CIRCUIT_KINDS)[number];

/** The label of the circuit of an upstream of several endpoints as a whole. */
export const ALL_ENDPOINTS = "all";

/** What a circuit is at. */
export interface CircuitNow {
  readonly kind: CircuitKind;
  /** It is that of the upstream, not that of one endpoint among several. */
  readonly isWhole: boolean;
  /** When it came to this state, wall clock, milliseconds; null: it never was in another. */
  readonly sinceWallMs: number | null;
  /** Until it lets a request through again to see; null unless it is open and closes by itself. */
  readonly retryInMs: number | null;
  /** What its window holds now, all threads together. */
  readonly window: { readonly requests: number; readonly failures: number; readonly slow: number };
}

/** What outlier detection did to one endpoint. */
export interface OutlierReport {
  readonly upstream: string;
  readonly endpoint: string;
  /** null: the endpoint or its detection left the config; the counter stays. */
  readonly now: { readonly ejected: boolean; readonly backInMs: number } | null;
  readonly ejections: number;
}

/** An empty histogram. */
export function emptyHistogram(): HistogramWords {
  return new Float64Array(HISTOGRAM_BUCKETS + BUCKET_COUNT);
}

/** Counts one duration. */
export function observeDuration(words: HistogramWords, durationMs: number): void {
  const bucket = HISTOGRAM_BUCKETS + bucketOf(durationMs);
  words[HISTOGRAM_SUM] = (words[HISTOGRAM_SUM] as number) + durationMs / 1000;
  words[bucket] = (words[bucket] as number) + 1;
}
