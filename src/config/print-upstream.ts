import { endpointText } from "../model/endpoint.ts";
import type { CircuitBreakerSpec, HealthCheckSpec, HealthSpec, OutlierDetectionSpec } from "../model/snapshot.ts";
import type { UpstreamConfig } from "./config.ts";
import { maskedHeaders } from "./issue.ts";
import { defined } from "./tree-edit.ts";
import { textFromDuration, textFromShare, textFromSize } from "./units.ts";

/** An upstream in the words of the file, every default written out. */
export function upstreamText(upstream: UpstreamConfig): Record<string, unknown> {
  const { timeouts, tls, health, circuitBreaker, outlierDetection } = upstream;
  return defined({
    endpoints: upstream.endpoints.map(endpointText),
    protocol: upstream.protocol,
    timeouts: {
      connect: textFromDuration(timeouts.connectTimeoutMs),
      responseHead: textFromDuration(timeouts.responseHeadTimeoutMs),
      idle: textFromDuration(timeouts.idleTimeoutMs),
      request: textFromDuration(timeouts.requestTimeoutMs),
    },
    pool: poolText(upstream.pool),
    tls:
      tls === null
        ? null
        : defined({ ca: tls.caFile, cert: tls.certFile, key: tls.keyFile, serverName: tls.serverName }),
    health: health === null ? null : healthText(health),
    circuitBreaker: circuitBreaker === null ? null : circuitText(circuitBreaker),
    outlierDetection: outlierDetection === null ? null : outliersText(outlierDetection),
    maxHeaderBytes: textFromSize(upstream.maxHeaderBytes),
  });
}

function poolText({ acquireTimeoutMs, idleTimeoutMs, ...counts }: UpstreamConfig["pool"]): Record<string, unknown> {
  return {
    ...counts,
    acquireTimeout: textFromDuration(acquireTimeoutMs),
    idleTimeout: textFromDuration(idleTimeoutMs),
  };
}

function healthText(health: HealthSpec): Record<string, unknown> {
  const { check, unhealthyThreshold, healthyThreshold, believeExplicit, panic } = health;
  return defined({
    [check.kind]: checkText(check),
    port: health.port,
    interval: textFromDuration(health.intervalMs),
    unhealthyInterval: textFromDuration(health.unhealthyIntervalMs),
    timeout: textFromDuration(health.timeoutMs),
    jitter: textFromShare(health.jitterPpm),
    unhealthyThreshold,
    healthyThreshold,
    believeExplicit,
    panic,
  });
}

function checkText(check: HealthCheckSpec): Record<string, unknown> {
  switch (check.kind) {
    case "tcp":
      return {};
    case "grpc": {
      const { kind: _, ...rest } = check;
      return defined(rest);
    }
    case "http": {
      const { kind: _, headers, expectStatus, ...rest } = check;
      const ranges = expectStatus.map(([first, last]) => (first === last ? first : `${first}-${last}`));
      return defined({ ...rest, headers: maskedHeaders(headers), expectStatus: ranges });
    }
  }
}

function circuitText(circuit: CircuitBreakerSpec): Record<string, unknown> {
  return defined({
    consecutiveFailures: circuit.consecutiveFailures,
    errorRatio: textFromShare(circuit.errorPpm),
    slowCallRatio: textFromShare(circuit.slowCallPpm),
    slowCallDuration: circuit.slowCallMs === 0 ? null : textFromDuration(circuit.slowCallMs),
    minRequests: circuit.minRequests,
    window: textFromDuration(circuit.windowMs),
    openFor: textFromDuration(circuit.openMs),
    maxOpenFor: textFromDuration(circuit.maxOpenMs),
    jitter: textFromShare(circuit.jitterPpm),
    halfOpenRequests: circuit.halfOpenRequests,
    halfOpenSuccesses: circuit.halfOpenSuccesses,
    slowStart: textFromDuration(circuit.slowStartMs),
    autoRecover: circuit.autoRecover,
  });
}

function outliersText(outliers: OutlierDetectionSpec): Record<string, unknown> {
  return {
    interval: textFromDuration(outliers.intervalMs),
    minRequests: outliers.minRequests,
    errorRatio: textFromShare(outliers.errorPpm),
    deviations: outliers.deviationsMilli / 1_000,
    ejectionTime: textFromDuration(outliers.ejectionMs),
    maxEjectionTime: textFromDuration(outliers.maxEjectionMs),
    maxEjected: textFromShare(outliers.maxEjectedPpm),
  };
}
