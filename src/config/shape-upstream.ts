import type { CircuitBreakerSpec, HealthCheckSpec, HealthSpec, OutlierDetectionSpec } from "../model/snapshot.ts";
import type { UpstreamConfig } from "./config.ts";
import type { CheckedFile } from "./schema.ts";
import { lowerKeys } from "./tree-edit.ts";

type Checked = CheckedFile["upstreams"][string];

const SECOND_MS = 1_000;
const LONGEST_OPEN_MS = 300_000;

/** Brings a checked upstream into the shape that the rest of the program uses. */
export function upstreamOf(name: string, upstream: Checked): UpstreamConfig {
  const { endpoints, protocol, timeouts, tls, health, circuitBreaker, outlierDetection, maxHeaderBytes } = upstream;
  return {
    name,
    endpoints,
    protocol,
    timeouts: {
      connectTimeoutMs: timeouts.connect,
      responseHeadTimeoutMs: timeouts.responseHead,
      idleTimeoutMs: timeouts.idle,
      requestTimeoutMs: timeouts.request,
    },
    pool: poolOf(upstream.pool),
    tls: tls === undefined ? null : tlsOf(tls),
    health: health === undefined ? null : healthOf(health),
    circuitBreaker: circuitBreaker === undefined ? null : circuitOf(circuitBreaker),
    outlierDetection: outlierDetection === undefined ? null : outliersOf(outlierDetection),
    maxHeaderBytes,
  };
}

function poolOf(pool: Checked["pool"]): UpstreamConfig["pool"] {
  return {
    minConnections: pool.minConnections,
    maxConnections: pool.maxConnections,
    maxPending: pool.maxPending,
    acquireTimeoutMs: pool.acquireTimeout,
    idleTimeoutMs: pool.idleTimeout,
    pipelining: pool.pipelining,
    maxInFlight: pool.maxInFlight,
  };
}

function tlsOf(tls: NonNullable<Checked["tls"]>): NonNullable<UpstreamConfig["tls"]> {
  const { ca, cert, key, serverName } = tls;
  return { caFile: ca ?? null, certFile: cert ?? null, keyFile: key ?? null, serverName: serverName ?? null };
}

function healthOf(health: NonNullable<Checked["health"]>): HealthSpec {
  const { interval, jitter, unhealthyThreshold, healthyThreshold, believeExplicit, panic } = health;
  return {
    check: checkOf(health),
    port: health.port ?? null,
    intervalMs: interval,
    unhealthyIntervalMs: health.unhealthyInterval ?? Math.min(SECOND_MS, interval),
    timeoutMs: health.timeout ?? Math.min(SECOND_MS, interval),
    jitterPpm: jitter,
    unhealthyThreshold,
    healthyThreshold,
    believeExplicit,
    panic,
  };
}

function checkOf({ http, grpc }: NonNullable<Checked["health"]>): HealthCheckSpec {
  if (grpc !== undefined) return { kind: "grpc", ...grpc, authority: grpc.authority ?? null };
  if (http === undefined) return { kind: "tcp" };
  return {
    kind: "http",
    ...http,
    host: http.host ?? null,
    headers: lowerKeys(http.headers),
    expectBody: http.expectBody ?? null,
    expectHeaders: lowerKeys(http.expectHeaders),
  };
}

function circuitOf(circuit: NonNullable<Checked["circuitBreaker"]>): CircuitBreakerSpec {
  return {
    consecutiveFailures: circuit.consecutiveFailures,
    errorPpm: circuit.errorRatio,
    slowCallPpm: circuit.slowCallRatio,
    slowCallMs: circuit.slowCallDuration ?? 0,
    minRequests: circuit.minRequests,
    windowMs: circuit.window,
    openMs: circuit.openFor,
    maxOpenMs: circuit.maxOpenFor ?? Math.max(LONGEST_OPEN_MS, circuit.openFor),
    jitterPpm: circuit.jitter,
    halfOpenRequests: circuit.halfOpenRequests,
    halfOpenSuccesses: circuit.halfOpenSuccesses ?? circuit.halfOpenRequests,
    slowStartMs: circuit.slowStart,
    autoRecover: circuit.autoRecover,
  };
}

function outliersOf(outliers: NonNullable<Checked["outlierDetection"]>): OutlierDetectionSpec {
  return {
    intervalMs: outliers.interval,
    minRequests: outliers.minRequests,
    errorPpm: outliers.errorRatio,
    deviationsMilli: outliers.deviations,
    ejectionMs: outliers.ejectionTime,
    maxEjectionMs: outliers.maxEjectionTime ?? Math.max(LONGEST_OPEN_MS, outliers.ejectionTime),
    maxEjectedPpm: outliers.maxEjected,
  };
}
