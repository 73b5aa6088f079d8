import { shareInForce, decide, type Decision } from "../model/decide.ts";
import type { Downstream, OutgoingHead, RequestFacts, RequestHead } from "../model/exchange-types.ts";
import { hasPassedHere, outgoingFields } from "../model/outgoing.ts";
import { hopsLeft, misusesWebSocket, readFacts } from "../model/request-facts.ts";
import type { FailureKind } from "../base/failure.ts";
import { isShed } from "../policy/overload.ts";
import { Exchange } from "./exchange.ts";
import { identify, type Identity } from "./identify.ts";
import { randomHex } from "./ids.ts";
import { optionsReply } from "./local-reply.ts";
import { hold, type BoundSnapshot, type Plan } from "./plan.ts";
import { recordShed } from "./record.ts";
import type { Road } from "./road.ts";

/**
 * The road, from a head to an attempt. Read this first; `docs/life-of-a-request.md` has the same with every early exit.
 *
 *   accept → judge → identify → route → shed → pick → admit → open      then, in exchange.ts:  reply → recover → record
 *
 * The exchange takes one reference to one bound snapshot here and never looks again. A failure is a value: the exchange
 * answers it and the road ends.
 */
export function handle(road: Road, head: RequestHead, downstream: Downstream): Exchange {
  const bound = hold(road.current);
  const exchange = new Exchange(road, bound, head, downstream);
  const facts = judge(head, bound);
  if (typeof facts === "string") return exchange.refuse(facts);
  const who = identify(head, facts, bound);
  exchange.who = who;
  if (hopsLeft(facts, head.method) === 0) return exchange.replyWith(optionsReply(who.requestId));
  const plan = findPlan(bound, head, facts);
  if (plan === null) return exchange.refuse("no-route");
  if (isShed(plan.route.priority, road.overload.stage)) {
    recordShed(plan);
    return exchange.refuse("overloaded");
  }
  const refusal = exchange.picked(plan, pickArm(road, plan, head, facts, who));
  exchange.open(outgoingHead(head, facts, plan, who, bound), facts, refusal);
  return exchange;
}

/** Everything that makes a request unfit to be forwarded. */
export function judge(head: RequestHead, bound: BoundSnapshot): RequestFacts | FailureKind {
  if (head.headers.length > 2 * bound.snapshot.downstream.maxHeaders) return "header-too-large";
  const facts = head.facts ?? readFacts(head);
  if (typeof facts === "string") return facts;
  if (hasPassedHere(facts.via, bound.snapshot.viaName)) return "loop";
  if (misusesWebSocket(facts, head)) return "malformed-request";
  // HTTP/1.0 knows no Expect: it is ignored there (RFC 9110 §10.1.1).
  if (facts.expect !== null && head.minorVersion > 0 && !isContinue(facts.expect)) return "expectation-failed";
  return facts;
}

/** The plan of the first route that matches; null when none does. */
export function findPlan(bound: BoundSnapshot, head: RequestHead, facts: RequestFacts): Plan | null {
  const index = bound.table.match(head, facts.target, facts.authority);
  return index === -1 ? null : (bound.plans[index] as Plan);
}

/** Which arm serves, by the share in force at this instant. */
export function pickArm(road: Road, plan: Plan, head: RequestHead, facts: RequestFacts, who: Identity): Decision {
  const { cells, split } = plan.route;
  const word = Atomics.load(road.words, cells.word);
  const share = shareInForce(word, cells.epoch, plan.lastPpm, plan.lastKilled);
  plan.lastPpm = share.candidatePpm;
  plan.lastKilled = share.killed;
  const from = { head, cookie: facts.cookie, query: facts.target.query, clientIp: who.clientIp };
  return decide(split, share, from, road.random, mintKey);
}

function mintKey(): string {
  return randomHex(16);
}

function outgoingHead(
  head: RequestHead,
  facts: RequestFacts,
  plan: Plan,
  who: Identity,
  bound: BoundSnapshot,
): OutgoingHead {
  return {
    method: head.method,
    target: facts.target.forward,
    fields: requestFields(head, facts, plan, who, bound),
    body: facts.body,
    expectsContinue: head.minorVersion > 0 && facts.expect !== null && facts.body.kind !== "none",
    hasTrailers: facts.trailer !== null && facts.body.kind === "chunked",
    bodyFollowsLater: false,
  };
}

/** Field lines of a request as the plan's upstreams get it. */
export function requestFields(
  head: RequestHead,
  facts: RequestFacts,
  plan: Plan,
  who: Identity,
  bound: BoundSnapshot,
): string {
  const { requestId, traceparent, traceBegun, peerTrusted } = who;
  const { controlHeaders } = plan;
  const { viaName } = bound.snapshot;
  return outgoingFields(head, facts, { requestId, traceparent, traceBegun, peerTrusted, controlHeaders, viaName });
}

function isContinue(expect: string): boolean {
  return expect.trim().toLowerCase() === "100-continue";
}
