import { fileURLToPath } from "node:url";
import { findProgram, runPinned } from "./processes.ts";

/** What to ask, how often. Closed loop: each connection asks again when it has its answer. */
export interface LoadSpec {
  readonly url: string;
  readonly connections: number;
  readonly seconds: number;
  readonly headers: Readonly<Record<string, string>>;
  /** A Lua script for wrk that makes the requests; autocannon cannot. Undefined = plain GETs. */
  readonly script?: string;
}

/** What one run of a load gave. */
export interface LoadResult {
  readonly requests: number;
  /** How long it really took. */
  readonly seconds: number;
  /** Socket errors, timeouts and answers other than 2xx; a run with any is no measurement. */
  readonly failed: number;
  /** In words, such as `3 timeouts`; empty when none failed. */
  readonly failedHow: string;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/** A load generator. */
export interface LoadTool {
  readonly name: string;
  run(spec: LoadSpec, core: number | null): Promise<LoadResult>;
}

/** autocannon always, wrk where it is installed. */
export function loadTools(): readonly LoadTool[] {
  const wrk = findProgram("wrk");
  return wrk === null ? [AUTOCANNON] : [wrkTool(wrk), AUTOCANNON];
}

const AUTOCANNON: LoadTool = {
  name: "autocannon",
  run: async (spec, core) => {
    const script = fileURLToPath(new URL("autocannon-load.ts", import.meta.url));
    return JSON.parse(await runPinned(core, process.execPath, [script, JSON.stringify(spec)])) as LoadResult;
  },
};

function wrkTool(command: string): LoadTool {
  return {
    name: "wrk",
    run: async ({ url, connections, seconds, headers, script }, core) => {
      const fields = Object.entries(headers).flatMap(([name, value]) => ["-H", `${name}: ${value}`]);
      const shape = [
        "-t1",
        `-c${connections}`,
        `-d${seconds}s`,
        "--latency",
        ...(script === undefined ? [] : ["-s", script]),
      ];
      return resultFromWrk(await runPinned(core, command, [...shape, ...fields, url]));
    },
  };
}

const WRK_ERRORS = ["connect errors", "read errors", "write errors", "answers later than 2 s"];

function resultFromWrk(printed: string): LoadResult {
  const [, requests = "0", seconds = "0"] = /(\d+) requests in ([\d.]+)s/.exec(printed) ?? [];
  const socketErrors =
    /Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)/.exec(printed)?.slice(1) ?? [];
  const non2xx = /Non-2xx or 3xx responses: (\d+)/.exec(printed)?.[1] ?? "0";
  const counts = [...socketErrors, non2xx].map(Number);
  const kinds = [...(socketErrors.length === 0 ? [] : WRK_ERRORS), "answers other than 2xx"];
  const failed = counts.reduce((sum, count) => sum + count, 0);
  const failedHow = kinds
    .flatMap((kind, index) => ((counts[index] ?? 0) > 0 ? [`${counts[index]} ${kind}`] : []))
    .join(", ");
  return {
    requests: Number(requests),
    seconds: Number(seconds),
    failed,
    failedHow,
    p50Ms: msAt(printed, "50%"),
    p99Ms: msAt(printed, "99%"),
  };
}

function msAt(printed: string, quantile: string): number {
  const [, value = "NaN", unit = "ms"] = new RegExp(`^\\s+${quantile}\\s+([\\d.]+)(us|ms|s)$`, "m").exec(printed) ?? [];
  const scale = { us: 0.001, ms: 1, s: 1_000 }[unit] ?? 1;
  return Number(value) * scale;
}
