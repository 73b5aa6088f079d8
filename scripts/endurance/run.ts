import { openFiles } from "../../test/support/faults.ts";
import type { Scrape } from "../../test/support/scrape.ts";
import { until } from "../../test/support/until.ts";
import { startCaller, type Caller } from "./caller.ts";
import { startChanges, untilIdle } from "./changes.ts";
import { diceFrom } from "./dice.ts";
import { findingsFrom, type Finding, type Harvest } from "./findings.ts";
import { startRudeClients } from "./rude.ts";
import { startSlowClients } from "./slow.ts";
import { LIMITS_S, openStage, ROUGH_ROUTES, STRICT_ROUTES, type Stage } from "./stage.ts";
import { startTunnels } from "./tunnels.ts";
import { activeResources, scrapeOnce, watchVitals } from "./vitals.ts";

/** How long, and by which chance. */
export interface EnduranceWish {
  /** Traffic, in ms; the quiet before and after comes on top. */
  readonly trafficMs: number;
  readonly seed: number;
  /** Most that the resident set may grow from the middle third to the last, in MiB. */
  readonly mostGrowthMiB: number;
  /** A line of progress every ten seconds. */
  readonly onProgress: (line: string) => void;
  /** Ends the traffic early. */
  readonly signal: AbortSignal;
}

/** What came of it. */
export interface EnduranceResult {
  /** One per promise, kept or not. */
  readonly findings: readonly Finding[];
  /** Numbers for people. */
  readonly table: readonly (readonly [string, string])[];
  /** The last log records of the sidecar. */
  readonly lastLogs: readonly string[];
}

const CALLERS = 28;
const PIPELINING_CALLERS = 8;
const SLOW = { heads: 700, senders: 340, readers: 40 } as const;
const CHANGE_EVERY_MS = 2_500;
const PROGRESS_MS = 10_000;
/** Idle connections and lingering ones take a few seconds to go. */
const IDLE_DEADLINE_MS = 30_000;
/** Main and one data thread; the lab begins with the first access record, and none is asked for. */
const THREADS = 2;

/** Puts mixed traffic on a sidecar and says whether it kept its promises. */
export async function endure(wish: EnduranceWish): Promise<EnduranceResult> {
  const stage = await openStage();
  let harvest: Harvest;
  try {
    harvest = await traffic(stage, wish);
  } finally {
    await stage.close();
  }
  const { findings, table } = findingsFrom(stage, harvest, wish.mostGrowthMiB);
  const lastLogs = stage.sidecar.logs.slice(-20).map((record) => JSON.stringify(record));
  return { findings, table, lastLogs };
}

async function traffic(stage: Stage, wish: EnduranceWish): Promise<Harvest> {
  const { sidecar, ledger, configOf } = stage;
  const { seed } = wish;
  const { port } = sidecar;
  const filesBefore = openFiles(sidecar.pid);
  const resourcesBefore = await activeResources(sidecar, THREADS);
  const before = await scrapeOnce(sidecar);

  const vitals = watchVitals(sidecar, ledger);
  const callers = startCallers(stage, seed);
  const rudePlan = { port, routes: ROUGH_ROUTES, atOnce: 24, mostPauseMs: 250 };
  const rude = startRudeClients(rudePlan, diceFrom(seed, 1), ledger);
  const slowPlan = { port, route: "slow", ...SLOW, patienceMs: (LIMITS_S.header + 10) * 1_000 };
  const slow = startSlowClients(slowPlan, diceFrom(seed, 2), ledger);
  const tunnels = startTunnels(port, 16, diceFrom(seed, 3), ledger);
  const changes = startChanges(sidecar, configOf, "split", CHANGE_EVERY_MS, diceFrom(seed, 4), ledger);

  const startedMs = performance.now();
  const progress = setInterval(() => {
    const seconds = ((performance.now() - startedMs) / 1_000).toFixed(0);
    const { whole, own, neighbour, unexplained, violationCount } = ledger;
    const resident = ((vitals.residentBytes.at(-1) ?? 0) / 2 ** 20).toFixed(0);
    wish.onProgress(
      `${seconds} s: ${whole} whole, ${own} as scripted, ${neighbour} by neighbours, ${unexplained} unexplained, ` +
        `${violationCount} violations; ${slow.open()} slow, ${tunnels.opened()} tunnels; ` +
        `${resident} MiB, ${openFiles(sidecar.pid)} files`,
    );
  }, PROGRESS_MS);
  await untilOver(wish, sidecar.exited);
  clearInterval(progress);

  const parts = [...callers, rude, slow, tunnels, changes, vitals];
  await Promise.all(parts.map((part) => part.stop()));
  const busy = await untilIdle(sidecar, IDLE_DEADLINE_MS);
  const after: Scrape = await scrapeOnce(sidecar);
  const filesAfter = await untilFiles(sidecar.pid, filesBefore);
  const resourcesAfter = await activeResources(sidecar, THREADS);
  return {
    seconds: (performance.now() - startedMs) / 1_000,
    before,
    after,
    busy,
    files: [filesBefore, filesAfter],
    resources: [resourcesBefore, resourcesAfter],
    residentBytes: vitals.residentBytes,
    mostSlow: slow.most(),
    mostConnections: Math.max(0, ...vitals.connections),
    scrapes: vitals.scrapes(),
    rude: rude.counts,
    slowEnded: slow.ended,
    tunnels: tunnels.opened(),
    changes: changes.counts,
  };
}

function startCallers(stage: Stage, seed: number): readonly Caller[] {
  const { ledger, sidecar } = stage;
  const usual = { port: sidecar.port, routes: [...STRICT_ROUTES.keys()], mostPauseMs: 120 };
  return Array.from({ length: CALLERS + PIPELINING_CALLERS }, (_, i) =>
    startCaller({ ...usual, mostAtOnce: i < CALLERS ? 1 : 6 }, diceFrom(seed, 100 + i), ledger),
  );
}

/** Until the time is over, or somebody has had enough; rejects when the sidecar ends. */
async function untilOver(wish: EnduranceWish, exited: Promise<unknown>): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const timer = setTimeout(resolve, wish.trafficMs);
    wish.signal.addEventListener("abort", () => resolve(), { once: true });
    void exited.then(() => {
      clearTimeout(timer);
      reject(new Error("the sidecar has ended by itself"));
    });
  });
}

/** Waits until no more file descriptors are open than before; gives how many are. */
async function untilFiles(pid: number, before: number): Promise<number> {
  try {
    await until(() => openFiles(pid) <= before, "as few open files as before", { deadlineMs: 15_000 });
  } catch {
    // The number says it.
  }
  return openFiles(pid);
}
