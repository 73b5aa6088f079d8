import { STATUS_CODES } from "node:http";
import { answerHeadText } from "../codec/write-head.ts";
import { FAILURES, type FailureKind } from "../base/failure.ts";
import { localAnswer } from "../model/answer.ts";
import type { Chunk, OutgoingAnswer, RawHeaders } from "../model/exchange-types.ts";
import { headerValue } from "../model/headers.ts";
import { grpcLocalFields, isGrpc } from "../policy/grpc.ts";
import { httpDate } from "../transport/http-date.ts";

/** An answer that we make ourselves. */
export interface LocalReply {
  readonly head: OutgoingAnswer;
  readonly body: readonly Chunk[];
}

/** Under which names a reply is told. */
export interface ReplyNames {
  readonly requestId: string;
  readonly traceId: string;
}

/** Methods that are usual; others are passed on too. */
const METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

/** Seconds after which a client may try again, on answers that say "not now". */
const RETRY_AFTER_S = 1;

/**
 * The structured answer to a failure; the cause never appears in it. `version`: field name and value that say which
 * upstream it is about, once an arm was picked. `asked`: fields of the request; a gRPC caller gets a status of its own kind.
 */
export function localReply(
  kind: FailureKind,
  { requestId, traceId }: ReplyNames,
  version: readonly [string, string] | null,
  asked: RawHeaders,
): LocalReply {
  const { status, code, message } = FAILURES[kind];
  if (isGrpc(headerValue(asked, "content-type"))) {
    const fields = [...grpcLocalFields(kind, message, requestId), ...(version ?? [])];
    return { head: localAnswer(200, "OK", fields), body: [] };
  }
  const body = Buffer.from(`${JSON.stringify({ error: { code, message, requestId, traceId } })}\n`);
  const headers = [
    "content-type",
    "application/json; charset=utf-8",
    "content-length",
    String(body.length),
    "cache-control",
    "no-store",
    "x-crossfade-error",
    code,
    "x-request-id",
    requestId,
  ];
  if (version !== null) headers.push(...version);
  if (status === 503) headers.push("retry-after", String(RETRY_AFTER_S));
  if (status === 405) headers.push("allow", METHODS);
  return { head: localAnswer(status, STATUS_CODES[status] ?? "", headers), body: [body] };
}

/** The answer to an OPTIONS request that may go no further. */
export function optionsReply(requestId: string): LocalReply {
  return {
    head: localAnswer(200, "OK", ["allow", METHODS, "content-length", "0", "x-request-id", requestId]),
    body: [],
  };
}

/** The same as bytes on a connection that is closed afterwards: for what was no request, and for refused upgrades. */
export function localReplyBytes(kind: FailureKind, names: ReplyNames): Buffer {
  const { head, body } = localReply(kind, names, null, NO_FIELDS);
  const extra = `date: ${httpDate()}\r\nconnection: close\r\n`;
  return Buffer.concat([Buffer.from(answerHeadText(head, extra), "latin1"), ...(body as readonly Buffer[])]);
}

const NO_FIELDS: RawHeaders = [];
