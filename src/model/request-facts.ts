import type { FailureKind } from "../base/failure.ts";
import type { BodyFraming, RequestFacts, RequestHead } from "./exchange-types.ts";
import { listHasToken } from "./headers.ts";
import { parseTarget, type Target } from "./target.ts";

const HOST = /^(?:[A-Za-z0-9._~%!$&'()*+;=-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{0,5})?$/;
const DIGITS = /^[0-9]{1,15}$/;

/**
 * Reads and judges a head. A string is the kind of failure to answer with: framing that two parsers could read
 * differently is refused here, whatever the parser below let through (RFC 9112 §3.2, §6.1, §6.3).
 */
export function readFacts(head: RequestHead): RequestFacts | FailureKind {
  if (head.majorVersion !== 1) return "version-refused";
  if (head.method === "TRACE") return "method-refused";
  const seen = collect(head);
  const target = parseTarget(head.target, head.method);
  if (target === null) return "bad-target";
  if (!hostIsValid(seen, head.minorVersion, target)) return "bad-host";
  const body = framingOf(seen, head.minorVersion);
  if (typeof body === "string") return body;
  return {
    target,
    authority: target.authority ?? seen.host,
    body,
    connection: seen.connection,
    upgrade: seen.upgrade,
    expect: seen.expect,
    te: seen.te,
    trailer: seen.trailer,
    via: seen.via,
    cookie: seen.cookie,
    maxForwards: seen.maxForwards,
    requestId: seen.requestIds === 1 ? seen.requestId : null,
    traceparent: seen.traceparents === 1 ? seen.traceparent : null,
    forwardedFor: seen.forwardedFor,
    forwardedProto: seen.forwardedProto,
    forwardedHost: seen.forwardedHost,
    forwardedPort: seen.forwardedPort,
  };
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
  if (method !== "OPTIONS" || facts.maxForwards === null || !DIGITS.test(facts.maxForwards)) return null;
  return Number(facts.maxForwards);
}

class Seen {
  host: string | null = null;
  hosts = 0;
  length: string | null = null;
  lengths = 0;
  coding: string | null = null;
  connection: string | null = null;
  upgrade: string | null = null;
  expect: string | null = null;
  te: string | null = null;
  trailer: string | null = null;
  via: string | null = null;
  cookie: string | null = null;
  maxForwards: string | null = null;
  requestId: string | null = null;
  requestIds = 0;
  traceparent: string | null = null;
  traceparents = 0;
  forwardedFor: string | null = null;
  forwardedProto: string | null = null;
  forwardedHost: string | null = null;
  forwardedPort: string | null = null;
}

// Long on purpose: one pass, one switch. Bench: bench/micro/head.ts.
function collect(head: RequestHead): Seen {
  const seen = new Seen();
  const { headers } = head;
  for (let i = 0; i < headers.length; i += 2) {
    const value = headers[i + 1] as string;
    switch ((headers[i] as string).toLowerCase()) {
      case "host":
        seen.host = value;
        seen.hosts++;
        break;
      case "content-length":
        seen.length = value;
        seen.lengths++;
        break;
      case "transfer-encoding":
        seen.coding = listed(seen.coding, value);
        break;
      case "connection":
        seen.connection = listed(seen.connection, value);
        break;
      case "upgrade":
        seen.upgrade = listed(seen.upgrade, value);
        break;
      case "expect":
        seen.expect = listed(seen.expect, value);
        break;
      case "te":
        seen.te = listed(seen.te, value);
        break;
      case "trailer":
        seen.trailer = listed(seen.trailer, value);
        break;
      case "via":
        seen.via = listed(seen.via, value);
        break;
      case "cookie":
        seen.cookie = seen.cookie === null ? value : `${seen.cookie}; ${value}`;
        break;
      case "max-forwards":
        seen.maxForwards = value;
        break;
      case "x-request-id":
        seen.requestId = value;
        seen.requestIds++;
        break;
      case "traceparent":
        seen.traceparent = value;
        seen.traceparents++;
        break;
      case "x-forwarded-for":
        seen.forwardedFor = listed(seen.forwardedFor, value);
        break;
      case "x-forwarded-proto":
        seen.forwardedProto ??= value;
        break;
      case "x-forwarded-host":
        seen.forwardedHost ??= value;
        break;
      case "x-forwarded-port":
        seen.forwardedPort ??= value;
        break;
      default:
        break;
    }
  }
  return seen;
}

function listed(list: string | null, value: string): string {
  return list === null ? value : `${list}, ${value}`;
}

function hostIsValid(seen: Seen, minorVersion: number, target: Target): boolean {
  if (seen.hosts > 1 || (seen.hosts === 0 && minorVersion >= 1)) return false;
  if (target.authority !== null && !HOST.test(target.authority)) return false;
  return seen.host === null || HOST.test(seen.host);
}

function framingOf(seen: Seen, minorVersion: number): BodyFraming | FailureKind {
  if (seen.coding !== null) return codingOf(seen, minorVersion);
  if (seen.lengths === 0) return { kind: "none" };
  if (seen.lengths > 1 || seen.length === null || !DIGITS.test(seen.length)) return "bad-framing";
  return { kind: "length", length: Number(seen.length) };
}

function codingOf(seen: Seen, minorVersion: number): BodyFraming | FailureKind {
  if (minorVersion === 0 || seen.lengths > 0) return "bad-framing";
  const codings = (seen.coding as string).toLowerCase();
  if (codings === "chunked") return { kind: "chunked" };
  return /^[a-z]+[ \t]*,[ \t]*chunked$/.test(codings) && !codings.startsWith("chunked")
    ? "coding-refused"
    : "bad-framing";
}
