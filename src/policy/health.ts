import type { Random } from "../base/clock.ts";
import type { HealthSpec } from "../model/snapshot.ts";

/** Why a probe failed; the closed label set of `crossfade_health_check_failures_total`. */
export const PROBE_FAILURES = [
  "timeout",
  "refused",
  "reset",
  "tls",
  "dns",
  "status",
  "body",
  "header",
  "not-serving",
  "unimplemented",
  "unknown-service",
  "protocol",
] as const;
/** One of `PROBE_FAILURES`. */
export type ProbeFailure = (typeof PROBE_FAILURES)[number];

/** What one probe found. */
export type ProbeResult =
  | { readonly kind: "pass" }
  | {
      readonly kind: "fail";
      readonly reason: ProbeFailure;
      /** For people: short, without secrets. */
      readonly detail: string;
      /** The endpoint said itself that it takes no traffic: status 503, NOT_SERVING. */
      readonly explicit: boolean;
    };

/** The result of a probe that found all as it should be. */
export const PASS: ProbeResult = { kind: "pass" };

/** The result of a probe that failed; `explicit` = a plain "no". */
export function failed(reason: ProbeFailure, detail: string, explicit = false): ProbeResult {
  return { kind: "fail", reason, detail, explicit };
}

/** What is known of an endpoint, and how far it is from being something else. */
export type HealthState =
  | { readonly kind: "unknown"; readonly failures: number }
  | { readonly kind: "healthy"; readonly failures: number }
  | { readonly kind: "unhealthy"; readonly passes: number };

/** An endpoint that was never found to be one or the other; `failures` in a row so far. */
export function unknown(failures = 0): HealthState {
  return { kind: "unknown", failures };
}

/** An endpoint that may be asked; `failures` in a row so far. */
export function healthy(failures = 0): HealthState {
  return { kind: "healthy", failures };
}

/** An endpoint that may not be asked; `passes` in a row so far. */
export function unhealthy(passes = 0): HealthState {
  return { kind: "unhealthy", passes };
}

/** What decides between the states. */
export type HealthThresholds = Pick<HealthSpec, "unhealthyThreshold" | "healthyThreshold" | "believeExplicit">;

/** The state after one more result. The first pass is enough for an unknown endpoint; all else takes a threshold. */
export function nextHealth(state: HealthState, result: ProbeResult, rules: HealthThresholds): HealthState {
  switch (state.kind) {
    case "unknown":
      return result.kind === "pass" ? healthy() : afterFailure(unknown, state.failures + 1, result.explicit, rules);
    case "healthy":
      return result.kind === "pass" ? healthy() : afterFailure(healthy, state.failures + 1, result.explicit, rules);
    case "unhealthy":
      return result.kind === "pass" ? afterPass(state.passes + 1, rules) : unhealthy();
  }
}

function afterFailure(
  stay: (failures: number) => HealthState,
  failures: number,
  explicit: boolean,
  rules: HealthThresholds,
): HealthState {
  if (explicit && rules.believeExplicit) return unhealthy();
  return failures >= rules.unhealthyThreshold ? unhealthy() : stay(failures);
}

function afterPass(passes: number, rules: HealthThresholds): HealthState {
  return passes >= rules.healthyThreshold ? healthy() : unhealthy(passes);
}

/** What decides how often an endpoint is asked. */
export type ProbePace = Pick<HealthSpec, "intervalMs" | "unhealthyIntervalMs" | "jitterPpm">;

/**
 * Milliseconds from the start of one probe to the start of the next, jitter included; never negative. A healthy endpoint that
 * has just failed is asked at the faster pace too: what is wrong should be known soon (HAProxy's `fastinter`).
 */
export function probeWaitMs(state: HealthState, pace: ProbePace, random: Random): number {
  const isWell = state.kind === "healthy" && state.failures === 0;
  const plainMs = isWell ? pace.intervalMs : pace.unhealthyIntervalMs;
  return Math.max(0, plainMs * (1 + ((2 * random() - 1) * pace.jitterPpm) / 1_000_000));
}

/** Longest wait before the first probe, where several endpoints of one upstream begin together. */
export const FIRST_SPREAD_MS = 50;

/** Milliseconds before the first probe of one of so many endpoints: none for a single one. */
export function firstWaitMs(endpoints: number, random: Random): number {
  return endpoints > 1 ? random() * FIRST_SPREAD_MS : 0;
}
