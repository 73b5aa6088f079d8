import type { FailureKind } from "../base/failure.ts";
import type { BodyFraming, RequestFacts, RequestHead } from "./exchange-types.ts";
import { numberFromDigits } from "./decimal.ts";
import { FieldTable } from "./field-table.ts";
import { listHasToken } from "./headers.ts";
import { parseTarget, type Target } from "./target.ts";

const HOST = /^(?:[A-Za-z0-9._~%!$&'()*+;=-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{0,5})?$/;

/**
 * Reads and judges a head. A string is the kind of failure to answer with: framing that two parsers could read
 * differently is refused here, whatever the parser below let through (RFC 9112 §3.2, §6.1, §6.3).
 */
export function readFacts(head: RequestHead): RequestFacts | FailureKind {
  if (head.majorVersion !== 1) return "version-refused";
  if (head.method === "TRACE") return "method-refused";
  const target = parseTarget(head.target, head.method);
  if (target === null) return "bad-target";
  const framing = new Framing();
  const facts = collect(head, target, framing);
  if (!hostIsValid(framing, head.minorVersion, target)) return "bad-host";
  const body = framingOf(framing, head.minorVersion);
  if (typeof body === "string") return body;
  facts.body = body;
  facts.authority = target.authority ?? framing.host;
  return facts;
}

/** True when `Connection` asks for an upgrade and `Upgrade` names WebSocket on a plain GET. */
export function asksForWebSocket(facts: RequestFacts, method: string): boolean {
  return namesWebSocket(facts) && method === "GET" && facts.body.kind === "none";
}

/** True when a request asks for WebSocket that cannot: another method than GET, or one with a body (RFC 6455 §4.1). */
export function misusesWebSocket(facts: RequestFacts, head: RequestHead): boolean {
  if (facts.upgrade === null || head.minorVersion === 0) return false;
  return namesWebSocket(facts) && (head.method !== "GET" || facts.body.kind !== "none");
}

function namesWebSocket(facts: RequestFacts): boolean {
  if (facts.upgrade === null || facts.upgrade.trim().toLowerCase() !== "websocket") return false;
  return listHasToken(facts.connection, "upgrade");
}

/** Hops that an OPTIONS request may still take (RFC 9110 §7.6.2); null when it is not limited. */
export function hopsLeft(facts: RequestFacts, method: string): number | null {
  if (method !== "OPTIONS" || facts.maxForwards === null) return null;
  const hops = numberFromDigits(facts.maxForwards);
  return hops === -1 ? null : hops;
}

/** Fields that say where a message goes and where it ends, with their repeats. */
class Framing {
  host: string | null = null;
  hosts = 0;
  length: string | null = null;
  lengths = 0;
  coding: string | null = null;
}

type Reading = { -readonly [Key in keyof RequestFacts]: RequestFacts[Key] };

const NONE: BodyFraming = { kind: "none" };
const CHUNKED: BodyFraming = { kind: "chunked" };

// The numbers of the fields that `collect` looks for.
const F_HOST = 1;
const F_CONTENT_LENGTH = 2;
const F_TRANSFER_ENCODING = 3;
const F_CONNECTION = 4;
const F_UPGRADE = 5;
const F_EXPECT = 6;
const F_TE = 7;
const F_TRAILER = 8;
const F_VIA = 9;
const F_COOKIE = 10;
const F_MAX_FORWARDS = 11;
const F_REQUEST_ID = 12;
const F_TRACEPARENT = 13;
const F_FORWARDED_FOR = 14;
const F_FORWARDED_PROTO = 15;
const F_FORWARDED_HOST = 16;
const F_FORWARDED_PORT = 17;

const FIELDS = new FieldTable([
  ["host", F_HOST],
  ["content-length", F_CONTENT_LENGTH],
  ["transfer-encoding", F_TRANSFER_ENCODING],
  ["connection", F_CONNECTION],
  ["upgrade", F_UPGRADE],
  ["expect", F_EXPECT],
  ["te", F_TE],
  ["trailer", F_TRAILER],
  ["via", F_VIA],
  ["cookie", F_COOKIE],
  ["max-forwards", F_MAX_FORWARDS],
  ["x-request-id", F_REQUEST_ID],
  ["traceparent", F_TRACEPARENT],
  ["x-forwarded-for", F_FORWARDED_FOR],
  ["x-forwarded-proto", F_FORWARDED_PROTO],
  ["x-forwarded-host", F_FORWARDED_HOST],
  ["x-forwarded-port", F_FORWARDED_PORT],
]);

// Long on purpose: one pass, one switch. Bench: bench/micro/head.ts.
function collect(head: RequestHead, target: Target, framing: Framing): Reading {
  const facts: Reading = {
    target,
    authority: null,
    body: NONE,
    connection: null,
    upgrade: null,
    expect: null,
    te: null,
    trailer: null,
    via: null,
    cookie: null,
    maxForwards: null,
    requestId: null,
    traceparent: null,
    forwardedFor: null,
    forwardedProto: null,
    forwardedHost: null,
    forwardedPort: null,
  };
  let requestIds = 0;
  let traceparents = 0;
  const { headers } = head;
  for (let i = 0; i < headers.length; i += 2) {
    const field = FIELDS.numberOf(headers[i] as string);
    if (field === 0) continue;
    const value = headers[i + 1] as string;
    switch (field) {
      case F_HOST:
        framing.host = value;
        framing.hosts++;
        break;
      case F_CONTENT_LENGTH:
        framing.length = value;
        framing.lengths++;
        break;
      case F_TRANSFER_ENCODING:
        framing.coding = listed(framing.coding, value);
        break;
      case F_CONNECTION:
        facts.connection = listed(facts.connection, value);
        break;
      case F_UPGRADE:
        facts.upgrade = listed(facts.upgrade, value);
        break;
      case F_EXPECT:
        facts.expect = listed(facts.expect, value);
        break;
      case F_TE:
        facts.te = listed(facts.te, value);
        break;
      case F_TRAILER:
        facts.trailer = listed(facts.trailer, value);
        break;
      case F_VIA:
        facts.via = listed(facts.via, value);
        break;
      case F_COOKIE:
        facts.cookie = facts.cookie === null ? value : `${facts.cookie}; ${value}`;
        break;
      case F_MAX_FORWARDS:
        facts.maxForwards = value;
        break;
      case F_REQUEST_ID:
        facts.requestId = ++requestIds === 1 ? value : null;
        break;
      case F_TRACEPARENT:
        facts.traceparent = ++traceparents === 1 ? value : null;
        break;
      case F_FORWARDED_FOR:
        facts.forwardedFor = listed(facts.forwardedFor, value);
        break;
      case F_FORWARDED_PROTO:
        facts.forwardedProto ??= value;
        break;
      case F_FORWARDED_HOST:
        facts.forwardedHost ??= value;
        break;
      case F_FORWARDED_PORT:
        facts.forwardedPort ??= value;
        break;
      default:
        break;
    }
  }
  return facts;
}

function listed(list: string | null, value: string): string {
  return list === null ? value : `${list}, ${value}`;
}

function hostIsValid(framing: Framing, minorVersion: number, target: Target): boolean {
  if (framing.hosts > 1 || (framing.hosts === 0 && minorVersion >= 1)) return false;
  if (target.authority !== null && !HOST.test(target.authority)) return false;
  return framing.host === null || HOST.test(framing.host);
}

function framingOf(framing: Framing, minorVersion: number): BodyFraming | FailureKind {
  if (framing.coding !== null) return codingOf(framing, minorVersion);
  if (framing.lengths === 0) return NONE;
  if (framing.lengths > 1 || framing.length === null) return "bad-framing";
  const length = numberFromDigits(framing.length);
  return length === -1 ? "bad-framing" : { kind: "length", length };
}

function codingOf(framing: Framing, minorVersion: number): BodyFraming | FailureKind {
  if (minorVersion === 0 || framing.lengths > 0) return "bad-framing";
  if (framing.coding === "chunked") return CHUNKED;
  const codings = (framing.coding as string).toLowerCase();
  if (codings === "chunked") return CHUNKED;
  return /^[a-z]+[ \t]*,[ \t]*chunked$/.test(codings) && !codings.startsWith("chunked")
    ? "coding-refused"
    : "bad-framing";
}
