import { failed, type ProbeFailure, type ProbeResult } from "../policy/health.ts";

const LONGEST_DETAIL = 160;

/** The result of a probe whose connection failed. */
export function resultOfError(error: unknown): ProbeResult {
  const first = error instanceof AggregateError && error.errors.length > 0 ? (error.errors[0] as unknown) : error;
  return failed(reasonOfError(first), detailOf(first));
}

/** A detail that fits in a log line. */
export function cut(text: string): string {
  return text.length <= LONGEST_DETAIL ? text : `${text.slice(0, LONGEST_DETAIL - 1)}…`;
}

function reasonOfError(error: unknown): ProbeFailure {
  const code = codeOf(error);
  const known = REASONS[code];
  if (known !== undefined) return known;
  if (TLS_CODE.test(code)) return "tls";
  if (LOOKUP_CODE.test(code)) return "dns";
  return "protocol";
}

function detailOf(error: unknown): string {
  const code = codeOf(error);
  const message = error instanceof Error ? error.message : String(error);
  return cut(code === "" || message.includes(code) ? message : `${code}: ${message}`);
}

function codeOf(error: unknown): string {
  if (typeof error !== "object" || error === null || !("code" in error)) return "";
  return typeof error.code === "string" ? error.code : "";
}

/** `refused`: no connection came about, and somebody said so. `reset`: there was one, and it broke. */
const REASONS: Readonly<Record<string, ProbeFailure>> = {
  ECONNREFUSED: "refused",
  EHOSTUNREACH: "refused",
  ENETUNREACH: "refused",
  EHOSTDOWN: "refused",
  EADDRNOTAVAIL: "refused",
  EACCES: "refused",
  EPERM: "refused",
  ENOENT: "refused",
  EMFILE: "refused",
  EAGAIN: "refused",
  ECONNRESET: "reset",
  ECONNABORTED: "reset",
  EPIPE: "reset",
  UND_ERR_SOCKET: "reset",
  ETIMEDOUT: "timeout",
  ENOTFOUND: "dns",
};
const LOOKUP_CODE = /^EAI_/;
const TLS_CODE =
  /^(?:ERR_TLS|ERR_SSL|CERT_|CRL_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO_|HOSTNAME_MISMATCH|INVALID_CA|INVALID_PURPOSE|PATH_LENGTH|EPROTO$)/;
