import type { Clock } from "../base/clock.ts";
import type { Health } from "../base/gates.ts";
import type { StateEventSink } from "../base/state-event.ts";
import { endpointText } from "../model/endpoint.ts";
import type { OutlierDetectionSpec, Snapshot, UpstreamSpec } from "../model/snapshot.ts";
import { windowTotals } from "../policy/circuit-cell.ts";
import { compareEndpoints, ejectionTimeMs } from "../policy/outliers.ts";
import type { EndpointEvidence, EndpointPlace } from "../policy/outliers.ts";
import type { OutlierReport } from "../telemetry/resilience-reports.ts";
import { everyUnheld, type Every } from "./every.ts";

/** What outlier detection works with. */
export interface OutlierWatchOptions {
  readonly gates: Int32Array;
  /** Data threads that the gates have windows for. */
  readonly threads: number;
  readonly clock: Clock;
  /** The one writer of what the road reads. */
  readonly status: { health(gate: number): Health; setEjected(gate: number, ejected: boolean): void };
  readonly onEvent: StateEventSink;
  /** Calls again and again; tests call by hand. */
  readonly every?: Every;
}

/** How often it is looked whether somebody's time is over, milliseconds. */
export const EJECTION_PERIOD_MS = 250;

/**
 * Takes endpoints out that do worse than the others of their upstream, and brings them back when their time is over.
 *
 *   in ──outlier──▶ out ──time is over──▶ returning ──a window later──▶ in
 *
 * An endpoint that is back is compared again only when all of its window was counted after its return: the second ejection
 * needs what the first one needed, no less and no more. Ejections in a row last longer each; every comparison that it stands
 * well in takes one off again.
 */
export class OutlierWatch {
  readonly #options: OutlierWatchOptions;
  readonly #every: Every;
  readonly #counts = new Map<string, EjectionCount>();
  #watched: readonly WatchedUpstream[] = [];
  #stop: (() => void) | null = null;

  /** Watches nothing until `apply`. */
  constructor(options: OutlierWatchOptions) {
    this.#options = options;
    this.#every = options.every ?? everyUnheld;
  }

  /** Watches the upstreams of this snapshot; endpoints that are not watched any more are not out any more. */
  apply(snapshot: Snapshot): void {
    const known = new Map(this.#watched.flatMap(({ endpoints }) => endpoints).map((one) => [one.gate, one]));
    const dueOf = new Map(this.#watched.map(({ name, dueMs }) => [name, dueMs]));
    this.#watched = snapshot.upstreams.flatMap((spec) => {
      const rules = spec.endpoints.length > 1 ? spec.outlierDetection : null;
      return rules === null ? [] : [this.#watch(spec, rules, known, dueOf.get(spec.name))];
    });
    const kept = new Set(this.#watched.flatMap(({ endpoints }) => endpoints).map(({ gate }) => gate));
    for (const { gate, state } of known.values()) {
      if (state.kind === "out" && !kept.has(gate)) this.#options.status.setEjected(gate, false);
    }
    if (this.#watched.length === 0) this.close();
    else this.#stop ??= this.#every(EJECTION_PERIOD_MS, () => this.look());
  }

  /** Brings back whose time is over, and compares the endpoints of each upstream whose interval is. */
  look(): void {
    const nowMs = this.#options.clock.nowMs();
    for (const upstream of this.#watched) {
      for (const endpoint of upstream.endpoints) this.#bringBack(upstream, endpoint, nowMs);
      if (nowMs < upstream.dueMs) continue;
      upstream.dueMs = nowMs + upstream.rules.intervalMs;
      this.#compare(upstream, nowMs);
    }
  }

  /** What is known of every endpoint that is or was watched. */
  reports(): readonly OutlierReport[] {
    const nowMs = this.#options.clock.nowMs();
    const live = new Map(this.#watched.flatMap(({ endpoints }) => endpoints).map((one) => [one.count, one.state]));
    return [...this.#counts.values()].map((count) => {
      const state = live.get(count);
      return { ...count, now: state === undefined ? null : nowOf(state, nowMs) };
    });
  }

  /** Watches no more. Who is out stays out: the process is ending, or nobody is watched. */
  close(): void {
    this.#stop?.();
    this.#stop = null;
  }

  #watch(
    spec: UpstreamSpec,
    rules: OutlierDetectionSpec,
    known: ReadonlyMap<number, WatchedEndpoint>,
    dueMs = this.#options.clock.nowMs() + rules.intervalMs,
  ): WatchedUpstream {
    const endpoints = spec.endpoints.map((endpoint, index) => {
      const gate = spec.cells.endpointGates[index] as number;
      const state = known.get(gate)?.state ?? { kind: "in", inARow: 0, comparableMs: 0 };
      return { gate, count: this.#countOf(spec.name, endpointText(endpoint)), state };
    });
    const windowMs = spec.circuitBreaker?.windowMs ?? rules.intervalMs;
    return { name: spec.name, rules, windowMs, endpoints, dueMs };
  }

  #countOf(upstream: string, endpoint: string): EjectionCount {
    const key = JSON.stringify([upstream, endpoint]);
    const count = this.#counts.get(key) ?? { upstream, endpoint, ejections: 0 };
    this.#counts.set(key, count);
    return count;
  }

  #compare({ rules, windowMs, endpoints }: WatchedUpstream, nowMs: number): void {
    const evidence = endpoints.map((endpoint) => this.#evidenceOf(endpoint, windowMs, nowMs));
    const { eject, fine } = compareEndpoints(evidence, rules);
    for (const index of fine) standsWell(endpoints[index] as WatchedEndpoint);
    for (const index of eject) {
      this.#eject(endpoints[index] as WatchedEndpoint, evidence[index] as EndpointEvidence, rules, nowMs);
    }
  }

  #evidenceOf({ gate, state }: WatchedEndpoint, windowMs: number, nowMs: number): EndpointEvidence {
    const { gates, threads, status } = this.#options;
    const { requests, failures } = windowTotals(gates, gate, threads, windowMs, nowMs);
    return { place: placeOf(state, status.health(gate), nowMs), requests, failures };
  }

  #eject(endpoint: WatchedEndpoint, evidence: EndpointEvidence, rules: OutlierDetectionSpec, nowMs: number): void {
    const inARow = endpoint.state.inARow + 1;
    const forMs = ejectionTimeMs(inARow, rules);
    endpoint.state = { kind: "out", inARow, untilMs: nowMs + forMs };
    endpoint.count.ejections++;
    this.#options.status.setEjected(endpoint.gate, true);
    const { requests, failures } = evidence;
    const fields = { ...placeFields(endpoint), requests, failures, inARow, forMs };
    this.#options.onEvent({ level: "warn", name: "endpoint-ejected", message: "endpoint ejected", fields });
  }

