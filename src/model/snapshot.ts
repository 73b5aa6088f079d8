import type { RetryCondition } from "../base/cells.ts";

/**
 * A snapshot is everything a data thread needs to serve, drawn before the traffic: plain data, deep-frozen on the
 * control thread, sent to the others by structured clone. All times are milliseconds, sizes bytes, shares ppm.
 */
export interface Snapshot {
  /** 1 for the first; grows by one with each accepted proposal. */
  readonly generation: number;
  readonly cause: Cause;
  readonly upstreams: readonly UpstreamSpec[];
  readonly routes: readonly RouteSpec[];
  readonly downstream: DownstreamSpec;
  readonly trustedProxies: readonly string[];
  /** Our name in Via; a request that carries it already goes in circles. Default `crossfade`. */
  readonly viaName: string;
  readonly accessLog: AccessLogSpec;
  /** When work is refused to keep the rest going. */
  readonly overload: OverloadSpec;
  /** All of the callers of every route go to the baseline. */
  readonly killed: boolean;
  /** TLS material per listener index, as read from its files; null for a plain listener. */
  readonly tls: readonly (TlsMaterial | null)[];
}

/** Why a generation exists. `by`: file, admin (a person), signal, start, rollout (the judge). */
export interface Cause {
  readonly by: "start" | "file" | "signal" | "admin" | "rollout";
  readonly actor: string;
  readonly reason: string;
  /** What was asked, in a word or two: `reload`, `split api 25%`, `rollback api`, `kill`. */
  readonly action: string;
}

/**
 * Who speaks HTTP/1 with clients and upstreams. native: our own codec, which hands what is outside of its strict subset
 * to the library engine; library: node:http and undici for everything.
 */
export type Engine = "native" | "library";

/** A named service that we call. */
export interface UpstreamSpec {
  readonly name: string;
  readonly endpoints: readonly EndpointSpec[];
  readonly timeouts: {
    readonly connectTimeoutMs: number;
    /** From the request sent to the first byte of the answer's head. */
    readonly responseHeadTimeoutMs: number;
    /** Longest silence of the upstream inside an answer. */
    readonly idleTimeoutMs: number;
    /** Whole exchange, tries included; 0 = none. */
    readonly requestTimeoutMs: number;
  };
  readonly pool: {
    readonly minConnections: number;
    readonly maxConnections: number;
    readonly maxPending: number;
    readonly acquireTimeoutMs: number;
    readonly idleTimeoutMs: number;
    /** Requests in flight on one connection, 1..64; more than 1 with the native engine only. */
    readonly pipelining: number;
    /** Requests under way and waiting, all connections and data threads together; 0 = no limit of its own. */
    readonly maxInFlight: number;
  };
  readonly tls: UpstreamTlsSpec | null;
  /** Largest accepted answer head. */
  readonly maxHeaderBytes: number;
  /** null: its endpoints count as healthy. */
  readonly health: HealthSpec | null;
  /** null: no circuit. */
  readonly circuitBreaker: CircuitBreakerSpec | null;
  /** null: no endpoint is ejected. */
  readonly outlierDetection: OutlierDetectionSpec | null;
  /** Identity and what connections and circuits are made of in one string: the lease key. Health and outlier rules are not in it. */
  readonly digest: string;
  /** Where its counters and gates are; given out by the snapshot store. */
  readonly cells: UpstreamCells;
}

/** Cell addresses of an upstream. */
export interface UpstreamCells {
  /** `upstream` block. */
  readonly block: number;
  /** Gate of the upstream as a whole; see base/gates.ts. */
  readonly gate: number;
  /** Gate of each endpoint, in their order. */
  readonly endpointGates: readonly number[];
}

/** One address of an upstream. */
export interface EndpointSpec {
  readonly scheme: "http" | "https";
  /** Host name or address; `localhost` for a Unix socket. */
  readonly host: string;
  /** 1..65535; 0 for a Unix socket. */
  readonly port: number;
  /** Path of a Unix socket; null for TCP. */
  readonly socketPath: string | null;
}

