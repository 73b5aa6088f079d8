import { endpointText } from "../model/endpoint.ts";
import type { CircuitBreakerSpec, EndpointSpec, UpstreamSpec } from "../model/snapshot.ts";
import { Circuit } from "../policy/circuit-cell.ts";

/** What a circuit needs of its thread. */
export interface CircuitPlace {
  /** Gates of all upstreams and endpoints; see base/gates.ts. */
  readonly gates: Int32Array;
  /** Which data thread this is, from 0. */
  readonly index: number;
  readonly threads: number;
}

/** The circuit of an upstream as a whole; null when it has no circuitBreaker section. */
export function upstreamCircuit(spec: UpstreamSpec, place: CircuitPlace): Circuit | null {
  const { circuitBreaker, cells } = spec;
  return circuitBreaker === null ? null : circuitAt(cells.gate, circuitBreaker, seedOf(spec, null), place);
}

/**
 * The circuit of one endpoint; null where that of the upstream says it all, which is where there is one endpoint only.
 * With outlier detection alone it counts and never opens.
 */
export function endpointCircuit(spec: UpstreamSpec, index: number, place: CircuitPlace): Circuit | null {
  const { circuitBreaker, outlierDetection, cells, endpoints } = spec;
  const endpoint = endpoints[index];
  const gate = cells.endpointGates[index];
  if (endpoints.length < 2 || endpoint === undefined || gate === undefined) return null;
  const rules = circuitBreaker ?? (outlierDetection === null ? null : countOnly(outlierDetection.intervalMs));
  return rules === null ? null : circuitAt(gate, rules, seedOf(spec, endpoint), place);
}

function circuitAt(gate: number, rules: CircuitBreakerSpec, seed: string, place: CircuitPlace): Circuit {
  return new Circuit(place.gates, gate, { thread: place.index, threads: place.threads }, rules, seed);
}

/** All threads throw the same dice for the same circuit. */
function seedOf({ name }: UpstreamSpec, endpoint: EndpointSpec | null): string {
  return `${name} ${endpoint === null ? "*" : endpointText(endpoint)}`;
}

function countOnly(windowMs: number): CircuitBreakerSpec {
  return {
    consecutiveFailures: 0,
    errorPpm: 0,
    slowCallPpm: 0,
    slowCallMs: 0,
    minRequests: 1,
    windowMs,
    openMs: 1,
    maxOpenMs: 1,
    jitterPpm: 0,
    halfOpenRequests: 1,
    halfOpenSuccesses: 1,
    slowStartMs: 0,
    autoRecover: true,
  };
}
