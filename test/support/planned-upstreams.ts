import assert from "node:assert/strict";
import type { CellTable } from "../../src/control/cell-table.ts";
import type {
  CircuitBreakerSpec,
  EndpointSpec,
  OutlierDetectionSpec,
  Snapshot,
  UpstreamSpec,
} from "../../src/model/snapshot.ts";
import type { Circuit } from "../../src/policy/circuit-cell.ts";
import { endpointCircuit, upstreamCircuit } from "../../src/transport/circuits.ts";

/** Circuit rules with the defaults, but without chance. */
export const CIRCUIT_RULES: CircuitBreakerSpec = {
  consecutiveFailures: 3,
  errorPpm: 500_000,
  slowCallPpm: 0,
  slowCallMs: 0,
  minRequests: 20,
  windowMs: 10_000,
  openMs: 30_000,
  maxOpenMs: 300_000,
  jitterPpm: 0,
  halfOpenRequests: 1,
  halfOpenSuccesses: 1,
  slowStartMs: 0,
  autoRecover: true,
};

/** Outlier rules with the defaults. */
export const OUTLIER_RULES: OutlierDetectionSpec = {
  intervalMs: 10_000,
  minRequests: 20,
  errorPpm: 200_000,
  deviationsMilli: 1_900,
  ejectionMs: 30_000,
  maxEjectionMs: 300_000,
  maxEjectedPpm: 500_000,
};

/** An upstream of a made-up snapshot; endpoints are given by their ports. */
export interface PlannedUpstream {
  readonly name: string;
  readonly ports: readonly number[];
  readonly circuitBreaker?: CircuitBreakerSpec | null;
  readonly outlierDetection?: OutlierDetectionSpec | null;
}

/** A snapshot of these upstreams and nothing else, with gates of the table. */
export function snapshotOfUpstreams(cells: CellTable, planned: readonly PlannedUpstream[]): Snapshot {
  const upstreams = planned.map(({ name, ports, circuitBreaker = null, outlierDetection = null }) => {
    const endpoints = ports.map(endpointAt);
    const gates = cells.assignUpstream({ name, endpoints });
    return { name, endpoints, health: null, circuitBreaker, outlierDetection, cells: gates } as unknown as UpstreamSpec;
  });
  return { generation: 1, upstreams, routes: [] } as unknown as Snapshot;
}

/** A data thread's hand on a circuit of the snapshot: of an endpoint by its index, or of the whole upstream. */
export function circuitOf(cells: CellTable, spec: UpstreamSpec, endpoint: number | null, thread = 0): Circuit {
  const place = { gates: cells.gates, index: thread, threads: cells.threads };
  const circuit = endpoint === null ? upstreamCircuit(spec, place) : endpointCircuit(spec, endpoint, place);
  assert.ok(circuit !== null, "it has a circuit");
  return circuit;
}

/** Calls that are let through and end like this. */
export function callTimes(circuit: Circuit, times: number, outcome: "success" | "failure", nowMs: number): void {
  for (let i = 0; i < times; i++) {
    const ticket = circuit.admit(nowMs);
    if (ticket >= 0) circuit.report(ticket, outcome, false, nowMs);
  }
}

function endpointAt(port: number): EndpointSpec {
  return { scheme: "http", host: "127.0.0.1", port, socketPath: null };
}
