import { FAILURES, type FailureKind } from "../base/failure.ts";
import { numberFromDigits } from "../model/decimal.ts";
import type { RawHeaders } from "../model/exchange-types.ts";
import { headerValue } from "../model/headers.ts";

/** The gRPC status codes that mean something to us. */
export const GRPC_STATUS = {
  ok: 0,
  cancelled: 1,
  unknown: 2,
  deadlineExceeded: 4,
  permissionDenied: 7,
  resourceExhausted: 8,
  unimplemented: 12,
  internal: 13,
  unavailable: 14,
  unauthenticated: 16,
} as const;

const HIGHEST_STATUS = 16;

/**
 * True for the content types of gRPC: `application/grpc`, alone, with a suffix such as `+proto`, or with parameters. Not
 * for gRPC-Web, whose trailers are in its body.
 */
export function isGrpc(contentType: string | null): boolean {
  return contentType !== null && /^application\/grpc(?:[+;\t ]|$)/i.test(contentType);
}

/**
 * The status 0..16 in the head of an answer (it has one when the answer is trailers-only) or in its trailers; null when
 * there is none. What is no status counts as 2, unknown, as clients take it.
 */
export function grpcStatusOf(fields: RawHeaders | null): number | null {
  const value = fields === null ? null : headerValue(fields, "grpc-status");
  if (value === null) return null;
  const status = numberFromDigits(value);
  return status >= 0 && status <= HIGHEST_STATUS ? status : GRPC_STATUS.unknown;
}

/** From the mapping that gRPC clients use for answers without a status of their own; ours where it says "unknown". */
const STATUS_BY_HTTP: Readonly<Record<number, number>> = {
  400: GRPC_STATUS.internal,
  401: GRPC_STATUS.unauthenticated,
  403: GRPC_STATUS.permissionDenied,
  404: GRPC_STATUS.unimplemented,
  405: GRPC_STATUS.unimplemented,
  408: GRPC_STATUS.deadlineExceeded,
  417: GRPC_STATUS.internal,
  429: GRPC_STATUS.unavailable,
  431: GRPC_STATUS.internal,
  499: GRPC_STATUS.cancelled,
  500: GRPC_STATUS.internal,
  501: GRPC_STATUS.unimplemented,
  502: GRPC_STATUS.unavailable,
  503: GRPC_STATUS.unavailable,
  // The mapping has 14 here, because a gateway's patience is not the caller's; but what ran out is a time limit.
  504: GRPC_STATUS.deadlineExceeded,
  505: GRPC_STATUS.internal,
  508: GRPC_STATUS.internal,
};

/** What a gRPC caller is told instead of an HTTP status. An overload of ours is 14 and not 8, as with Envoy: another may do. */
export function grpcStatusFromHttp(status: number): number {
  return STATUS_BY_HTTP[status] ?? GRPC_STATUS.unknown;
}

/**
 * The fields of a local reply to a gRPC caller, name, value, name, value: they go with HTTP status 200 and without a body,
 * which makes the answer trailers-only. `message` is any text.
 */
export function grpcLocalFields(kind: FailureKind, message: string, requestId: string): string[] {
  const { status, code } = FAILURES[kind];
  return [
    "content-type",
    "application/grpc",
    "content-length",
    "0",
    "grpc-status",
    String(grpcStatusFromHttp(status)),
    "grpc-message",
    escapedMessage(message),
    "x-crossfade-error",
    code,
    "x-request-id",
    requestId,
  ];
}

/** UTF-8, and as `%XX` whatever is not printable ASCII or is the percent sign. */
function escapedMessage(message: string): string {
  let escaped = "";
  for (const byte of Buffer.from(message, "utf8")) {
    const plain = byte >= 0x20 && byte <= 0x7e && byte !== 0x25;
    escaped += plain ? String.fromCharCode(byte) : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  }
  return escaped;
}

const UNIT_MS: Readonly<Record<string, number>> = { H: 3_600_000, M: 60_000, S: 1_000, m: 1, u: 0.001, n: 0.000_001 };

/** Whole milliseconds, at least 1, that a `grpc-timeout` field leaves for a call; null when it is absent or is no timeout. */
export function grpcTimeoutMs(value: string | null): number | null {
  const [, digits, unit] = /^([0-9]{1,8})([HMSmun])$/.exec(value ?? "") ?? [];
  if (digits === undefined || unit === undefined) return null;
  return Math.max(1, Math.ceil(Number(digits) * (UNIT_MS[unit] as number)));
}

/** The `grpc-timeout` field that leaves `ms` for a call: never more than that, but at least a millisecond. */
export function grpcTimeoutText(ms: number): string {
  const whole = Math.max(1, Math.floor(ms));
  return whole < 100_000_000 ? `${whole}m` : `${Math.min(99_999_999, Math.floor(whole / 1_000))}S`;
}
