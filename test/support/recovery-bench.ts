import assert from "node:assert/strict";
import net from "node:net";
import type { Engine } from "../../src/model/snapshot.ts";
import { ENGINES } from "./engines.ts";
import { exchangeOnce, requestText, type Answer } from "./raw-client.ts";
import { scrape, scrapeUntil, type Scrape } from "./scrape.ts";
import type { Scope } from "./scope.ts";
import { merged, useSidecar, type Sidecar } from "./sidecar.ts";

/** Settings of a route, as in the file; `split` as a text is a baseline alone. */
export interface RouteSettings {
  readonly split: string | object;
  readonly [key: string]: unknown;
}

/** Waits that no test has to sit through. */
export const AT_ONCE = { initial: "1ms", max: "1ms" };

/** A sidecar with one route for each name, matched by the path prefix `/NAME`. */
export function useRoutes(
  scope: Scope,
  engine: Engine,
  upstreams: object,
  routes: Readonly<Record<string, RouteSettings>>,
  over: object = {},
): Promise<Sidecar> {
  const list = Object.entries(routes).map(([name, { split, ...more }]) => ({
    name,
    match: { pathPrefix: `/${name}` },
    split: typeof split === "string" ? { baseline: split } : split,
    ...more,
  }));
  return useSidecar(scope, merged({ engine, upstreams, routes: list }, over));
}

/** The same for each engine. All of them are there before the first test begins: the end of a suite may be that of the file. */
export function useEngines(
  scope: Scope,
  upstreams: object,
  routes: Readonly<Record<string, RouteSettings>>,
  over: object = {},
): Promise<(readonly [Engine, Sidecar])[]> {
  return Promise.all(
    ENGINES.map(async (engine) => [engine, await useRoutes(scope, engine, upstreams, routes, over)] as const),
  );
}

/** A loopback port that refuses. It was free a moment ago, and a listener is not given it again so soon. */
export async function refusingPort(): Promise<number> {
  const server = net.createServer();
  const { promise, resolve } = Promise.withResolvers<void>();
  server.listen(0, "127.0.0.1", () => resolve());
  await promise;
  const { port } = server.address() as net.AddressInfo;
  const closed = Promise.withResolvers<void>();
  server.close(() => closed.resolve());
  await closed.promise;
  return port;
}

/** One request on a connection of its own. */
export function ask(
  scope: Scope,
  sidecar: Sidecar,
  target: string,
  method: string = "GET",
  fields: readonly string[] = [],
  body: string = "",
): Promise<Answer> {
  return exchangeOnce(scope, sidecar.port, requestText(method, target, fields, body));
}

/** What was counted since, by metric and labels. */
export interface Since {
  (name: string, labels?: Readonly<Record<string, string>>): Promise<number>;
}

/** Notes what counters say now. */
export async function counting(sidecar: Sidecar): Promise<Since> {
  const before = await scrape(sidecar);
  return async (name, labels = {}) => (await scrape(sidecar)).sum(name, labels) - before.sum(name, labels);
}

/** Everything that is counted up and down again. */
export function underWay(seen: Scrape): Readonly<Record<string, number>> {
  return {
    "in flight": seen.sum("crossfade_requests_in_flight"),
    pending: seen.sum("crossfade_pool_pending"),
    active: seen.sum("crossfade_pool_connections", { state: "active" }),
  };
}

/** Waits until nothing is under way any more. */
export async function untilAllOver(sidecar: Sidecar, deadlineMs?: number): Promise<void> {
  const isOver = (seen: Scrape): boolean => Object.values(underWay(seen)).every((value) => value === 0);
  try {
    await scrapeUntil(sidecar, "nothing to be under way", isOver, deadlineMs);
  } catch (error) {
    throw new Error(`still under way: ${JSON.stringify(underWay(await scrape(sidecar)))}`, { cause: error });
  }
}

/** Asserts a whole answer with this status and body. */
export function assertAnswer(answer: Answer, status: number, text: string): void {
  assert.deepEqual([answer.status, answer.text, answer.complete], [status, text, true]);
}
