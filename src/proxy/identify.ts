import type { RequestFacts, RequestHead } from "../model/exchange-types.ts";
import { isRequestId, newTraceparent, traceIdOf } from "../model/trace.ts";
import { randomHex } from "./ids.ts";
import type { BoundSnapshot } from "./plan.ts";

/** Who is calling, and under which names this exchange is logged. */
export interface Identity {
  readonly requestId: string;
  readonly traceparent: string;
  readonly traceId: string;
  /** The trace begins here: what the client sent of one was absent or not valid. */
  readonly traceBegun: boolean;
  readonly peerTrusted: boolean;
  /** The caller's address, looked up through trusted proxies. */
  readonly clientIp: string;
}

/** Keeps a valid request id and trace, makes new ones otherwise, and finds the caller's address. */
export function identify(head: RequestHead, facts: RequestFacts, bound: BoundSnapshot): Identity {
  const kept = facts.requestId !== null && isRequestId(facts.requestId) ? facts.requestId : null;
  const given = facts.traceparent === null ? null : traceIdOf(facts.traceparent);
  const hex = kept === null || given === null ? randomHex(40) : "";
  const traceId = given ?? hex.slice(32, 64);
  const peerTrusted = bound.isTrusted(head.peerAddress);
  return {
    requestId: kept ?? hex.slice(0, 32),
    traceparent: given === null ? newTraceparent(traceId, hex.slice(64, 80)) : (facts.traceparent as string),
    traceId,
    traceBegun: given === null,
    peerTrusted,
    clientIp: peerTrusted ? clientBehind(head.peerAddress, facts.forwardedFor, bound) : head.peerAddress,
  };
}

/** Names for an exchange whose head could not be read: its answer and its log line carry them all the same. */
export function stranger(head: RequestHead): Identity {
  const traceId = randomHex(16);
  return {
    requestId: randomHex(16),
    traceparent: newTraceparent(traceId, randomHex(8)),
    traceId,
    traceBegun: true,
    peerTrusted: false,
    clientIp: head.peerAddress,
  };
}

/** The rightmost address in X-Forwarded-For that no trusted proxy owns: what stands left of it is hearsay. */
function clientBehind(peer: string, forwardedFor: string | null, bound: BoundSnapshot): string {
  if (forwardedFor === null) return peer;
  const hops = forwardedFor.split(",").map((hop) => hop.trim());
  let client = peer;
  for (const hop of hops.toReversed()) {
    if (hop === "") continue;
    client = hop;
    if (!bound.isTrusted(hop)) break;
  }
  return client;
}
