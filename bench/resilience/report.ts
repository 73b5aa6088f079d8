import type { Machine } from "../machine.ts";
import type { Ratio } from "../compare/report.ts";
import type { ResilienceOptions, RowName } from "./options.ts";

/** One promise, and what was measured of it. */
export interface ResilienceRow {
  readonly row: RowName;
  readonly what: string;
  /** Such as `p99 < 1 ms`. */
  readonly target: string;
  /** In words, with unit. */
  readonly measured: string;
  /** Null = nothing was measured. */
  readonly met: boolean | null;
  readonly how: string;
  /** Why it is not to be quoted; empty = it may be. */
  readonly disturbed: readonly string[];
  /** All that was measured, round by round. */
  readonly rounds: unknown;
}

/** What one setting costs a request, against the same build without it. */
export interface CostRow {
  readonly subject: string;
  /** Medians over all rounds, of CPU time per request in µs. */
  readonly cpuMicros: number;
  /** Null for what the others are compared with. */
  readonly ratio: CostRatio | null;
  /** In the order of the rounds; null = no measurement. */
  readonly cpuMicrosOfRounds: readonly (number | null)[];
}

/** A ratio of CPU times; 1 = it costs nothing. */
export interface CostRatio extends Ratio {
  /** Of the ratios in each round: a quarter lies below the first, a quarter above the second. */
  readonly middleHalf: readonly [number, number];
  /** Ratio of medians for each set of fresh processes. */
  readonly ofProcesses: readonly number[];
}

/** Settings that were measured in turn; the first is what the others are compared with. */
export interface CostTable {
  readonly title: string;
  readonly rows: readonly CostRow[];
}

/** What the rows gave. */
export interface Findings {
  readonly rows: ResilienceRow[];
  readonly costs: CostTable[];
  /** What was switched on, by subject. */
  readonly settings: Record<string, string>;
}

/** One run of the benchmark, with all that is needed to judge its numbers. */
export interface ResilienceReport extends Findings {
  /** ISO 8601. */
  readonly at: string;
  /** At the end of the run. */
  readonly machine: Machine;
  readonly loadAverageBefore: number;
  /** How long the whole took. */
  readonly seconds: number;
  readonly options: ResilienceOptions;
  readonly isPinned: boolean;
}
