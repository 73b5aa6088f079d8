/** A request id that we keep: 1 to 128 visible characters that are safe in headers, logs and URLs. */
const REQUEST_ID = /^[A-Za-z0-9._:@+/=-]{1,128}$/;
const TRACEPARENT = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?$/;
const ZERO_TRACE = "0".repeat(32);
const ZERO_SPAN = "0".repeat(16);

/** True when a client's x-request-id may be kept. */
export function isRequestId(text: string): boolean {
  return REQUEST_ID.test(text);
}

/** The trace id of a valid W3C traceparent (Trace Context level 1 §3.2); null when it must be replaced. */
export function traceIdOf(traceparent: string): string | null {
  const match = TRACEPARENT.exec(traceparent);
  if (match === null) return null;
  const [, version, trace, span] = match;
  if (version === "ff" || trace === ZERO_TRACE || span === ZERO_SPAN) return null;
  if (version === "00" && traceparent.length !== 55) return null;
  return trace as string;
}

/** A new traceparent, marked as sampled: 32 hex digits of the trace, 16 of the span. */
export function newTraceparent(traceId: string, spanId: string): string {
  return `00-${traceId}-${spanId}-01`;
}