  #bringBack({ windowMs }: WatchedUpstream, endpoint: WatchedEndpoint, nowMs: number): void {
    const { state } = endpoint;
    if (state.kind !== "out" || nowMs < state.untilMs) return;
    endpoint.state = { kind: "in", inARow: state.inARow, comparableMs: nowMs + windowMs };
    this.#options.status.setEjected(endpoint.gate, false);
    const fields = placeFields(endpoint);
    this.#options.onEvent({ level: "info", name: "endpoint-returned", message: "ejected endpoint returned", fields });
  }
}

interface EjectionCount {
  readonly upstream: string;
  readonly endpoint: string;
  ejections: number;
}

interface WatchedUpstream {
  readonly name: string;
  readonly rules: OutlierDetectionSpec;
  readonly windowMs: number;
  readonly endpoints: readonly WatchedEndpoint[];
  /** When it is compared next. */
  dueMs: number;
}

interface WatchedEndpoint {
  readonly gate: number;
  readonly count: EjectionCount;
  state: EjectionState;
}

/** `inARow`: ejections without a comparison between them that it stood well in. */
type EjectionState =
  | { readonly kind: "in"; readonly inARow: number; readonly comparableMs: number }
  | { readonly kind: "out"; readonly inARow: number; readonly untilMs: number };

function placeOf(state: EjectionState, health: Health, nowMs: number): EndpointPlace {
  if (state.kind === "out") return "out";
  if (health === "unhealthy" || health === "unknown") return "unwell";
  return nowMs < state.comparableMs ? "returning" : "in";
}

function standsWell(endpoint: WatchedEndpoint): void {
  const { state } = endpoint;
  if (state.kind === "in") endpoint.state = { ...state, inARow: Math.max(0, state.inARow - 1) };
}

function nowOf(state: EjectionState, nowMs: number): NonNullable<OutlierReport["now"]> {
  return { ejected: state.kind === "out", backInMs: state.kind === "out" ? Math.max(0, state.untilMs - nowMs) : 0 };
}

function placeFields({ count }: WatchedEndpoint): { readonly upstream: string; readonly endpoint: string } {
  return { upstream: count.upstream, endpoint: count.endpoint };
}
