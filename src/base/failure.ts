/**
 * Every way an exchange can fail, with what the client is told. `status` and `code` make the local reply;
 * `retriable` says when another try is allowed: `unsent` = no byte of the request reached the upstream,
 * `idempotent` = also for idempotent methods. `fault` says who is to blame, for metrics and breakers.
 */
export const FAILURES = {
  "malformed-request": {
    status: 400,
    code: "bad_request",
    retriable: "never",
    fault: "client",
    message: "The request is not valid HTTP.",
  },
  "bad-target": {
    status: 400,
    code: "bad_target",
    retriable: "never",
    fault: "client",
    message: "The request target is not allowed.",
  },
  "bad-host": {
    status: 400,
    code: "bad_host",
    retriable: "never",
    fault: "client",
    message: "The request needs exactly one valid Host.",
  },
  "bad-framing": {
    status: 400,
    code: "bad_framing",
    retriable: "never",
    fault: "client",
    message: "The length of the request body is ambiguous.",
  },
  "no-route": {
    status: 404,
    code: "no_route",
    retriable: "never",
    fault: "client",
    message: "No route matches this request.",
  },
  "method-refused": {
    status: 405,
    code: "method_refused",
    retriable: "never",
    fault: "client",
    message: "This method is not passed on: no tunnels, no TRACE.",
  },
  "request-timeout": {
    status: 408,
    code: "request_timeout",
    retriable: "never",
    fault: "client",
    message: "The request did not arrive in time.",
  },
  "expectation-failed": {
    status: 417,
    code: "expectation_failed",
    retriable: "never",
    fault: "client",
    message: "Only Expect: 100-continue is understood.",
  },
  "header-too-large": {
    status: 431,
    code: "header_too_large",
    retriable: "never",
    fault: "client",
    message: "The request head is too large or has too many fields.",
  },
  "client-gone": {
    status: 499,
    code: "client_gone",
    retriable: "never",
    fault: "client",
    message: "The client closed the connection.",
  },
  internal: { status: 500, code: "internal", retriable: "never", fault: "proxy", message: "The proxy made a mistake." },
  "coding-refused": {
    status: 501,
    code: "coding_refused",
    retriable: "never",
    fault: "client",
    message: "This transfer coding is not supported.",
  },
  "connect-failure": {
    status: 502,
    code: "connect_failure",
    retriable: "unsent",
    fault: "upstream",
    message: "The upstream could not be reached.",
  },
  "tls-failure": {
    status: 502,
    code: "tls_failure",
    retriable: "unsent",
    fault: "upstream",
    message: "No trusted TLS connection to the upstream.",
  },
  "upstream-reset": {
    status: 502,
    code: "upstream_reset",
    retriable: "idempotent",
    fault: "upstream",
    message: "The upstream closed the connection before it answered.",
  },
  "stale-connection": {
    status: 502,
    code: "upstream_reset",
    retriable: "idempotent",
    fault: "upstream",
    message: "The upstream closed an idle connection as it was used.",
  },
  "bad-answer": {
    status: 502,
    code: "bad_answer",
    retriable: "never",
    fault: "upstream",
    message: "The upstream's answer is not valid HTTP.",
  },
  "answer-too-large": {
    status: 502,
    code: "answer_too_large",
    retriable: "never",
    fault: "upstream",
    message: "The head of the upstream's answer is too large.",
  },
  "truncated-answer": {
    status: 502,
    code: "truncated_answer",
    retriable: "never",
    fault: "upstream",
    message: "The upstream's answer ended too early.",
  },
  "upgrade-failure": {
    status: 502,
    code: "upgrade_failure",
    retriable: "never",
    fault: "upstream",
    message: "The upstream did not complete the upgrade.",
  },
  overflow: {
    status: 503,
    code: "overflow",
    retriable: "unsent",
    fault: "proxy",
    message: "Too many requests are waiting for this upstream.",
  },
  "acquire-timeout": {
    status: 503,
    code: "acquire_timeout",
    retriable: "unsent",
    fault: "proxy",
    message: "No connection to the upstream came free in time.",
  },
  "too-many-in-flight": {
    status: 503,
    code: "overflow",
    retriable: "unsent",
    fault: "proxy",
    message: "Too many requests to this upstream are under way.",
  },
  "circuit-open": {
    status: 503,
    code: "circuit_open",
    retriable: "unsent",
    fault: "proxy",
    message: "The upstream failed too often and is not asked for the moment.",
  },
  "no-healthy-upstream": {
    status: 503,
    code: "no_healthy_upstream",
    retriable: "unsent",
    fault: "proxy",
    message: "No endpoint of the upstream is healthy.",
  },
  "fallback-exhausted": {
    status: 503,
    code: "fallback_exhausted",
    retriable: "never",
    fault: "proxy",
    message: "Neither the upstream nor any fallback could answer.",
  },
  overloaded: {
    status: 503,
    code: "overloaded",
    retriable: "never",
    fault: "proxy",
    message: "This proxy is overloaded and serves more important requests first.",
  },
  "lost-race": {
    status: 503,
    code: "lost_race",
    retriable: "never",
    fault: "proxy",
    message: "Another answer to the same request came first.",
  },
  draining: {
    status: 503,
    code: "draining",
    retriable: "unsent",
    fault: "proxy",
    message: "This proxy is shutting down.",
  },
  "connect-timeout": {
    status: 504,
    code: "connect_timeout",
    retriable: "unsent",
    fault: "upstream",
    message: "The upstream did not accept a connection in time.",
  },
  "head-timeout": {
    status: 504,
    code: "head_timeout",
    retriable: "idempotent",
    fault: "upstream",
    message: "The upstream did not answer in time.",
  },
  "try-timeout": {
    status: 504,
    code: "try_timeout",
    retriable: "idempotent",
    fault: "upstream",
    message: "The upstream did not answer one try in time.",
  },
  "idle-timeout": {
    status: 504,
    code: "idle_timeout",
    retriable: "never",
    fault: "upstream",
    message: "The upstream stopped sending.",
  },
  "total-timeout": {
    status: 504,
    code: "total_timeout",
    retriable: "never",
    fault: "upstream",
    message: "The request took longer than its deadline.",
  },
  "version-refused": {
    status: 505,
    code: "version_refused",
    retriable: "never",
    fault: "client",
    message: "Only HTTP/1.0 and HTTP/1.1 are spoken here.",
  },
  loop: {
    status: 508,
    code: "loop",
    retriable: "never",
    fault: "client",
    message: "The request has already passed through this proxy.",
  },
} as const satisfies Record<string, FailureRow>;

interface FailureRow {
  readonly status: number;
  readonly code: string;
  readonly retriable: "never" | "unsent" | "idempotent";
  readonly fault: "client" | "upstream" | "proxy";
  readonly message: string;
}

/** A row name of `FAILURES`. */
export type FailureKind = keyof typeof FAILURES;

/** A failure on the road: a value, never a throw. `cause` is for the log and never reaches the client. */
export interface Failure {
  readonly kind: FailureKind;
  readonly cause: unknown;
}

/** Builds a failure; `cause` is the error or the detail that an operator wants to see. */
export function failure(kind: FailureKind, cause: unknown = null): Failure {
  return { kind, cause };
}

/** The closed list of failure kinds, in table order; its index is the metric slot. */
export const FAILURE_KINDS = Object.keys(FAILURES) as readonly FailureKind[];
