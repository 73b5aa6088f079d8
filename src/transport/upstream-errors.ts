import { failure, type Failure } from "../base/failure.ts";

/** What the attempt knew when its connection failed. */
export interface ErrorContext {
  readonly connected: boolean;
  /** The final head had arrived. */
  readonly answering: boolean;
  /** The connection had served before, and no byte of this answer had come. */
  readonly staleCandidate: boolean;
}

/** Sorts an error of the library engines into the failure table. */
export function failureFromError(error: unknown, context: ErrorContext): Failure {
  const code = codeOf(error);
  if (!context.connected) return failure(connectFailureKind(code), error);
  if (code === "UND_ERR_HEADERS_OVERFLOW" || code === "HPE_HEADER_OVERFLOW") return failure("answer-too-large", error);
  if (context.answering) return failure("truncated-answer", error);
  if (code.startsWith("HPE_") || BAD_ANSWER_CODES.has(code) || isBadAnswer(error)) return failure("bad-answer", error);
  if (code === "UND_ERR_INVALID_ARG" || code === "UND_ERR_NOT_SUPPORTED" || code === "ERR_INVALID_CHAR") {
    return failure("malformed-request", error);
  }
  return failure(context.staleCandidate ? "stale-connection" : "upstream-reset", error);
}

function connectFailureKind(code: string): "connect-timeout" | "tls-failure" | "connect-failure" | "malformed-request" {
  if (code === "UND_ERR_CONNECT_TIMEOUT" || code === "ETIMEDOUT") return "connect-timeout";
  if (code === "UND_ERR_INVALID_ARG" || code === "UND_ERR_NOT_SUPPORTED") return "malformed-request";
  return TLS_CODE.test(code) ? "tls-failure" : "connect-failure";
}

const TLS_CODE = /^(?:ERR_TLS|ERR_SSL|CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO_|HOSTNAME_MISMATCH|EPROTO$)/;
const BAD_ANSWER_CODES = new Set(["UND_ERR_RES_CONTENT_LENGTH_MISMATCH", "UND_ERR_RES_EXCEEDED_MAX_SIZE"]);

/** undici's parser errors often have no code; an unasked 100 or 101 is a socket error with one of these messages. */
function isBadAnswer(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  return error.name === "HTTPParserError" || error.message === "bad response" || error.message === "bad upgrade";
}

function codeOf(error: unknown): string {
  if (typeof error !== "object" || error === null || !("code" in error)) return "";
  return typeof error.code === "string" ? error.code : "";
}
