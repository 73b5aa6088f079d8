import type { RawHeaders, ResponseHead } from "./exchange-types.ts";
import { FieldTable } from "./field-table.ts";
import { headerValue, HOP_BY_HOP, isNamed, joinedHeader, listHasToken } from "./headers.ts";
import { connectionNamed, isControlHeader } from "./outgoing.ts";

/** What the road adds to an answer before the client sees it. */
export interface AnswerAdditions {
  readonly versionHeader: string;
  readonly servedBy: string;
  readonly requestId: string;
  /** A Set-Cookie value that pins a caller to a key; null when none is due. */
  readonly mintedCookie: string | null;
}

const NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
// eslint-disable-next-line no-control-regex -- this is the very set of bytes that a field value may not hold
const BAD_VALUE = /[^\t\x20-\x7e\x80-\xff]/;

/** Why an answer cannot be passed on; null when it can. */
export function answerProblem(head: ResponseHead): string | null {
  if (!Number.isInteger(head.status) || head.status < 100 || head.status > 999) return `status ${head.status}`;
  const { headers } = head;
  for (let i = 0; i < headers.length; i += 2) {
    if (!NAME.test(headers[i] as string)) return "a field name that is not a token";
    if (BAD_VALUE.test(headers[i + 1] as string)) return `control characters in ${headers[i] as string}`;
  }
  return null;
}

/** True when an answer to this method with this status has no body, whatever its fields say (RFC 9112 §6.3). */
export function isBodyless(method: string, status: number): boolean {
  return method === "HEAD" || status === 204 || status === 304 || status === 205;
}

/** Header fields of an interim answer for the client: hop-by-hop fields removed; null when it cannot be passed on. */
export function interimHeaders(head: ResponseHead): string[] | null {
  return answerProblem(head) === null ? endToEnd(head, "", true) : null;
}

/** Header fields of a final answer for the client: end-to-end fields in order and case, then ours. */
export function answerHeaders(head: ResponseHead, add: AnswerAdditions): string[] {
  const out = endToEnd(head, add.versionHeader, false);
  if (head.status === 205) out.push("content-length", "0");
  out.push(add.versionHeader, add.servedBy, "x-request-id", add.requestId);
  if (add.mintedCookie !== null) pushCookie(out, add.mintedCookie);
  return out;
}

/** Reason phrases are free text: what cannot be sent is replaced by nothing. */
export function safeReason(reason: string): string {
  return BAD_VALUE.test(reason) ? "" : reason;
}

/** `ownField` is one that we write ourselves, besides x-request-id, which an interim answer keeps. */
function endToEnd(head: ResponseHead, ownField: string, interim: boolean): string[] {
  const out: string[] = [];
  const { headers } = head;
  const named = connectionNamed(joinedHeader(headers, "connection"));
  let keepsLength = interim || (head.status !== 204 && head.status !== 205);
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i] as string;
    const field = FIELDS.numberOf(name);
    if (field === DROPPED || (field === REQUEST_ID && !interim)) continue;
    if (named !== null && named.has(name.toLowerCase())) continue;
    if (name.length === ownField.length && name.toLowerCase() === ownField.toLowerCase()) continue;
    if (field === CONTENT_LENGTH) {
      if (!keepsLength) continue;
      // The upstream engine has made sure that repeats agree; one is enough.
      keepsLength = false;
    }
    out.push(name, headers[i + 1] as string);
  }
  return out;
}

const DROPPED = 1;
const REQUEST_ID = 2;
const CONTENT_LENGTH = 3;
const FIELDS = new FieldTable([
  ...[...HOP_BY_HOP].map((name) => [name, DROPPED] as const),
  ["x-request-id", REQUEST_ID],
  ["content-length", CONTENT_LENGTH],
]);

/**
 * A shared cache that stores an answer with our cookie would pin everybody to one key, so the answer becomes private.
 * An answer that says it is for shared caches keeps its word and carries no cookie: the caller is pinned by a later one.
 */
function pushCookie(out: string[], cookie: string): void {
  const control = joinedHeader(out, "cache-control");
  if (control !== null && isForSharedCaches(control)) return;
  if (!listHasToken(control, "no-store") && !listHasToken(control, "private")) privatise(out);
  out.push("set-cookie", cookie);
}

function isForSharedCaches(control: string): boolean {
  return listHasToken(control, "public") || /(?:^|,)\s*s-maxage\s*=/i.test(control);
}

function privatise(out: string[]): void {
  for (let i = 0; i < out.length; i += 2) {
    if (!isNamed(out[i] as string, "cache-control")) continue;
    out[i + 1] = `private, ${out[i + 1] as string}`;
    return;
  }
  out.push("cache-control", "private");
}

/** Trailer fields that may be passed on: nothing that frames, routes or authorises (RFC 9110 §6.5.1). */
export function safeTrailers(trailers: RawHeaders | null): RawHeaders | null {
  if (trailers === null) return null;
  const out: string[] = [];
  for (let i = 0; i < trailers.length; i += 2) {
    const lower = (trailers[i] as string).toLowerCase();
    if (
      isControlHeader(lower) ||
      HOP_BY_HOP.has(lower) ||
      FORBIDDEN_TRAILERS.has(lower) ||
      !NAME.test(lower) ||
      BAD_VALUE.test(trailers[i + 1] as string)
    )
      continue;
    out.push(trailers[i] as string, trailers[i + 1] as string);
  }
  return out.length === 0 ? null : out;
}

/** True when an answer says that its connection ends with it. */
export function closesConnection(head: ResponseHead): boolean {
  return listHasToken(headerValue(head.headers, "connection"), "close");
}

const FORBIDDEN_TRAILERS: ReadonlySet<string> = new Set([
  "content-length",
  "content-encoding",
  "content-type",
  "content-range",
  "host",
  "authorization",
  "cookie",
  "set-cookie",
  "cache-control",
  "expect",
  "max-forwards",
  "range",
  "location",
  "retry-after",
  "via",
  "x-request-id",
]);
