/** One run of autocannon in a process of its own; prints a `LoadResult` as JSON. Argument: a `LoadSpec` as JSON. */
import { createRequire } from "node:module";
import type { EventEmitter } from "node:events";
import type { LoadResult, LoadSpec } from "./loads.ts";

/** What is used of autocannon, which ships no types. */
type Autocannon = (options: object) => EventEmitter & PromiseLike<AutocannonSummary>;
interface AutocannonSummary {
  readonly duration: number;
  readonly errors: number;
  readonly timeouts: number;
  readonly non2xx: number;
}

const autocannon = createRequire(import.meta.url)("autocannon") as Autocannon;
const { url, connections, seconds, headers } = JSON.parse(process.argv[2] ?? "") as LoadSpec;

const run = autocannon({ url, connections, duration: seconds, headers });
// Its own histogram counts whole milliseconds; a hop on loopback is far below one.
const durationsMs: number[] = [];
run.on("response", (_client: unknown, _status: number, _bytes: number, durationMs: number) => {
  durationsMs.push(durationMs);
});
const summary = await run;
durationsMs.sort((a, b) => a - b);
const at = (quantile: number): number =>
  durationsMs[Math.min(durationsMs.length - 1, Math.floor(durationsMs.length * quantile))] ?? 0;
const result: LoadResult = {
  requests: durationsMs.length,
  seconds: summary.duration,
  failed: summary.errors + summary.timeouts + summary.non2xx,
  failedHow: JSON.stringify({ errors: summary.errors, timeouts: summary.timeouts, non2xx: summary.non2xx }),
  p50Ms: at(0.5),
  p99Ms: at(0.99),
};
process.stdout.write(JSON.stringify(result));
