import { once } from "node:events";
import fs from "node:fs";
import http from "node:http";
import path from "node:path";
import { assertMonotonic, Scrape } from "../../test/support/scrape.ts";
import type { Sidecar } from "../../test/support/sidecar.ts";
import { until } from "../../test/support/until.ts";
import type { Ledger } from "./ledger.ts";

/** The signs of life of a sidecar, looked at every second. */
export interface Vitals {
  /** Resident set at each look, in bytes. */
  readonly residentBytes: readonly number[];
  /** Open client connections at each look. */
  readonly connections: readonly number[];
  /** Scrapes that were answered. */
  scrapes(): number;
  stop(): Promise<void>;
}

/** What a thread holds on to. */
export interface ThreadResources {
  readonly thread: string;
  /** What keeps its event loop alive: type → number. */
  readonly active: Readonly<Record<string, number>>;
  /** Heap and buffers that a collection leaves. */
  readonly liveBytes: number;
}

/** What each thread holds on to, by its name. */
export type Resources = ReadonlyMap<string, ThreadResources>;

/** Arguments of node that `activeResources` needs. */
export const RESOURCES_HOOK: readonly string[] = ["--import", new URL("./resources-hook.ts", import.meta.url).href];

const EVERY_MS = 1_000;
const SCRAPE_MS = 5_000;

/** Scrapes over a connection of its own, which is closed then: one that stays would be counted as left over. */
export async function scrapeOnce(sidecar: Sidecar): Promise<Scrape> {
  const request = http.get(`${sidecar.metricsUrl}/metrics`, { agent: false, timeout: SCRAPE_MS });
  request.on("timeout", () => request.destroy(new Error(`no scrape in ${SCRAPE_MS} ms`)));
  const [response] = (await once(request, "response")) as [http.IncomingMessage];
  let text = "";
  response.setEncoding("utf8");
  for await (const piece of response) text += piece as string;
  if (response.statusCode !== 200) throw new Error(`the scrape was answered ${response.statusCode}: ${text}`);
  return new Scrape(text);
}

/** Starts looking; every scrape must be answered, and no counter may go back from one to the next. */
export function watchVitals(sidecar: Sidecar, ledger: Ledger): Vitals {
  const residentBytes: number[] = [];
  const connections: number[] = [];
  let last: Scrape | null = null;
  let scrapes = 0;
  let underWay: Promise<void> = Promise.resolve();
  const look = async (): Promise<void> => {
    const next = await scrapeOnce(sidecar);
    if (last !== null) assertMonotonic(last, next);
    last = next;
    scrapes++;
    residentBytes.push(sidecar.residentBytes());
    connections.push(next.sum("crossfade_downstream_connections"));
  };
  const timer = setInterval(() => {
    underWay = underWay.then(look).catch((error: unknown) => {
      ledger.violation(`a look at the sidecar failed: ${error instanceof Error ? error.message : String(error)}`);
    });
  }, EVERY_MS);
  return {
    residentBytes,
    connections,
    scrapes: () => scrapes,
    stop: async () => {
      clearInterval(timer);
      await underWay;
    },
  };
}

/** Asks every thread of a sidecar that was started with `RESOURCES_HOOK`. */
export async function activeResources(sidecar: Sidecar, threads: number): Promise<Resources> {
  const file = path.join(sidecar.directory, "resources");
  fs.rmSync(file, { force: true });
  sidecar.signal("SIGUSR2");
  const lines = await until(() => linesOf(file, threads), `the resources of ${threads} threads`);
  const entries = lines.map((line) => JSON.parse(line) as ThreadResources);
  return new Map(entries.map((entry) => [entry.thread, entry]));
}

/**
 * How much the resident set grew from the middle third to the last one, in bytes, by the value that three quarters of the
 * looks stay below: a machine that is busy otherwise makes for dips, and after a dip even the median seems to grow.
 */
export function growthOf(residentBytes: readonly number[]): number {
  const third = Math.floor(residentBytes.length / 3);
  return quantile(residentBytes.slice(2 * third), 0.75) - quantile(residentBytes.slice(third, 2 * third), 0.75);
}

/** The value that this share of the others stays below; 0 of nothing. */
export function quantile(values: readonly number[], share: number): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length * share)] ?? 0;
}

function linesOf(file: string, count: number): readonly string[] | null {
  if (!fs.existsSync(file)) return null;
  const text = fs.readFileSync(file, "utf8");
  const lines = text.trim().split("\n");
  return text.endsWith("\n") && lines.length >= count ? lines : null;
}
