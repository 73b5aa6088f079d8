import type {
  AccessLogSpec,
  Arm,
  DownstreamSpec,
  Engine,
  FallbackStep,
  HedgeSpec,
  ListenerSpec,
  MatchSpec,
  OverloadSpec,
  Priority,
  RetryConditions,
  RetrySpec,
  SplitSpec,
  UpstreamSpec,
} from "../model/snapshot.ts";

/**
 * A config that passed every check: defaults filled in, milliseconds, bytes, parts per million. It names files (TLS,
 * token) but holds nothing out of them. `compile` makes a snapshot of it; listeners, engine, admin, metrics, runtime
 * and log are the process's own and take effect at the start only.
 */
export interface Config {
  readonly listeners: readonly ListenerSpec[];
  /** Default native. */
  readonly engine: Engine;
  /** null: no control API. */
  readonly admin: AdminConfig | null;
  /** null: no metrics server. */
  readonly metrics: MetricsConfig | null;
  readonly runtime: RuntimeConfig;
  readonly log: LogConfig;
  readonly downstream: DownstreamSpec;
  readonly overload: OverloadSpec;
  readonly upstreams: readonly UpstreamConfig[];
  readonly segments: readonly SegmentConfig[];
  readonly routes: readonly RouteConfig[];
}

/** Where the control API listens and which file holds its bearer token. */
export interface AdminConfig {
  readonly host: string;
  readonly port: number;
  /** null: no token is asked for; only on loopback. */
  readonly tokenFile: string | null;
}

/** Where the metrics server listens. */
export interface MetricsConfig {
  readonly host: string;
  readonly port: number;
  /** Latency buckets per doubling that are exposed. Default 1. */
  readonly bucketsPerDoubling: 1 | 2 | 4 | 8;
}

/** Threads, files and the end of the process. */
export interface RuntimeConfig {
  /** inline = everything in one thread; 0 = one data thread per processor; else 1..64. */
  readonly threads: "inline" | number;
  /** null: nothing outlives a restart. */
  readonly stateDir: string | null;
  /** IP blocks, always with a prefix length. */
  readonly trustedProxies: readonly string[];
  /** Default `crossfade`. */
  readonly viaName: string;
  readonly drain: { readonly lameDuckMs: number; readonly deadlineMs: number };
}

/** What goes to standard output. */
export interface LogConfig {
  readonly level: "trace" | "debug" | "info" | "warn" | "error" | "fatal" | "silent";
  readonly access: AccessLogSpec;
}

/** An upstream before its files are read. */
export interface UpstreamConfig extends Omit<UpstreamSpec, "tls" | "digest" | "cells"> {
  readonly protocol: "http1" | "auto";
  readonly tls: UpstreamTlsFiles | null;
}

/** Paths of PEM files. */
export interface UpstreamTlsFiles {
  readonly caFile: string | null;
  readonly certFile: string | null;
  readonly keyFile: string | null;
  readonly serverName: string | null;
}

/** A named group of callers; the keys and the headers are alternatives. */
export interface SegmentConfig {
  readonly name: string;
  readonly keys: readonly string[];
  /** Lower-case name → values. */
  readonly headers: Readonly<Record<string, readonly string[]>>;
}

/** A route before names are resolved and the overlay is applied. */
export interface RouteConfig {
  readonly name: string;
  readonly match: MatchSpec;
  readonly split: SplitConfig;
  readonly versionHeader: string;
  readonly priority: Priority;
  readonly retry: RetrySpec | null;
  readonly hedge: HedgeSpec | null;
  readonly fallback: readonly FallbackConfig[];
  readonly fallbackOn: RetryConditions;
  /** Digest of the split section as written, variables and environment included: what an overlay entry is based on. */
  readonly splitDigest: string;
}

/** A rung of the fallback ladder; the body of a static one may still be in a file. */
export type FallbackConfig =
  | Exclude<FallbackStep, { readonly kind: "static" }>
  | (Omit<Extract<FallbackStep, { readonly kind: "static" }>, "body"> & {
      readonly body: string | null;
      /** Path as written; null when `body` is given. */
      readonly bodyFile: string | null;
    });

/** A split as configured; segments by name. */
export interface SplitConfig extends Omit<SplitSpec, "killed" | "overrides"> {
  readonly overrides: readonly OverrideConfig[];
}

/** Sends a caller to an arm; a segment is named, not resolved. */
export interface OverrideConfig {
  readonly when:
    | { readonly kind: "header"; readonly name: string; readonly value: string }
    | { readonly kind: "cookie"; readonly name: string; readonly value: string }
    | { readonly kind: "segment"; readonly name: string };
  readonly to: Arm;
}
