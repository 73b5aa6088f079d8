import type { RequestFacts, RequestHead } from "./exchange-types.ts";
import { withKeptLines } from "./field-lines.ts";
import { FieldTable } from "./field-table.ts";
import { HOP_BY_HOP, listHasToken } from "./headers.ts";
import { hopsLeft } from "./request-facts.ts";

/** What the road knows about the caller and adds to the request. */
export interface ForwardedFacts {
  /** The peer is in a trusted range: its x-forwarded-* are believed and extended. */
  readonly peerTrusted: boolean;
  readonly requestId: string;
  readonly traceparent: string;
  /** The trace begins here, so a tracestate that came belongs to none (Trace Context §3.4). */
  readonly traceBegun: boolean;
  /** Our name in Via, `1.1 NAME`. */
  readonly viaName: string;
  /** Lower-case x-crossfade-* names that override rules use; they alone survive. */
  readonly controlHeaders: ReadonlySet<string>;
}

/**
 * Header fields of a request as it goes upstream, as text: end-to-end fields in their order and case, then ours. The
 * client's `Connection` is obeyed before ours are added, so it cannot remove them. Framing fields are the engine's to add.
 */
export function outgoingFields(head: RequestHead, facts: RequestFacts, add: ForwardedFacts): string {
  const named = connectionNamed(facts.connection);
  const { headers } = head;
  let hops = "";
  const isKept = (index: number): boolean => {
    const name = headers[index] as string;
    const field = FIELDS.numberOf(name);
    if (field === DROPPED || (named !== null && named.has(name.toLowerCase()))) return false;
    if (field === MAX_FORWARDS) {
      hops = `${name}: ${oneHopLess(facts, head.method, headers[index + 1] as string)}\r\n`;
      return false;
    }
    if (field !== 0 && !isPassedOn(field, add)) return false;
    return !looksLikeControl(name) || isAllowedControl(name, add);
  };
  const host = facts.authority === null ? "" : `host: ${facts.authority}\r\n`;
  const theirs = withKeptLines(host, headers, head.lines, isKept) + hops;
  const te = facts.te !== null && listHasToken(facts.te, "trailers") ? "te: trailers\r\n" : "";
  const ids = `x-request-id: ${add.requestId}\r\ntraceparent: ${add.traceparent}\r\n`;
  return theirs + forwardedText(head, facts, add) + te + ids;
}

/** What a rule of its own is for. */
function isPassedOn(field: number, add: ForwardedFacts): boolean {
  if (field === TRACESTATE) return !add.traceBegun;
  // Only trusted proxies may say on whose behalf they ask.
  return field !== FORWARDED || add.peerTrusted;
}

function oneHopLess(facts: RequestFacts, method: string, value: string): string {
  const hops = hopsLeft(facts, method);
  return hops === null ? value : String(hops - 1);
}

/** Tells nearly every field from x-crossfade-* by its first and third letter. */
function looksLikeControl(name: string): boolean {
  return (name.charCodeAt(0) | 32) === LETTER_X && (name.charCodeAt(2) | 32) === LETTER_C;
}

function isAllowedControl(name: string, add: ForwardedFacts): boolean {
  const lower = name.toLowerCase();
  return !isControlHeader(lower) || add.controlHeaders.has(lower);
}

/** True for x-crossfade-*, also spelled with underscores, which some upstreams fold into the same name. */
export function isControlHeader(lowerName: string): boolean {
  return lowerName.startsWith("x") && lowerName.replaceAll("_", "-").startsWith("x-crossfade-");
}

/** Fields named by a Connection header, lower case; null when it names none beyond the usual. */
export function connectionNamed(connection: string | null): ReadonlySet<string> | null {
  if (connection === null || connection === "keep-alive" || connection === "close") return null;
  const names = new Set<string>();
  for (const token of connection.split(",")) names.add(token.trim().toLowerCase());
  return names;
}

/** True when our own Via is already there: the request goes in circles. */
export function hasPassedHere(via: string | null, viaName: string): boolean {
  if (via === null) return false;
  return via.split(",").some((hop) => hop.trim().split(/[ \t]+/)[1] === viaName);
}

function forwardedText(head: RequestHead, facts: RequestFacts, add: ForwardedFacts): string {
  const believed = add.peerTrusted;
  const before = believed ? facts.forwardedFor : null;
  const peer = before === null ? head.peerAddress : `${before}, ${head.peerAddress}`;
  const proto = (believed ? facts.forwardedProto : null) ?? (head.encrypted ? "https" : "http");
  const host = (believed ? facts.forwardedHost : null) ?? facts.authority;
  const hostText = host === null ? "" : `x-forwarded-host: ${host}\r\n`;
  const port = (believed ? facts.forwardedPort : null) ?? String(head.localPort);
  const hop = `${head.minorVersion === 0 ? "1.0" : "1.1"} ${add.viaName}`;
  const via = facts.via === null ? hop : `${facts.via}, ${hop}`;
  return `x-forwarded-for: ${peer}\r\nx-forwarded-proto: ${proto}\r\n${hostText}x-forwarded-port: ${port}\r\nvia: ${via}\r\n`;
}

/**
 * What an upstream is told of where a request was sent, out of field lines that `outgoingFields` made: host, and
 * x-forwarded-proto, -host and -port.
 */
export function originText(fields: string): string {
  // Behind the client's own fields, whose lines of these names are gone; see forwardedText.
  const end = fields.lastIndexOf("\r\nvia: ");
  const told = fields.slice(fields.lastIndexOf("\r\nx-forwarded-proto: ", end), end);
  return fields.startsWith("host: ") ? fields.slice(0, fields.indexOf("\r\n")) + told : told;
}

const DROPPED = 1;
const TRACESTATE = 2;
const FORWARDED = 3;
const MAX_FORWARDS = 4;
const LETTER_C = 99;
const LETTER_X = 120;

/** Fields that end here or that we write ourselves, and those with a rule of their own. */
const FIELDS = new FieldTable([
  ...[...HOP_BY_HOP].map((name) => [name, DROPPED] as const),
  ["host", DROPPED],
  ["content-length", DROPPED],
  ["expect", DROPPED],
  ["x-forwarded-for", DROPPED],
  ["x-forwarded-proto", DROPPED],
  ["x-forwarded-host", DROPPED],
  ["x-forwarded-port", DROPPED],
  ["x-request-id", DROPPED],
  ["traceparent", DROPPED],
  ["via", DROPPED],
  ["tracestate", TRACESTATE],
  ["forwarded", FORWARDED],
  ["max-forwards", MAX_FORWARDS],
]);
