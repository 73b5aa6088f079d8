import { BLOCK_WORDS } from "../../src/base/cells.ts";
import { GATE_WORDS, gateStride, packStatus, type Health } from "../../src/base/gates.ts";
import type { Arm, CircuitBreakerSpec, UpstreamSpec } from "../../src/model/snapshot.ts";
import { upstreamCircuit } from "../../src/transport/circuits.ts";
import type { BoundArm, LiveUpstream } from "../../src/proxy/bound-arm.ts";
import { gateFor } from "../../src/proxy/gate.ts";

const THREADS = 1;
const GATES_PER_ARM = 4;

/** Gates of a made-up process; the n-th arm has a row of them of its own. */
export function plannedGates(arms: number): Int32Array {
  return new Int32Array(new SharedArrayBuffer(4 * gateStride(THREADS) * GATES_PER_ARM * arms));
}

/** What is wanted of an arm. */
export interface PlannedArm {
  readonly role: Arm | "fallback";
  /** Which row of gates is its own; equal upstreams share one. */
  readonly row: number;
  readonly circuitBreaker?: CircuitBreakerSpec | null;
  readonly outliers?: boolean;
  /** null: nobody checks them; `panic` is refuse unless told. */
  readonly health?: { readonly panic?: "refuse" | "send" } | null;
  readonly endpoints?: number;
}

/** The settings of its upstream, as far as gates and endpoints look at them. */
export function plannedSpec({
  row,
  circuitBreaker = null,
  outliers = false,
  health = null,
  endpoints = 1,
}: PlannedArm) {
  const first = row * GATES_PER_ARM;
  const detection = outliers ? { intervalMs: 10_000 } : null;
  return {
    name: `u${row}`,
    endpoints: Array.from({ length: endpoints }, (_none, i) => ({
      scheme: "http",
      host: "127.0.0.1",
      port: 9_000 + i,
      socketPath: null,
    })),
    health: health === null ? null : { panic: "refuse", ...health },
    circuitBreaker,
    outlierDetection: detection,
    cells: { block: 0, gate: first, endpointGates: Array.from({ length: endpoints }, (_none, i) => first + 1 + i) },
  } as unknown as UpstreamSpec;
}

/** An arm whose upstream is never opened. */
export function plannedArm(gates: Int32Array, planned: PlannedArm): BoundArm {
  const spec = plannedSpec(planned);
  const circuit = upstreamCircuit(spec, { gates, index: 0, threads: THREADS });
  return {
    arm: planned.role,
    upstream: { name: spec.name, spec, circuit } as unknown as LiveUpstream,
    gate: gateFor(planned.role, spec, circuit, { gates, threads: THREADS }),
    cells: new Float64Array(BLOCK_WORDS),
    upstreamCells: new Float64Array(BLOCK_WORDS),
  };
}

/** Writes what checks have found of an endpoint. */
export function setHealth(gates: Int32Array, row: number, endpoint: number, health: Health, ejected = false): void {
  const start = (row * GATES_PER_ARM + 1 + endpoint) * gateStride(THREADS);
  Atomics.store(gates, start + GATE_WORDS.status, packStatus(health, ejected));
}

/** Writes when an endpoint came back. */
export function setBackSince(gates: Int32Array, row: number, endpoint: number, sinceMs: number): void {
  const start = (row * GATES_PER_ARM + 1 + endpoint) * gateStride(THREADS);
  Atomics.store(gates, start + GATE_WORDS.backSince, sinceMs);
}
