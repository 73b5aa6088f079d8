import type { OutgoingAnswer, RawHeaders, ResponseHead } from "./exchange-types.ts";
import { fieldsFromText, textFromFields, withKeptLines } from "./field-lines.ts";
import { FieldTable } from "./field-table.ts";
import { headerValue, HOP_BY_HOP, isNamed, joinedHeader, listHasToken } from "./headers.ts";
import { connectionNamed, isControlHeader } from "./outgoing.ts";

/** What the road adds to an answer before the client sees it. */
export interface AnswerAdditions {
  readonly versionHeader: string;
  readonly servedBy: string;
  readonly requestId: string;
  /** What answered instead of the caller's arm; null = the arm did. */
  readonly fallback: string | null;
  /** A Set-Cookie value that pins a caller to a key; null when none is due. */
  readonly mintedCookie: string | null;
}

const NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
// eslint-disable-next-line no-control-regex -- this is the very set of bytes that a field value may not hold
const BAD_VALUE = /[^\t\x20-\x7e\x80-\xff]/;

/** Why an answer cannot be passed on; null when it can. */
export function answerProblem(head: ResponseHead): string | null {
  if (!Number.isInteger(head.status) || head.status < 100 || head.status > 999) return `status ${head.status}`;
  if (head.lines !== undefined) return null;
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
  if (answerProblem(head) !== null) return null;
  const named = connectionNamed(joinedHeader(head.headers, "connection"));
  const out: string[] = [];
  for (let i = 0; i < head.headers.length; i += 2) {
    const name = head.headers[i] as string;
    if (FIELDS.numberOf(name) !== DROPPED && named?.has(name.toLowerCase()) !== true) {
      out.push(name, head.headers[i + 1] as string);
    }
  }
  return out;
}

/** A final answer as the client gets it: end-to-end fields in order and case, then ours. */
export function outgoingAnswer(head: ResponseHead, add: AnswerAdditions): OutgoingAnswer {
  const kept = new KeptFields(head, add.versionHeader);
  const { headers } = head;
  const theirs = withKeptLines("", headers, head.lines, (index) => kept.isKept(index));
  const noLength = head.status === 205 ? "content-length: 0\r\n" : "";
  return {
    status: head.status,
    reason: safeReason(head),
    fields: `${add.mintedCookie === null ? theirs : withCookie(theirs, add.mintedCookie)}${noLength}${ownFields(add)}`,
    hasLength: kept.hasLength || head.status === 205,
    hasDate: kept.hasDate,
  };
}

/** What we write into every answer of a route, as text. */
export function ownFields({
  versionHeader,
  servedBy,
  requestId,
  fallback,
}: Omit<AnswerAdditions, "mintedCookie">): string {
  const own = `${versionHeader}: ${servedBy}\r\nx-request-id: ${requestId}\r\n`;
  return fallback === null ? own : `${own}${FALLBACK_HEADER}: ${fallback}\r\n`;
}

/**
 * The fields of an answer that hold in another exchange too, as text: end-to-end ones without length and age, which are
 * written anew, and without those that we write ourselves.
 */
export function lastingFields(head: ResponseHead, versionHeader: string): { fields: string; hasDate: boolean } {
  const kept = new KeptFields(head, versionHeader);
  const lasts = (index: number): boolean => !isOfOneExchange(head.headers[index] as string) && kept.isKept(index);
  return { fields: withKeptLines("", head.headers, head.lines, lasts), hasDate: kept.hasDate };
}

function isOfOneExchange(name: string): boolean {
  return isNamed(name, "content-length") || isNamed(name, "age") || isNamed(name, FALLBACK_HEADER);
}

/** Tells the client that a fallback answered, and which: `arm`, `stale`, `static` or `upstream`. */
export const FALLBACK_HEADER = "x-crossfade-fallback";

/** An answer of ours, from a flat list of fields. */
export function localAnswer(status: number, reason: string, headers: RawHeaders): OutgoingAnswer {
  const hasLength = headerValue(headers, "content-length") !== null;
  return { status, reason, fields: textFromFields(headers), hasLength, hasDate: headerValue(headers, "date") !== null };
}

/** Reason phrases are free text: what cannot be sent is replaced by nothing. */
function safeReason(head: ResponseHead): string {
  return head.lines === undefined && BAD_VALUE.test(head.reason) ? "" : head.reason;
}

/** Which fields of an answer go on, and what was among them. */
class KeptFields {
  hasLength = false;
  hasDate = false;
  readonly #headers: RawHeaders;
  readonly #named: ReadonlySet<string> | null;
  readonly #ownField: string;
  readonly #keepsLength: boolean;

  /** `ownField` is one that we write ourselves, besides x-request-id. */
  constructor(head: ResponseHead, ownField: string) {
    this.#headers = head.headers;
    this.#named = connectionNamed(joinedHeader(head.headers, "connection"));
    this.#ownField = ownField;
    this.#keepsLength = head.status !== 204 && head.status !== 205;
  }

  isKept(index: number): boolean {
    const name = this.#headers[index] as string;
    const field = FIELDS.numberOf(name);
    if (field === DROPPED || field === REQUEST_ID) return false;
    if (this.#named !== null && this.#named.has(name.toLowerCase())) return false;
    if (name.length === this.#ownField.length && isNamed(name, this.#ownField.toLowerCase())) return false;
    if (field === DATE) this.hasDate = true;
    if (field !== CONTENT_LENGTH) return true;
    // The upstream engine has made sure that repeats agree; one is enough.
    if (!this.#keepsLength || this.hasLength) return false;
    this.hasLength = true;
    return true;
  }
}

const DROPPED = 1;
const DATE = 2;
const CONTENT_LENGTH = 3;
const REQUEST_ID = 4;
const FIELDS = new FieldTable([
  ...[...HOP_BY_HOP].map((name) => [name, DROPPED] as const),
  ["date", DATE],
  ["x-request-id", REQUEST_ID],
  ["content-length", CONTENT_LENGTH],
]);

/**
 * A shared cache that stores an answer with our cookie would pin everybody to one key, so the answer becomes private.
 * An answer that says it is for shared caches keeps its word and carries no cookie: the caller is pinned by a later one.
 */
function withCookie(fields: string, cookie: string): string {
  const out = fieldsFromText(fields);
  const control = joinedHeader(out, "cache-control");
  if (control !== null && isForSharedCaches(control)) return fields;
  if (!listHasToken(control, "no-store") && !listHasToken(control, "private")) privatise(out);
  out.push("set-cookie", cookie);
  return textFromFields(out);
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
