import { fileURLToPath } from "node:url";
import { findProgram, runPinned } from "./processes.ts";

/** What to ask, how often. Closed loop: each connection asks again when it has its answer. */
export interface LoadSpec {
  readonly url: string;
  readonly connections: number;
  readonly seconds: number;
  readonly headers: Readonly<Record<string, string>>;
}

/** What one run of a load gave. */
export interface LoadResult {
  readonly requests: number;
  /** How long it really took. */
  readonly seconds: number;
  /** Socket errors, timeouts and answers other than 2xx; a run with any is no measurement. */
  readonly failed: number;
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
    run: async ({ url, connections, seconds, headers }, core) => {
      const fields = Object.entries(headers).flatMap(([name, value]) => ["-H", `${name}: ${value}`]);
      const shape = ["-t1", `-c${connections}`, `-d${seconds}s`, "--latency"];
      return resultFromWrk(await runPinned(core, command, [...shape, ...fields, url]));
    },
  };
}

function resultFromWrk(printed: string): LoadResult {
  const [, requests = "0", seconds = "0"] = /(\d+) requests in ([\d.]+)s/.exec(printed) ?? [];
  const socketErrors = /Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)/.exec(printed);
  const non2xx = Number(/Non-2xx or 3xx responses: (\d+)/.exec(printed)?.[1] ?? 0);
  const failed = (socketErrors?.slice(1) ?? []).reduce((sum, count) => sum + Number(count), non2xx);
  return {
    requests: Number(requests),
    seconds: Number(seconds),
    failed,
    p50Ms: msAt(printed, "50%"),
    p99Ms: msAt(printed, "99%"),
  };
}

function msAt(printed: string, quantile: string): number {
  const [, value = "NaN", unit = "ms"] = new RegExp(`^\\s+${quantile}\\s+([\\d.]+)(us|ms|s)$`, "m").exec(printed) ?? [];
  const scale = { us: 0.001, ms: 1, s: 1_000 }[unit] ?? 1;
  return Number(value) * scale;
}
