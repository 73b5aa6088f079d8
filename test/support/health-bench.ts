import { GATE_WORDS, gateStride, statusHealth, type Health } from "../../src/base/gates.ts";
import type { StateEvent } from "../../src/base/state-event.ts";
import { EndpointStatus } from "../../src/control/endpoint-status.ts";
import type { HealthReading } from "../../src/control/health-record.ts";
import { openProber, type Prober, type ProberOptions } from "../../src/control/prober.ts";
import type { EndpointSpec, HealthCheckSpec, HealthSpec, Snapshot, UpstreamSpec } from "../../src/model/snapshot.ts";
import { systemClock } from "../../src/system-clock.ts";
import type { Scope } from "./scope.ts";
import { changed, until } from "./until.ts";

/** An HTTP check of /healthz; `over` is laid on top. */
export function httpCheck(over: Partial<Extract<HealthCheckSpec, { kind: "http" }>> = {}): HealthCheckSpec {
  const plain = {
    method: "GET",
    path: "/healthz",
    host: null,
    headers: {},
    expectBody: null,
    expectHeaders: {},
  } as const;
  return { kind: "http", ...plain, expectStatus: [[200, 299]], ...over };
}

/** A gRPC check of the server as a whole; `over` is laid on top. */
export function grpcCheck(over: Partial<Extract<HealthCheckSpec, { kind: "grpc" }>> = {}): HealthCheckSpec {
  return { kind: "grpc", service: "", authority: null, watch: true, unimplemented: "unhealthy", ...over };
}

/** A health section without jitter; `over` is laid on top. The thresholds are the defaults. */
export function healthSpec(check: HealthCheckSpec, over: Partial<HealthSpec> = {}): HealthSpec {
  return {
    check,
    port: null,
    intervalMs: 5_000,
    unhealthyIntervalMs: 1_000,
    timeoutMs: 1_000,
    jitterPpm: 0,
    unhealthyThreshold: 3,
    healthyThreshold: 2,
    believeExplicit: true,
    panic: "refuse",
    ...over,
  };
}

/** Short times, for tests against real servers. */
export const QUICK = { intervalMs: 40, unhealthyIntervalMs: 20, timeoutMs: 500 } as const;

/** An endpoint of this machine. */
export function localEndpoint(port: number, over: Partial<EndpointSpec> = {}): EndpointSpec {
  return { scheme: "http", host: "127.0.0.1", port, socketPath: null, ...over };
}

/** What the prober reads of an upstream. `gate` is that of its first endpoint; the others follow. */
export function checkedUpstream(
  endpoints: readonly EndpointSpec[],
  health: HealthSpec | null,
  over: Partial<UpstreamSpec> & { readonly gate?: number } = {},
): UpstreamSpec {
  const { gate = 1, ...rest } = over;
  const endpointGates = endpoints.map((_endpoint, index) => gate + index);
  const cells = { block: 0, gate: 0, endpointGates };
  return { name: "v2", endpoints, health, tls: null, maxHeaderBytes: 65_536, cells, ...rest } as UpstreamSpec;
}

/** A snapshot of these upstreams; nothing else of it is there. */
export function snapshotOf(...upstreams: readonly UpstreamSpec[]): Snapshot {
  return { upstreams } as unknown as Snapshot;
}

/** A prober with what it writes. */
export interface HealthBench {
  readonly prober: Prober;
  readonly status: EndpointStatus;
  readonly events: readonly StateEvent[];
  /** What data threads read of a gate. */
  health(gate?: number): Health;
  backSince(gate?: number): number;
  /** The only reading, or that of an endpoint. */
  reading(endpoint?: string): HealthReading;
  /** Waits until a gate says so. */
  becomes(health: Health, gate?: number): Promise<void>;
}

/** Opens a prober, by default with real probes and timers; it ends with the scope. */
export function openHealthBench(scope: Scope, over: Partial<ProberOptions> = {}): HealthBench {
  const gates = new Int32Array(new SharedArrayBuffer(16 * gateStride(1) * 4));
  const clock = over.clock ?? systemClock;
  const status = over.status ?? new EndpointStatus(gates, 1, clock);
  const events: StateEvent[] = [];
  const onEvent = (event: StateEvent): void => {
    events.push(event);
    changed();
  };
  const prober = openProber({ clock, random: Math.random, status, onEvent, ...over });
  scope.after(() => prober.close());
  const word = (gate: number, index: number): number => gates[gate * gateStride(1) + index] as number;
  const health = (gate = 1): Health => statusHealth(word(gate, GATE_WORDS.status));
  const reading = (endpoint?: string): HealthReading => {
    const found = prober.readings().find((one) => endpoint === undefined || one.endpoint === endpoint);
    if (found === undefined) throw new Error(`no reading of ${endpoint ?? "any endpoint"}`);
    return found;
  };
  const detail = (): string => JSON.stringify({ events, readings: prober.readings() });
  return {
    prober,
    status,
    events,
    health,
    backSince: (gate = 1) => word(gate, GATE_WORDS.backSince),
    reading,
    becomes: async (wanted, gate = 1) => {
      await until(() => health(gate) === wanted, `gate ${gate} to be ${wanted}`, { detail });
    },
  };
}
