import { BUCKET_COUNT, bucketOf } from "../base/histogram.ts";
import type { Health } from "../base/gates.ts";
import type { HealthCheckSpec } from "../model/snapshot.ts";
import { PROBE_FAILURES, type ProbeFailure, type ProbeResult } from "../policy/health.ts";

/** What the probes of one endpoint have found so far. Counters never go back, not even when it leaves the config. */
export interface HealthReading {
  readonly upstream: string;
  /** As `endpointText` writes it. */
  readonly endpoint: string;
  /** How it is asked, or was last. */
  readonly kind: HealthCheckSpec["kind"];
  readonly health: Health;
  /** It is being asked now; false = it, or its health section, left the config. */
  readonly live: boolean;
  /** When `health` began, milliseconds since the Unix epoch. */
  readonly sinceMs: number;
  /** End of the last probe, milliseconds since the Unix epoch; null before the first. */
  readonly lastCheckAtMs: number | null;
  /** Of the last probe; null when it passed, or before the first. */
  readonly lastReason: ProbeFailure | null;
  /** The same for people. */
  readonly lastDetail: string | null;
  readonly passes: number;
  readonly failures: Readonly<Record<ProbeFailure, number>>;
  /** Histogram of the durations of all probes; see base/histogram.ts. */
  readonly durations: Float64Array;
  readonly durationSumS: number;
}

/** Keeps the reading of one endpoint. */
export class HealthRecord implements HealthReading {
  readonly upstream: string;
  readonly endpoint: string;
  kind: HealthCheckSpec["kind"];
  health: Health = "unknown";
  live = true;
  sinceMs: number;
  lastCheckAtMs: number | null = null;
  lastReason: ProbeFailure | null = null;
  lastDetail: string | null = null;
  passes = 0;
  readonly failures: Record<ProbeFailure, number>;
  readonly durations = new Float64Array(BUCKET_COUNT);
  durationSumS = 0;

  constructor(upstream: string, endpoint: string, kind: HealthCheckSpec["kind"], wallMs: number) {
    this.upstream = upstream;
    this.endpoint = endpoint;
    this.kind = kind;
    this.sinceMs = wallMs;
    this.failures = Object.fromEntries(PROBE_FAILURES.map((reason) => [reason, 0])) as Record<ProbeFailure, number>;
  }

  /** A probe took this long. */
  countDuration(durationMs: number): void {
    const bucket = bucketOf(durationMs);
    this.durations[bucket] = (this.durations[bucket] as number) + 1;
    this.durationSumS += durationMs / 1_000;
  }

  /** A probe ended, or the endpoint said something by itself. */
  countResult(result: ProbeResult, wallMs: number): void {
    this.lastCheckAtMs = wallMs;
    this.lastReason = result.kind === "pass" ? null : result.reason;
    this.lastDetail = result.kind === "pass" ? null : result.detail;
    if (result.kind === "pass") this.passes++;
    else this.failures[result.reason]++;
  }

  /** The endpoint is something else from now on. */
  become(health: Health, wallMs: number): void {
    if (this.health === health) return;
    this.health = health;
    this.sinceMs = wallMs;
  }
}
