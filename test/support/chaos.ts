import { bucketOfKey } from "../../src/model/split.ts";
import type { Conduct } from "./conduct.ts";
import type { LoadRequest } from "./load.ts";
import { header } from "./message-reader.ts";
import { requestText, type Answer, type RawClient } from "./raw-client.ts";
import type { Scope } from "./scope.ts";
import { scrapeUntil, type Scrape } from "./scrape.ts";
import { merged, useSidecar, type Sidecar, type SidecarOptions } from "./sidecar.ts";
import { spawnUpstream, type UpstreamProcess } from "./spawn-upstream.ts";

/** Two upstreams in processes of their own and a sidecar with two data threads before them. */
export interface Chaos {
  readonly v1: UpstreamProcess;
  readonly v2: UpstreamProcess;
  readonly sidecar: Sidecar;
}

/** What a scenario changes in the usual config; objects are laid over it. */
export interface ChaosWish {
  readonly v1?: object;
  readonly v2?: object;
  readonly route?: object;
  /** Laid on the whole. */
  readonly over?: object;
}

/** Starts all three; they end with the scope. v2 behaves in this way from the beginning. */
export async function useChaos(
  scope: Scope,
  wish: ChaosWish = {},
  options: SidecarOptions & { readonly conduct?: Conduct } = {},
): Promise<Chaos> {
  const [v1, v2] = await Promise.all([spawnUpstream(scope, "v1"), spawnUpstream(scope, "v2")]);
  if (options.conduct !== undefined) await v2.behave(options.conduct);
  const sidecar = await useSidecar(scope, chaosConfig({ v1: v1.url, v2: v2.url }, wish), options);
  return { v1, v2, sidecar };
}

/**
 * One route at a share of 50 %, sticky by `x-user-id`, with the other arm as its fallback. v2 has 300 ms to answer, and a
 * circuit that opens for a second and has neither jitter nor slow start.
 */
export function chaosConfig(urls: { readonly v1: string; readonly v2: string }, wish: ChaosWish = {}): object {
  const circuitBreaker = { consecutiveFailures: 3, openFor: "1s", jitter: "0%", slowStart: "0s" };
  const v2 = { endpoints: [urls.v2], timeouts: { connect: "300ms", responseHead: "300ms" }, circuitBreaker };
  const split = { baseline: "v1", candidate: "v2", share: "50%", sticky: [{ header: "x-user-id" }] };
  const route = { name: ROUTE, match: { pathPrefix: "/" }, split, fallback: ["arm"] };
  const config = {
    runtime: { threads: 2 },
    upstreams: { v1: merged({ endpoints: [urls.v1] }, wish.v1 ?? {}), v2: merged(v2, wish.v2 ?? {}) },
    routes: [merged(route, wish.route ?? {})],
  };
  return merged(config, wish.over ?? {});
}

/** The name of the route, which is its salt too. */
export const ROUTE = "api";

/** Callers that are on v2 at a share of 50 %. */
export const ON_V2: readonly string[] = keysWhere((bucket) => bucket < 500_000);

/** Callers that are on v1 at a share of 50 %. */
export const ON_V1: readonly string[] = keysWhere((bucket) => bucket >= 500_000);

/** The n-th GET of a load in which callers of both arms take turns. */
export function getOf(n: number): LoadRequest {
  const keys = n % 2 === 0 ? ON_V2 : ON_V1;
  const key = keys[(n >> 1) % keys.length] as string;
  return { target: `/${n}`, fields: [`x-user-id: ${key}`], key };
}

/** The n-th GET of a load of callers of v2 alone. */
export function getOnV2(n: number): LoadRequest {
  const key = ON_V2[n % ON_V2.length] as string;
  return { target: `/${n}`, fields: [`x-user-id: ${key}`], key };
}

/** An answer in short: status, who made it, and the fallback if it was one. */
export interface Short {
  readonly status: number;
  readonly servedBy: string | null;
  readonly fallback: string | null;
  /** Code of the failure; null when it is no local reply. */
  readonly error: string | null;
}

/** Asks as a caller; GET unless told, and a POST has a body. */
export async function askAs(
  client: RawClient,
  key: string,
  method: string = "GET",
  target: string = "/",
): Promise<Short> {
  const body = method === "POST" ? "body" : "";
  return short(await client.exchange(requestText(method, target, [`x-user-id: ${key}`], body)));
}

/** An answer in short. */
export function short(answer: Answer): Short {
  return {
    status: answer.status,
    servedBy: header(answer, "x-crossfade-upstream"),
    fallback: header(answer, "x-crossfade-fallback"),
    error: header(answer, "x-crossfade-error"),
  };
}

/** The state that an upstream's circuit is in. */
export function circuitOf(scrape: Scrape, upstream: string = "v2"): string {
  const states = scrape.samples.filter(
    ({ name, labels, value }) => name === "crossfade_circuit_state" && labels["upstream"] === upstream && value === 1,
  );
  return states[0]?.labels["state"] ?? "none";
}

/** How often an upstream's circuit came into a state. */
export function timesInto(scrape: Scrape, to: string, upstream: string = "v2"): number {
  return scrape.sum("crossfade_circuit_transitions_total", { upstream, to });
}

/** Waits until an upstream's circuit is in a state. */
export function untilCircuit(
  sidecar: Sidecar,
  state: "closed" | "open" | "half_open",
  upstream: string = "v2",
): Promise<Scrape> {
  const isThere = (now: Scrape): boolean => circuitOf(now, upstream) === state;
  return scrapeUntil(sidecar, `the circuit of ${upstream} to be ${state}`, isThere, 10_000);
}

/** Asks as a caller of v2 until v2 itself has answered; every answer on the way must be a good one. */
export async function untilServedByV2(client: RawClient, key: string = ON_V2[0] as string): Promise<void> {
  const deadlineMs = performance.now() + 10_000;
  for (;;) {
    const { status, servedBy } = await askAs(client, key);
    if (status !== 200) throw new Error(`status ${status}`);
    if (servedBy === "v2") return;
    if (performance.now() > deadlineMs) throw new Error("v2 does not come back");
  }
}

/** Waits until an upstream has seen so many requests in this life. */
export async function untilSeen(upstream: UpstreamProcess, count: number): Promise<void> {
  const deadlineMs = performance.now() + 5_000;
  for (;;) {
    const { requests } = await upstream.seen();
    if (requests.length >= count) return;
    if (performance.now() > deadlineMs)
      throw new Error(`${upstream.name} has seen ${requests.length} of ${count} requests`);
  }
}

function keysWhere(isMeant: (bucket: number) => boolean): string[] {
  return Array.from({ length: 200 }, (_, i) => `user-${i}`).filter((key) => isMeant(bucketOfKey(ROUTE, key)));
}
