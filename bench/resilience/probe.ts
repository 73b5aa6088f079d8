import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { Scrape } from "../../test/support/scrape.ts";
import { runPaced } from "../paced.ts";
import { startPinned } from "../processes.ts";
import type { SidecarSubject } from "../servers/crossfade.ts";
import type { ResilienceRow } from "./report.ts";
import { endpointOf, scrapeOf, withCrew, type Crew, type Stage } from "./stage.ts";

const DURATION = "crossfade_health_check_duration_seconds_bucket";
const KINDS = ["http", "tcp", "grpc"] as const;
/** Upstreams with a check of each kind: one is asked once at a time, and not more often than its timeout. */
const COPIES = 4;
const INTERVAL_MS = 50;
const WARM_UP_MS = 1_000;
/** For each round that is asked for. */
const MEASURED_S = 2;
const TARGET_MS = 20;
const CONNECTIONS = 16;
const LIGHT_LOAD_PER_SECOND = 1_000;

/** How long probes of a healthy local upstream take while the sidecar serves a light load. */
export function measureProbes(stage: Stage): Promise<readonly ResilienceRow[]> {
  return withCrew(stage, async (crew) => {
    const sidecar = await startChecking(crew, stage);
    const seconds = MEASURED_S * stage.options.rounds;
    const load = lightLoad(sidecar, seconds + WARM_UP_MS / 1_000, stage);
    await delay(WARM_UP_MS);
    const before = await scrapeOf(sidecar);
    await delay(seconds * 1_000);
    const after = await scrapeOf(sidecar);
    await load;
    return KINDS.map((kind) =>
      rowOf(kind, probesBetween(before, after, kind), failedOf(after, kind) - failedOf(before, kind)),
    );
  });
}

async function startChecking(crew: Crew, { cores }: Stage): Promise<SidecarSubject> {
  const http = endpointOf(await crew.upstream());
  const script = fileURLToPath(new URL("../responder-grpc.ts", import.meta.url));
  const grpc = crew.add(await startPinned(cores.rest, process.execPath, [script], /^port (\d+)\n/m));
  const checks = { http: { http: { path: "/" } }, tcp: { tcp: {} }, grpc: { grpc: {} } };
  const endpoints = { http, tcp: http, grpc: `http://127.0.0.1:${grpc.match[1]}` };
  const interval = `${INTERVAL_MS}ms`;
  const upstreams = KINDS.flatMap((kind) =>
    Array.from({ length: COPIES }, (_, copy) => [
      `${kind}${copy}`,
      { endpoints: [endpoints[kind]], health: { ...checks[kind], interval } },
    ]),
  );
  return crew.sidecar({
    name: "probe",
    upstreams: Object.fromEntries(upstreams) as object,
    route: { split: { baseline: "http0" } },
    words: `${COPIES} upstreams with a check over HTTP, by TCP and by gRPC each, Watch and jitter as by default, interval ${interval}`,
    bucketsPerDoubling: 8,
  });
}

function failedOf(scrape: Scrape, kind: string): number {
  const failures = scrape.samples.filter(({ name }) => name === "crossfade_health_check_failures_total");
  return failures
    .filter(({ labels }) => labels["upstream"]?.startsWith(kind))
    .reduce((sum, { value }) => sum + value, 0);
}

async function lightLoad({ url }: SidecarSubject, seconds: number, { cores }: Stage): Promise<void> {
  const spec = { url, connections: CONNECTIONS, perSecond: LIGHT_LOAD_PER_SECOND, leadSeconds: 0, seconds };
  const { failed } = await runPaced(spec, cores.rest);
  if (failed > 0) throw new Error(`${failed} requests of the light load failed`);
}

/** Probes of one kind by the upper bound of their bucket in seconds, those before the first scrape left out. */
function probesBetween(before: Scrape, after: Scrape, kind: string): ReadonlyMap<number, number> {
  const counts = new Map<number, number>();
  for (const [scrape, sign] of [
    [before, -1],
    [after, 1],
  ] as const) {
    for (const { labels, value } of scrape.samples.filter(({ name }) => name === DURATION)) {
      if (!labels["upstream"]?.startsWith(kind)) continue;
      const bound = Number(labels["le"]?.replace("+Inf", "Infinity"));
      counts.set(bound, (counts.get(bound) ?? 0) + sign * value);
    }
  }
  return counts;
}

/** The counts are cumulative, as they are in a scrape. */
function boundMs(counts: ReadonlyMap<number, number>, quantile: number): number {
  const wanted = (counts.get(Infinity) ?? 0) * quantile;
  const bounds = [...counts.keys()].toSorted((a, b) => a - b);
  return 1_000 * (bounds.find((bound) => (counts.get(bound) ?? 0) >= wanted) ?? NaN);
}

function rowOf(kind: string, counts: ReadonlyMap<number, number>, failed: number): ResilienceRow {
  const [probes, p50Ms, p99Ms] = [counts.get(Infinity) ?? 0, boundMs(counts, 0.5), boundMs(counts, 0.99)];
  const bad = failed === 0 ? "" : `; ${failed} probes failed`;
  return {
    row: "probe",
    what: `probe of a healthy local upstream, ${kind}`,
    target: `p99 < ${TARGET_MS} ms (the plan allows 100)`,
    measured: `p50 ≤ ${p50Ms.toFixed(2)}, p99 ≤ ${p99Ms.toFixed(2)} ms of ${probes} probes${bad}`,
    met: probes === 0 ? null : p99Ms < TARGET_MS && failed === 0,
    how:
      `bounds of the buckets of crossfade_health_check_duration_seconds, 8 per doubling; ${COPIES} upstreams with such a check ` +
      `and ${COPIES * (KINDS.length - 1)} with the others, each every ${INTERVAL_MS} ms, beside ${LIGHT_LOAD_PER_SECOND} requests/s`,
    disturbed: [],
    rounds: { probes, failed, p50Ms, p99Ms },
  };
}