/** How the endpoints of an upstream are asked whether they are well. All times in milliseconds. */
export interface HealthSpec {
  readonly check: HealthCheckSpec;
  /** Port to ask instead of the endpoint's own; null = the endpoint's. */
  readonly port: number | null;
  /** Default 5 000. */
  readonly intervalMs: number;
  /** While an endpoint is unhealthy or unknown, or has just failed. Default 1 000, or the interval where that is shorter. */
  readonly unhealthyIntervalMs: number;
  /** Of one probe, connection included; not longer than the interval. Default 1 000, or the interval where that is shorter. */
  readonly timeoutMs: number;
  /** Each wait is shortened or lengthened by up to this many ppm. Default 150 000. */
  readonly jitterPpm: number;
  /** Failures in a row that make an endpoint unhealthy. Default 3. */
  readonly unhealthyThreshold: number;
  /** Passes in a row that make an unhealthy endpoint healthy; the first pass of an unknown one is enough. Default 2. */
  readonly healthyThreshold: number;
  /** A plain "no" (503, NOT_SERVING) makes an endpoint unhealthy at once. Default true. */
  readonly believeExplicit: boolean;
  /** What a baseline without any healthy endpoint does: answer 503, or be asked all the same. Default refuse. */
  readonly panic: "refuse" | "send";
}

/** What one probe does. */
export type HealthCheckSpec =
  | {
      readonly kind: "http";
      readonly method: "GET" | "HEAD";
      /** Origin form. */
      readonly path: string;
      /** Host field; null = the endpoint's. */
      readonly host: string | null;
      /** Request fields, name → value. */
      readonly headers: Readonly<Record<string, string>>;
      /** Inclusive ranges. Default 200-299. */
      readonly expectStatus: readonly (readonly [number, number])[];
      /** Text that must be in the first 64 KiB of the body; null = any body. */
      readonly expectBody: string | null;
      /** Lower-case name → value that the answer must carry. */
      readonly expectHeaders: Readonly<Record<string, string>>;
    }
  | {
      readonly kind: "grpc";
      /** "" = the server as a whole. */
      readonly service: string;
      /** `:authority`; null = the endpoint's. */
      readonly authority: string | null;
      /** Use Watch where the server offers it, Check else. Default true. */
      readonly watch: boolean;
      /** How a server without the health service counts. Default unhealthy. */
      readonly unimplemented: "healthy" | "unhealthy";
    }
  | { readonly kind: "tcp" };

/** When a circuit opens and how it closes again. Shares in ppm, times in milliseconds; 0 switches a rule off. */
export interface CircuitBreakerSpec {
  /** Failures in a row. Default 3. */
  readonly consecutiveFailures: number;
  /** Failed share of the window. Default 500 000. */
  readonly errorPpm: number;
  /** Share of the window that took longer than `slowCallMs` to the first byte. Default 0 = off. */
  readonly slowCallPpm: number;
  readonly slowCallMs: number;
  /** The shares are not looked at below this many requests in the window. Default 20. */
  readonly minRequests: number;
  /** Length of the window. Default 10 000. */
  readonly windowMs: number;
  /** First open time; doubles with each probe that fails. Default 30 000. */
  readonly openMs: number;
  /** Longest open time. Default 300 000, or openMs where that is longer. */
  readonly maxOpenMs: number;
  /** An open time is lengthened by up to this many ppm, by the circuit's own dice. Default 100 000. */
  readonly jitterPpm: number;
  /** Probes at once while half-open, 1..100. Default 3. */
  readonly halfOpenRequests: number;
  /** Successes that close it, 1..100. Default: halfOpenRequests. */
  readonly halfOpenSuccesses: number;
  /** After it closed, requests come back linearly over this time, where another arm can take the rest. Default 5 000. */
  readonly slowStartMs: number;
  /** false: an open circuit stays open until it is reset by hand. Default true. */
  readonly autoRecover: boolean;
}

