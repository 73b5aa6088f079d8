import { BLOCK_WORDS } from "../../src/base/cells.ts";
import { gateStride } from "../../src/base/gates.ts";
import type { OutgoingHead, Upstream } from "../../src/model/exchange-types.ts";
import type { UpstreamSpec } from "../../src/model/snapshot.ts";
import { Deadlines } from "../../src/transport/deadlines.ts";
import type { UpstreamEnvironment } from "../../src/transport/upstream-pool.ts";
import type { Scope } from "./scope.ts";

/** What carries attempts. */
export type UpstreamEngine = new (spec: UpstreamSpec, env: UpstreamEnvironment) => Upstream;

/** What a bench wants of its upstream's settings. */
export interface UpstreamLimits {
  /** A Unix socket instead of the port. */
  readonly socketPath?: string | null;
  readonly timeouts?: Partial<UpstreamSpec["timeouts"]>;
  readonly pool?: Partial<UpstreamSpec["pool"]>;
}

/** A GET that says no more than it must. */
export const PLAIN_HEAD: OutgoingHead = {
  method: "GET",
  target: "/",
  fields: "host: a\r\n",
  body: { kind: "none" },
  expectsContinue: false,
  hasTrailers: false,
  bodyFollowsLater: false,
};

/** An upstream `v1` at a port of this machine, with its counters; it ends with its test. */
export function openUpstream(
  scope: Scope,
  Engine: UpstreamEngine,
  port: number,
  limits: UpstreamLimits,
): { readonly upstream: Upstream; readonly counters: Float64Array } {
  const counters = new Float64Array(BLOCK_WORDS);
  const deadlines = new Deadlines(10, () => performance.now());
  const upstream = new Engine(specFor(port, limits), {
    counters,
    gates: new Int32Array(4 * gateStride(1)),
    index: 0,
    threads: 1,
    deadlines,
  });
  scope.after(() => upstream.close(0));
  return { upstream, counters };
}

function specFor(port: number, { timeouts, pool, socketPath = null }: UpstreamLimits): UpstreamSpec {
  const host = socketPath === null ? "127.0.0.1" : "localhost";
  return {
    name: "v1",
    endpoints: [{ scheme: "http", host, port: socketPath === null ? port : 0, socketPath }],
    timeouts: {
      connectTimeoutMs: 1_000,
      responseHeadTimeoutMs: 5_000,
      idleTimeoutMs: 5_000,
      requestTimeoutMs: 0,
      ...timeouts,
    },
    pool: {
      minConnections: 0,
      maxConnections: 8,
      maxPending: 8,
      acquireTimeoutMs: 1_000,
      idleTimeoutMs: 4_000,
      pipelining: 1,
      maxInFlight: 0,
      ...pool,
    },
    tls: null,
    maxHeaderBytes: 65_536,
    health: null,
    circuitBreaker: null,
    outlierDetection: null,
    digest: "test",
    cells: { block: 0, gate: 0, endpointGates: [1] },
  };
}
