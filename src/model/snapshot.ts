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
  };
  readonly tls: UpstreamTlsSpec | null;
  /** Largest accepted answer head. */
  readonly maxHeaderBytes: number;
  /** Identity and settings in one string: the lease key. */
  readonly digest: string;
}

/** One address of an upstream. */
export interface EndpointSpec {
  readonly scheme: "http" | "https";
  readonly host: string;
  readonly port: number;
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
  readonly baselineUpstreamBlock: number;
  readonly candidateUpstreamBlock: number;
}

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