/** Takes single endpoints of an upstream out when they do worse than the others. */
export interface OutlierDetectionSpec {
  /** How often the endpoints are compared. Default 10 000. */
  readonly intervalMs: number;
  /** Requests that an endpoint must have had in the interval. Default 20. */
  readonly minRequests: number;
  /** Failed share from which an endpoint may be an outlier at all. Default 200 000. */
  readonly errorPpm: number;
  /** How many standard deviations below the mean success rate, in thousandths. Default 1 900. */
  readonly deviationsMilli: number;
  /** First ejection; grows with each one in a row. Default 30 000. */
  readonly ejectionMs: number;
  /** Longest ejection. Default 300 000, or ejectionMs where that is longer. */
  readonly maxEjectionMs: number;
  /** Most endpoints that are out at once; one always stays in. Default 500 000. */
  readonly maxEjectedPpm: number;
}

/** How to trust and be trusted by an https upstream. PEM texts, not paths. */
export interface UpstreamTlsSpec {
  readonly ca: string | null;
  readonly cert: string | null;
  readonly key: string | null;
  /** SNI and the name the certificate must carry; null = the endpoint's host. */
  readonly serverName: string | null;
}

/** A match and what to do with what it matches. */
export interface RouteSpec {
  readonly name: string;
  readonly match: MatchSpec;
  readonly split: SplitSpec;
  /** Response header that says which upstream served. */
  readonly versionHeader: string;
  /** Order in which routes are shed under overload: low first, then normal; high never. Default normal. */
  readonly priority: Priority;
  /** null: only a stale connection is tried again. */
  readonly retry: RetrySpec | null;
  /** null: one request at a time. */
  readonly hedge: HedgeSpec | null;
  /** What answers when the arm does not, in order; empty = nothing. */
  readonly fallback: readonly FallbackStep[];
  /** When the fallbacks are asked. */
  readonly fallbackOn: RetryConditions;
  /** Digest of the route without its share: equal digests may share a control word in place. */
  readonly digest: string;
  /** Which control word and blocks this route uses; given out by the snapshot store. */
  readonly cells: RouteCells;
}

/** Cell addresses of a route. */
export interface RouteCells {
  readonly word: number;
  readonly epoch: number;
  readonly routeBlock: number;
  readonly baselineBlock: number;
  readonly candidateBlock: number;
  /** Exchange blocks of the fallback steps that are upstreams, in the order of the ladder; others have 0. */
  readonly fallbackBlocks: readonly number[];
}

/** How much a route matters under overload. */
export type Priority = "low" | "normal" | "high";

/** Which failures and answers another try, or a fallback, is for. Names are Envoy's retry_on words. */
export interface RetryConditions {
  readonly on: readonly RetryCondition[];
  /** Statuses that count, besides. */
  readonly statuses: readonly number[];
}

/** How failed tries are repeated. */
export interface RetrySpec extends RetryConditions {
  /** Tries in all, the first included; 1..10. Default 3. */
  readonly attempts: number;
  /** From a try's start, or the end of the request if that is later, to its answer's head; 0 = none. */
  readonly perTryTimeoutMs: number;
  /** Full jitter: a wait is uniform in 0..min(max, initial × multiplier^n). */
  readonly backoff: { readonly initialMs: number; readonly maxMs: number; readonly multiplierMilli: number };
  /** Retries under way may be this share of the requests under way on the route; three always may. Default 200 000. */
  readonly budgetPpm: number;
  /** A longer Retry-After than this means no retry. Default 10 000. */
  readonly maxRetryAfterMs: number;
  /** Request body kept for another try; a longer one is not repeated. Default 65 536. */
  readonly bufferBytes: number;
  /** Whether a request that may have been processed, with a method that is not idempotent, is repeated when it has an Idempotency-Key. */
  readonly idempotencyKey: boolean;
}

/** A second request beside one that takes long; for safe methods without a body. */
export interface HedgeSpec {
  /** 0 = at once. */
  readonly delayMs: number;
  /** same: the same upstream, another endpoint if it has one. other: the other arm. */
  readonly to: "same" | "other";
}

