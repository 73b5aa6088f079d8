import { fileURLToPath } from "node:url";
import { findProgram, runPinned } from "./processes.ts";

/** An open-loop load. */
export interface PacedSpec {
  readonly url: string;
  readonly connections: number;
  /** Requests due in a second. */
  readonly perSecond: number;
  /** Before the measurement: the same load, not counted. */
  readonly leadSeconds: number;
  readonly seconds: number;
  /** Of a good answer; undefined = 200. */
  readonly status?: number;
}

/** What an open-loop load gave. Times count from when a request was due, not from when it left. */
export interface PacedResult {
  /** Answers in a second; below the wanted rate when somebody could not keep up. */
  readonly perSecond: number;
  /** Without an answer, or with another status than the wanted one; before the measurement too. */
  readonly failed: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly p999Ms: number;
  /**
   * The generator's own share in the times above: how late a request left although a connection was free, and how long
   * its answer may have lain unread.
   */
  readonly lateP99Ms: number;
  /** Part of the time in which the generator did not come to its turn for more than a millisecond. */
  readonly stalledShare: number;
}

/**
 * Runs an open-loop load. The generator spins, so it runs at idle priority where it can: else the upstream on the same
 * core would wait for it.
 */
export async function runPaced(spec: PacedSpec, core: number | null): Promise<PacedResult> {
  const script = fileURLToPath(new URL("paced-load.ts", import.meta.url));
  const args = [process.execPath, script, JSON.stringify(spec)];
  const [program = "", ...rest] = findProgram("chrt") === null ? args : ["chrt", "--idle", "0", ...args];
  return JSON.parse(await runPinned(core, program, rest)) as PacedResult;
}
