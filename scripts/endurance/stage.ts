import { startSidecar, type Sidecar } from "../../test/support/sidecar.ts";
import { Ledger, type RouteFacts } from "./ledger.ts";
import { startUpstream, type ScriptedUpstream } from "./upstream.ts";
import { RESOURCES_HOOK } from "./vitals.ts";

/** A sidecar between scripted upstreams and whoever comes. */
export interface Stage {
  readonly sidecar: Sidecar;
  readonly upstreams: readonly ScriptedUpstream[];
  readonly ledger: Ledger;
  /** The config again, with the n-th change to its upstreams. */
  configOf(variant: number): object;
  close(): Promise<void>;
}

/** Routes whose clients wait for each answer, so that its counters can be told exactly. */
export const STRICT_ROUTES: ReadonlyMap<string, RouteFacts> = new Map([
  ["plain", { upstreams: ["plain"], isShared: false }],
  ["piped", { upstreams: ["piped"], isShared: true }],
  ["split", { upstreams: ["plain", "piped"], isShared: true }],
]);

/** Routes to the same upstreams for clients that break off. */
export const ROUGH_ROUTES: readonly string[] = ["rough-plain", "rough-piped"];

/** Limits of the sidecar, in seconds: short ones, because slow clients must be ended by them. */
export const LIMITS_S = { header: 4, body: 3, tunnel: 3 } as const;

/** Starts everything that is not a client. */
export async function openStage(): Promise<Stage> {
  const ledger = new Ledger(STRICT_ROUTES);
  const upstreams = await Promise.all([
    startUpstream("plain", ledger, false),
    startUpstream("piped", ledger, true),
    startUpstream("slow", ledger, false),
  ]);
  const urls = Object.fromEntries(upstreams.map(({ name, url }) => [name, url]));
  const configOf = (variant: number): object => configFrom(urls, variant);
  const sidecar = await startSidecar(configOf(0), { nodeArguments: RESOURCES_HOOK });
  return {
    sidecar,
    upstreams,
    ledger,
    configOf,
    close: async () => {
      try {
        await sidecar.stop();
      } finally {
        await Promise.all(upstreams.map((upstream) => upstream.close()));
      }
    },
  };
}

function configFrom(urls: Readonly<Record<string, string>>, variant: number): object {
  const timeouts = { connect: "2s", responseHead: "1500ms", idle: "1500ms", request: "10s" };
  const pool = { maxConnections: 200, idleTimeout: "1s", acquireTimeout: "3s" };
  const route = (name: string, split: object): object => ({ name, match: { pathPrefix: `/${name}/` }, split });
  return {
    runtime: { threads: 1 },
    downstream: {
      headerTimeout: `${LIMITS_S.header}s`,
      bodyIdleTimeout: `${LIMITS_S.body}s`,
      keepAliveTimeout: "5s",
      tunnelIdleTimeout: `${LIMITS_S.tunnel}s`,
    },
    upstreams: {
      // Another limit makes another pool: each change of the file replaces one of the two.
      plain: { endpoints: [urls["plain"]], timeouts, pool: { ...pool, maxPending: 1_000 + (variant >> 1) } },
      piped: {
        endpoints: [urls["piped"]],
        timeouts,
        pool: { ...pool, pipelining: 4, maxPending: 1_000 + ((variant + 1) >> 1) },
      },
      slow: { endpoints: [urls["slow"]], timeouts, pool: { ...pool, maxConnections: 2_000 } },
    },
    routes: [
      route("plain", { baseline: "plain" }),
      route("piped", { baseline: "piped" }),
      route("split", { baseline: "plain", candidate: "piped", share: "50%" }),
      route("rough-plain", { baseline: "plain" }),
      route("rough-piped", { baseline: "piped" }),
      route("slow", { baseline: "slow" }),
      route("ws", { baseline: "plain" }),
    ],
  };
}
