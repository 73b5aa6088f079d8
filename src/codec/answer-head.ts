import type { BodyFraming, ResponseHead } from "../model/exchange-types.ts";
import { numberFromDigits } from "../model/decimal.ts";
import { FieldTable } from "../model/field-table.ts";
import { listHasToken } from "../model/headers.ts";
import { cutFields, FIELD_LINES, fieldProblem, TEXT } from "./fields.ts";

/** An answer's head and what it means for the connection that it came over. */
export interface AnswerHead {
  readonly head: ResponseHead;
  readonly minorVersion: number;
  readonly framing: AnswerFraming;
  readonly keepsAlive: boolean;
  /** From `Keep-Alive: timeout=N`, in ms; null when not announced. */
  readonly keepAliveTimeoutMs: number | null;
}

/** How an answer's body is delimited: as a request's, or by the end of the connection. */
export type AnswerFraming = BodyFraming | { readonly kind: "until-close" };

const NONE: AnswerFraming = { kind: "none" };
const CHUNKED: AnswerFraming = { kind: "chunked" };
const UNTIL_CLOSE: AnswerFraming = { kind: "until-close" };
const ANSWER_HEAD = new RegExp(`HTTP/1\\.[01] [1-9][0-9]{2}(?: ${TEXT})?${FIELD_LINES}`, "y");
const STATUS_LINE = new RegExp(`HTTP/1\\.[01] [1-9][0-9]{2}(?: ${TEXT})?(?=\\r\\n)`, "y");
const STATUS_LINE_LENGTH = "HTTP/1.1 200".length;
const HEAD_END_LENGTH = 4;
const ZERO = 48;

/**
 * Parses the answer head in text[start, end), `end` = index of its `\r\n\r\n`, to a request of `method`; one character
 * per byte. A string = why it is refused. Framing as in RFC 9112 §6.3, refusing whatever two parsers could read
 * differently; a coding other than `chunked` alone is refused too.
 */
export function parseAnswerHead(text: string, start: number, end: number, method: string): AnswerHead | string {
  ANSWER_HEAD.lastIndex = start;
  if (!ANSWER_HEAD.test(text) || ANSWER_HEAD.lastIndex !== end + HEAD_END_LENGTH) return headProblem(text, start, end);
  const reasonStart = start + STATUS_LINE_LENGTH + 1;
  const lineEnd = text.indexOf("\r\n", reasonStart - 1);
  const headers: string[] = [];
  const starts: number[] = [];
  if (!cutFields(text, lineEnd + 2, end, headers, starts)) return headProblem(text, start, end);
  const reason = text.slice(reasonStart, lineEnd);
  const head: ResponseHead = { status: statusAt(text, start + 9), reason, headers, lines: { text, starts } };
  return framed(head, text.charCodeAt(start + 7) - ZERO, method);
}

function headProblem(text: string, start: number, end: number): string {
  STATUS_LINE.lastIndex = start;
  if (!STATUS_LINE.test(text)) return "a malformed status line";
  return fieldProblem(text, text.indexOf("\r\n", start) + 2, end);
}

function statusAt(text: string, at: number): number {
  const tens = text.charCodeAt(at) * 10 + text.charCodeAt(at + 1);
  return tens * 10 + text.charCodeAt(at + 2) - ZERO * 111;
}

/** Fields that say where an answer ends and what becomes of its connection. */
class Seen {
  length: string | null = null;
  lengthsDiffer = false;
  coding: string | null = null;
  codings = 0;
  connection: string | null = null;
  keepAlive: string | null = null;
}

const CONTENT_LENGTH = 1;
const TRANSFER_ENCODING = 2;
const CONNECTION = 3;
const KEEP_ALIVE = 4;
const FIELDS = new FieldTable([
  ["content-length", CONTENT_LENGTH],
  ["transfer-encoding", TRANSFER_ENCODING],
  ["connection", CONNECTION],
  ["keep-alive", KEEP_ALIVE],
]);

function framed(head: ResponseHead, minorVersion: number, method: string): AnswerHead | string {
  const seen = collect(head);
  const framing = framingOf(seen, head.status, minorVersion, method);
  if (typeof framing === "string") return framing;
  const keepsAlive = framing.kind !== "until-close" && connectionStays(seen.connection, minorVersion);
  return { head, minorVersion, framing, keepsAlive, keepAliveTimeoutMs: timeoutMsFrom(seen.keepAlive) };
}

function collect(head: ResponseHead): Seen {
  const seen = new Seen();
  const { headers } = head;
  for (let i = 0; i < headers.length; i += 2) {
    const field = FIELDS.numberOf(headers[i] as string);
    if (field !== 0) note(seen, field, headers[i + 1] as string);
  }
  return seen;
}

function note(seen: Seen, field: number, value: string): void {
  switch (field) {
    case CONTENT_LENGTH:
      if (seen.length !== null && seen.length !== value) seen.lengthsDiffer = true;
      seen.length = value;
      break;
    case TRANSFER_ENCODING:
      seen.coding = value;
      seen.codings++;
      break;
    case CONNECTION:
      seen.connection = seen.connection === null ? value : `${seen.connection}, ${value}`;
      break;
    default:
      seen.keepAlive = value;
      break;
  }
}

function framingOf(seen: Seen, status: number, minorVersion: number, method: string): AnswerFraming | string {
  const length = seen.length === null ? 0 : numberFromDigits(seen.length);
  if (seen.lengthsDiffer) return "lengths that differ";
  if (length === -1) return "a malformed length";
  if (seen.length !== null && seen.coding !== null) return "a length and a transfer coding";
  if (seen.coding === "") return "an empty transfer coding";
  if (status < 200 || status === 204 || status === 304 || method === "HEAD") return NONE;
  if (seen.coding !== null) return codingOf(seen, minorVersion);
  return seen.length === null ? UNTIL_CLOSE : { kind: "length", length };
}

function codingOf(seen: Seen, minorVersion: number): AnswerFraming | string {
  if (minorVersion === 0) return "a transfer coding in HTTP/1.0";
  if (seen.codings === 1 && (seen.coding === "chunked" || seen.coding?.toLowerCase() === "chunked")) return CHUNKED;
  return "a transfer coding other than chunked";
}

function connectionStays(connection: string | null, minorVersion: number): boolean {
  if (connection === null) return minorVersion === 1;
  // What nearly every answer says, without taking a list apart.
  if (connection === "keep-alive") return true;
  if (listHasToken(connection, "close")) return false;
  return minorVersion === 1 || listHasToken(connection, "keep-alive");
}

function timeoutMsFrom(keepAlive: string | null): number | null {
  if (keepAlive === null) return null;
  const alone = keepAlive.startsWith("timeout=") ? numberFromDigits(keepAlive.slice(8)) : -1;
  if (alone !== -1) return alone * 1_000;
  const found = /(?:^|[,; \t])timeout[ \t]*=[ \t]*"?([0-9]{1,15})(?![0-9])/i.exec(keepAlive);
  return found === null ? null : Number(found[1]) * 1_000;
}
