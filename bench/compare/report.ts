import type { Machine } from "../machine.ts";
import type { PacedResult } from "../paced.ts";
import type { Round, Sample } from "./rounds.ts";

/** Against the reference: above 1 is more than it. */
export interface Ratio {
  /** Of the two medians: the one that counts. */
  readonly ofMedians: number;
  /** Median of the ratios in each round; null when no round has both. */
  readonly medianOfRounds: number | null;
}

/** One subject under one closed load. */
export interface ClosedRow {
  readonly load: string;
  /** What CPU is counted for. */
  readonly unit: "request" | "MiB";
  readonly subject: string;
  /** Null = no round gave a measurement. */
  readonly median: Sample | null;
  /** Of the CPU; null = there is no reference, or nothing was measured. */
  readonly ratio: Ratio | null;
  readonly rounds: readonly Round[];
}

/** A paced measurement, or why there is none although it was tried twice. */
export type PacedRound = { readonly sample: PacedSample } | { readonly failure: string };

/** What the generator saw, and the use of the subject's core by others as `CoreUse` has it. */
export type PacedSample = PacedResult & Pick<Sample, "strangersShare">;

/** One subject under the paced load; each sidecar has two, its own and nginx at the same rate. */
export interface PacedRow {
  /** Whose saturation the rate is a part of. */
  readonly rateOf: string;
  readonly perSecond: number;
  readonly subject: string;
  readonly median: PacedSample | null;
  /** Of the p99. */
  readonly ratio: Ratio | null;
  readonly rounds: readonly PacedRound[];
}

/** Resident memory of a fresh process. */
export interface MemoryRow {
  readonly subject: string;
  readonly idleBytes: number;
  readonly connections: number;
  /** Most that was seen while that many connections were busy. */
  readonly busyBytes: number;
  /** What went wrong under the load; null = nothing. */
  readonly failure: string | null;
}

/** A target of the project, and where we are. */
export interface TargetRow {
  readonly what: string;
  /** Such as `≤ 1.15 ×`. */
  readonly target: string;
  /** Null = not measured in this run. */
  readonly measured: number | null;
  readonly met: boolean | null;
}

/** One run of the comparison, with all that is needed to judge its numbers. */
export interface CompareReport {
  /** ISO 8601. */
  readonly at: string;
  readonly machine: Machine;
  readonly options: Readonly<Record<string, string>>;
  /** What was switched on, by subject. */
  readonly settings: Readonly<Record<string, string>>;
  /** Who took no part, and why. */
  readonly absent: Readonly<Record<string, string>>;
  /** Who does less than the others, and what is missing. */
  readonly unequal: Readonly<Record<string, readonly string[]>>;
  readonly closed: readonly ClosedRow[];
  readonly paced: readonly PacedRow[];
  readonly memory: readonly MemoryRow[];
  readonly targets: readonly TargetRow[];
  /** Parts of the run that could not be done, and why. */
  readonly failures: Readonly<Record<string, string>>;
}
