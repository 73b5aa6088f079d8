import type { ArmLabel, FallbackKind } from "../base/cells.ts";
import type { Health } from "../base/gates.ts";
import type { AuditRecord } from "../journal/audit-record.ts";
import type { CircuitByHand } from "../control/circuit-by-hand.ts";
import type { Edit } from "../control/edit.ts";
import type { ProposeResult } from "../control/snapshot-store.ts";
import type { Cause, MatchSpec, OverrideSpec, StickySource } from "../model/snapshot.ts";

/** What the control API shows. Called for each request; must not block. */
export interface AdminViews {
  status(): StatusView;
  config(): ConfigView;
  /** Null: no such route. */
  route(name: string): RouteDetailView | null;
  /** The last `limit` changes, newest first. */
  audit(limit: number): readonly AuditRecord[];
}

/** What the control API can ask for. */
export interface AdminActions {
  propose(cause: Cause, edit: Edit): Promise<ProposeResult>;
  /** Reads the config file again, now. */
  reload(cause: Cause): Promise<ProposeResult>;
  /** Closes or opens the circuits of an upstream, now. */
  readonly circuit: CircuitByHand;
}

/** `GET status`. */
export interface StatusView {
  readonly version: string;
  readonly pid: number;
  /** ISO 8601, UTC. */
  readonly startedAt: string;
  readonly uptimeMs: number;
  readonly generation: number;
  readonly cause: Cause;
  readonly ready: boolean;
  readonly draining: boolean;
  /** All routes are killed. */
  readonly killed: boolean;
  readonly routes: readonly RouteView[];
  readonly upstreams: readonly UpstreamView[];
  /** Of the worst data thread: 0 nothing is shed, 1 shadows, 2 low priority routes, 3 normal ones too. */
  readonly overloadStage: number;
  readonly threads: readonly ThreadView[];
  readonly lastReload: LastReloadView;
  readonly reloads: { readonly applied: number; readonly refused: number; readonly unchanged: number };
  /** Settings of the config that only a restart brings into force. */
  readonly restartNeeded: readonly string[];
  /** A change is in force that is not on disk yet. */
  readonly overlayIsBehind: boolean;
}

/** How the last reload ended; the start counts as a good one. */
export interface LastReloadView {
  readonly ok: boolean;
  /** ISO 8601, UTC. */
  readonly at: string;
  /** One sentence each. */
  readonly problems: readonly string[];
}

/** One kind of thread in one state. */
export interface ThreadView {
  readonly kind: string;
  readonly state: string;
  readonly count: number;
}

/** A route and what became of its callers since the process started. */
export interface RouteView {
  readonly name: string;
  readonly baseline: string;
  readonly candidate: string | null;
  /** The share of callers that the candidate is meant to have, such as `25%`. A kill does not change it. */
  readonly share: string;
  readonly candidatePpm: number;
  /** This route is killed, by itself or with all others: its callers go to the baseline. */
  readonly killed: boolean;
  /** Where the share comes from: the config file, or a change at run time that outlives a restart. */
  readonly source: "file" | "split" | "rollback";
  readonly inFlight: number;
  /** Decisions per arm. */
  readonly decided: { readonly baseline: number; readonly candidate: number };
  /** Answers per arm and class of status, such as `2xx`; `none`: made here, before an arm was picked. */
  readonly answers: Readonly<Record<ArmLabel, Readonly<Record<StatusClass, number>>>>;
  /** Tries that were repeated. */
  readonly retries: number;
  /** Exchanges that a fallback answered, by its kind; `none`: the ladder ended. */
  readonly fallbacks: Readonly<Record<FallbackKind, number>>;
  /** Requests turned away under overload. */
  readonly shed: number;
}

/** Classes of status codes; `other` is everything outside of 100 to 599. */
export const STATUS_CLASSES = ["1xx", "2xx", "3xx", "4xx", "5xx", "other"] as const;
/** One of `STATUS_CLASSES`. */
export type StatusClass = (typeof STATUS_CLASSES)[number];

/** `GET routes/{route}`: a route with its rules. */
export interface RouteDetailView extends RouteView {
  readonly match: MatchSpec;
  readonly sticky: readonly StickySource[];
  readonly onMissingKey: string;
  readonly salt: string;
  readonly overrides: readonly OverrideSpec[];
  readonly versionHeader: string;
}

/** An upstream, its connections, and how it is. */
export interface UpstreamView {
  readonly name: string;
  /** Such as `http://127.0.0.1:9001`. */
  readonly endpoints: readonly string[];
  readonly connections: { readonly active: number; readonly idle: number; readonly pending: number };
  /** That of the upstream as a whole; null: it has none. */
  readonly circuit: CircuitView | null;
  /** In the order of `endpoints`. */
  readonly endpointStates: readonly EndpointView[];
}

/** One endpoint and how it is. */
export interface EndpointView {
  readonly endpoint: string;
  /** `unchecked`: nobody checks it. `unknown`: its first check is not over. */
  readonly health: Health;
  /** ISO 8601, UTC; null when nobody checks it. */
  readonly healthSince: string | null;
  /** Why the last check failed; null when it passed. */
  readonly healthReason: string | null;
  /** It is out because it did worse than the others. */
  readonly ejected: boolean;
  /** Until an ejected one comes back; 0 otherwise. */
  readonly backInMs: number;
  /** null: it has none of its own; the upstream's says it all. */
  readonly circuit: CircuitView | null;
}

/** A circuit. */
export interface CircuitView {
  readonly state: "closed" | "open" | "half-open";
  /** ISO 8601, UTC; null: it never was in another state. */
  readonly since: string | null;
  /** Until it lets requests through to see; null unless it is open and closes by itself. */
  readonly retryInMs: number | null;
  /** How often it opened since the process started. */
  readonly opened: number;
  /** What its window holds now. */
  readonly window: { readonly requests: number; readonly failures: number; readonly slow: number };
}

/** `GET config`: what is in force, with secrets masked. */
export interface ConfigView {
  readonly generation: number;
  readonly config: unknown;
  /** What was changed at run time. */
  readonly overlay: unknown;
}
