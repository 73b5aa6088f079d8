import type { Socket } from "node:net";
import { blockView, NO_ROUTE_BLOCK, THREAD_BLOCK, THREAD_WORDS } from "../base/cells.ts";
import type { Clock, Random } from "../base/clock.ts";
import { LeasePool } from "../base/lease.ts";
import { failure } from "../base/failure.ts";
import type { DownstreamHandler } from "../model/exchange-types.ts";
import type { Engine, ListenerSpec, Snapshot, UpstreamSpec } from "../model/snapshot.ts";
import type { AccessRecord } from "../telemetry/access-log.ts";
import { Deadlines } from "../transport/deadlines.ts";
import { openListener, type Listener } from "../transport/listener.ts";
import type { UpstreamEnvironment } from "../transport/upstream-pool.ts";
import { bind } from "./bind.ts";
import { handle } from "./handle.ts";
import { randomHex } from "./ids.ts";
import { localReplyBytes } from "./local-reply.ts";
import { OverloadMeter } from "./overload-meter.ts";
import type { LiveUpstream } from "./bound-arm.ts";
import { release, type BoundSnapshot } from "./plan.ts";
import { add, recordRefusal } from "./record.ts";
import type { Road } from "./road.ts";
import type { StaleStore } from "./stale-store.ts";
import { handleUpgrade, wantsTunnel } from "./upgrade.ts";

/** What one data thread, or the one thread of `inline` mode, is given at its start. */
export interface DataPlaneOptions {
  readonly listeners: readonly ListenerSpec[];
  /** Fixed for the life of the process, like the listeners. */
  readonly engine: Engine;
  readonly snapshot: Snapshot;
  readonly pages: readonly SharedArrayBuffer[];
  readonly words: Int32Array;
  /** Gates of all upstreams and endpoints. */
  readonly gates: Int32Array;
  /** Which data thread this is, from 0. */
  readonly index: number;
  /** Data threads that share the listeners' addresses and the upstreams' limits. */
  readonly threads: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly logAccess: (record: AccessRecord) => void;
}

/** The road of one thread with its sockets. */
export interface DataPlane {
  /** Real ports, in the order of the listeners. */
  readonly ports: readonly number[];
  /** Binds a new snapshot and swaps it in; running exchanges finish on the old one. */
  apply(snapshot: Snapshot, pages: readonly SharedArrayBuffer[]): void;
  /** Answers end their connection from now on. */
  announceDrain(): void;
  /** Stops accepting, waits for connections until `deadlineMs` from now, then ends what is left. */
  drain(deadlineMs: number): Promise<void>;
}

const TICK_MS = 100;

/** Opens the listeners and serves. */
export async function openDataPlane(options: DataPlaneOptions): Promise<DataPlane> {
  const { clock, threads } = options;
  const deadlines = new Deadlines(TICK_MS, () => clock.nowMs());
  const upstreams = new LeasePool<LiveUpstream>((upstream) => void upstream.close(CLOSE_GRACE_MS));
  const UpstreamOfEngine = await upstreamOf(options.engine);
  const makeUpstream = (spec: Snapshot["upstreams"][number], counters: Float64Array): LiveUpstream =>
    new UpstreamOfEngine(spec, { deadlines, counters, gates: options.gates, index: options.index, threads });
  const staleStores = new LeasePool<StaleStore>(() => {});
  const gates = { gates: options.gates, threads };
  const bindTo = (snapshot: Snapshot, pages: readonly SharedArrayBuffer[]): BoundSnapshot =>
    bind(snapshot, { upstreams, staleStores, pages, makeUpstream, gates });
  const bound = bindTo(options.snapshot, options.pages);
  const threadCells = blockView(options.pages, THREAD_BLOCK);
  const overload = new OverloadMeter({ threadCells, inFlight: () => road.inFlight, nowMs: () => clock.nowMs() });
  overload.apply(options.snapshot.overload, threads);
  const road: Road = {
    current: bound,
    inFlight: 0,
    overload,
    draining: false,
    clock,
    random: options.random,
    deadlines,
    words: options.words,
    threadCells,
    noRouteCells: blockView(options.pages, NO_ROUTE_BLOCK),
    tunnels: new Set(),
    logAccess: options.logAccess,
  };
  const listeners = await openListeners(options, road, deadlines);
  return {
    ports: listeners.map((listener) => listener.port),
    apply(snapshot, pages) {
      const old = road.current;
      // A thread that starts while a snapshot is published is sent the one it has.
      if (snapshot.generation === old.snapshot.generation) return;
      road.current = bindTo(snapshot, pages);
      overload.apply(snapshot.overload, threads);
      release(old);
      for (const [i, listener] of listeners.entries()) listener.update(snapshot.downstream, snapshot.tls[i] ?? null);
    },
    announceDrain() {
      road.draining = true;
    },
    async drain(deadlineMs) {
      await drain(road, listeners, deadlineMs);
      overload.close();
    },
  };
}

/** Loaded when asked for: undici alone is 9 MB of every thread. */
async function upstreamOf(engine: Engine): Promise<new (spec: UpstreamSpec, env: UpstreamEnvironment) => LiveUpstream> {
  if (engine === "native") return (await import("../transport/native-upstream.ts")).NativeUpstream;
  return (await import("../transport/library-upstream.ts")).LibraryUpstream;
}

/** An upstream that left the config may finish its requests for this long. */
const CLOSE_GRACE_MS = 300_000;

async function openListeners(options: DataPlaneOptions, road: Road, deadlines: Deadlines): Promise<Listener[]> {
  const { snapshot, threads } = options;
  const env = {
    handler: handlerFor(road),
    deadlines,
    reusePort: threads > 1,
    onConnection: (change: 1 | -1) => {
      add(road.threadCells, THREAD_WORDS.connectionsOpen, change);
      if (change === 1) add(road.threadCells, THREAD_WORDS.connectionsTotal, 1);
    },
  };
  const open = options.listeners.map((spec, i) =>
    openListener(spec, snapshot.tls[i] ?? null, snapshot.downstream, env, options.engine),
  );
  return Promise.all(open);
}

function handlerFor(road: Road): DownstreamHandler {
  return {
    onRequest: (head, downstream) => handle(road, head, downstream),
    wantsTunnel,
    onTunnel: (head, socket, early) => handleUpgrade(road, head, socket as Socket, early),
    refusal: (kind, cause, peerAddress) => {
      const requestId = randomHex(16);
      const traceId = randomHex(16);
      recordRefusal(road, failure(kind, cause), { requestId, traceId, peerAddress });
      return localReplyBytes(kind, { requestId, traceId });
    },
  };
}

async function drain(road: Road, listeners: readonly Listener[], deadlineMs: number): Promise<void> {
  road.draining = true;
  for (const listener of listeners) listener.stopAccepting();
  const allClosed = Promise.all(listeners.map((listener) => listener.closed));
  const timer = setTimeout(() => endTunnels(road), tunnelPartOf(deadlineMs));
  const lastCall = setTimeout(() => {
    for (const listener of listeners) listener.destroy();
  }, deadlineMs);
  await allClosed;
  clearTimeout(timer);
  clearTimeout(lastCall);
  endTunnels(road);
  release(road.current);
}

/** Tunnels never end by themselves: they get most of the time, and the requests behind them the rest. */
function tunnelPartOf(deadlineMs: number): number {
  return Math.floor(deadlineMs * 0.8);
}

function endTunnels(road: Road): void {
  for (const tunnel of road.tunnels) tunnel.destroy();
  road.tunnels.clear();
}