/** One rung of the fallback ladder. */
export type FallbackStep =
  | { readonly kind: "arm" }
  | {
      readonly kind: "stale";
      readonly maxAgeMs: number;
      /** Kept in all, all data threads together. */
      readonly maxBytes: number;
      readonly maxEntryBytes: number;
      /** One caller may get another's answer. Default false. */
      readonly shared: boolean;
    }
  | {
      readonly kind: "static";
      readonly status: number;
      /** Name, value, name, value … */
      readonly headers: readonly string[];
      /** latin1 text, one character per byte. */
      readonly body: string;
    }
  | { readonly kind: "upstream"; readonly upstream: string };

/** All given conditions must hold; an empty match takes everything. */
export interface MatchSpec {
  readonly path: string | null;
  readonly pathPrefix: string | null;
  readonly pathRegex: string | null;
  readonly host: string | null;
  readonly methods: readonly string[] | null;
  /** Lower-case name → exact value. */
  readonly headers: Readonly<Record<string, string>> | null;
}

/** Who goes where. */
export interface SplitSpec {
  readonly baseline: string;
  /** null: everything goes to the baseline. */
  readonly candidate: string | null;
  /** 0..1 000 000. The control word overrides it while epochs agree. */
  readonly candidatePpm: number;
  readonly killed: boolean;
  readonly sticky: readonly StickySource[];
  readonly onMissingKey: MissingKeyRule;
  readonly salt: string;
  readonly overrides: readonly OverrideSpec[];
}

/** Where a sticky key may come from; the first source that is present wins. */
export type StickySource =
  | { readonly kind: "header"; readonly name: string }
  | { readonly kind: "cookie"; readonly name: string }
  | { readonly kind: "query"; readonly name: string }
  | { readonly kind: "client-ip" };

/** What to do with a caller who has no key. */
export type MissingKeyRule =
  | { readonly kind: "random" }
  | { readonly kind: "baseline" }
  | { readonly kind: "set-cookie"; readonly name: string; readonly maxAgeMs: number };

/** Sends a caller to an arm whatever the bucket says; the first that matches wins. */
export interface OverrideSpec {
  readonly when:
    | { readonly kind: "header"; readonly name: string; readonly value: string }
    | { readonly kind: "cookie"; readonly name: string; readonly value: string }
    | {
        readonly kind: "segment";
        readonly name: string;
        readonly keys: readonly string[];
        readonly headers: Readonly<Record<string, readonly string[]>>;
      };
  readonly to: Arm;
}

/** A role in a split. */
export type Arm = "baseline" | "candidate";

/** Limits towards clients. */
export interface DownstreamSpec {
  readonly headerTimeoutMs: number;
  /** Longest silence of a client inside a request body or while it should read an answer. */
  readonly bodyIdleTimeoutMs: number;
  readonly keepAliveTimeoutMs: number;
  readonly maxHeaderBytes: number;
  readonly maxHeaders: number;
  /** Connections per data thread. */
  readonly maxConnections: number;
  /** Longest silence in both directions of an upgraded connection; 0 = none. */
  readonly tunnelIdleTimeoutMs: number;
}

/** A listening address; `tls` names files, their content is in `Snapshot.tls`. */
export interface ListenerSpec {
  readonly host: string;
  readonly port: number;
  readonly tls: { readonly certFile: string; readonly keyFile: string; readonly clientCaFile: string | null } | null;
}

/** Limits of a data thread beyond which work is shed in stages; 0 switches a limit off. */
export interface OverloadSpec {
  /** How late the event loop may be, in milliseconds. Default 200. */
  readonly eventLoopLagMs: number;
  /** Share of the largest heap that may be used, in ppm. Default 900 000. */
  readonly heapPpm: number;
  /** Requests under way, all data threads together. Default 0. */
  readonly maxInFlight: number;
}

/** PEM texts of a listener. */
export interface TlsMaterial {
  readonly cert: string;
  readonly key: string;
  readonly clientCa: string | null;
}

/** Which exchanges get an access log line. `share`: this many ppm of them, and every error. */
export interface AccessLogSpec {
  readonly mode: "none" | "errors" | "all" | "share";
  readonly ppm: number;
}
