import { ROUTE_WORDS, THREAD_WORDS } from "../base/cells.ts";
import { FAILURES, failure, type Failure, type FailureKind } from "../base/failure.ts";
import { answerProblem, outgoingAnswer } from "../model/answer.ts";
import { fieldsFromText } from "../model/field-lines.ts";
import type { Decision } from "../model/decide.ts";
import type { RequestFacts, RequestHead, ResponseHead } from "../model/exchange-types.ts";
import { joinedHeader } from "../model/headers.ts";
import { asksForWebSocket, readFacts } from "../model/request-facts.ts";
import { outcomeOfStatus } from "../transport/call-report.ts";
import { lingerClose } from "../transport/connection-facts.ts";
import { openTunnel, type Tunnel, type TunnelEvents } from "../transport/websocket-tunnel.ts";
import type { TunnelPlace } from "../transport/upstream-pool.ts";
import type { Socket } from "node:net";
import { findPlan, judge, pickArm, requestFields } from "./handle.ts";
import { identify, stranger, type Identity } from "./identify.ts";
import { localReplyBytes } from "./local-reply.ts";
import { mintedCookie } from "./minted-cookie.ts";
import { enter, type Entrant } from "./enter.ts";
import { NO_TICKET } from "./gate.ts";
import { now } from "./road-clock.ts";
import type { CallOutcome } from "../policy/circuit-cell.ts";
import { isShed } from "../policy/overload.ts";
import type { BoundArm } from "./bound-arm.ts";
import { hold, release, type BoundSnapshot, type Plan } from "./plan.ts";
import { add, countExchange, recordDecision, logExchange, recordShed, recordStart, type Finished } from "./record.ts";
import type { Road } from "./road.ts";

/** 16 bytes in base64, as RFC 6455 §4.1 wants the key. */
const WEBSOCKET_KEY = /^[A-Za-z0-9+/]{21}[AQgw]==$/;

/** True when a head asks for a WebSocket; every other upgrade is stripped and served as a plain request. */
export function wantsTunnel(head: RequestHead): boolean {
  // HTTP/1.0 knows no Upgrade: it is ignored there (RFC 9110 §7.8).
  if (head.minorVersion === 0) return false;
  const facts = readFacts(head);
  return typeof facts !== "string" && asksForWebSocket(facts, head.method);
}

/** The road of an upgrade: the same judgement, route and arm as any request, then a tunnel instead of an attempt. */
export function handleUpgrade(road: Road, head: RequestHead, socket: Socket, early: Buffer): void {
  const upgrade = new Upgrade(road, hold(road.current), head, socket);
  const facts = judge(head, upgrade.bound);
  if (typeof facts === "string") {
    upgrade.refuse(facts);
    return;
  }
  const who = identify(head, facts, upgrade.bound);
  upgrade.who = who;
  const plan = findPlan(upgrade.bound, head, facts);
  if (plan === null) upgrade.refuse("no-route");
  else if (!WEBSOCKET_KEY.test(joinedHeader(head.headers, "sec-websocket-key") ?? ""))
    upgrade.refuse("malformed-request");
  else if (isShed(plan.route.priority, road.overload.stage)) upgrade.shed(plan);
  else upgrade.open(plan, pickArm(road, plan, head, facts, who), facts, early);
}

/** One upgrade with its tunnel; counted as an exchange when its answer is decided and as open until it closes, which is when it is logged. */
class Upgrade implements Finished, TunnelEvents, Entrant {
  readonly road: Road;
  readonly bound: BoundSnapshot;
  readonly head: RequestHead;
  readonly startedMs: number;
  endedMs = 0;
  readonly lane = "upgrade";
  readonly attempts = 1;
  bytesIn = 0;
  bytesOut = 0;
  who: Identity | null = null;
  plan: Plan | null = null;
  decision: Decision | null = null;
  arm: BoundArm | null = null;
  ticket = NO_TICKET;
  readonly fallback = null;
  readonly localCells = null;
  status = 0;
  servedBy: string | null = null;
  failure: Failure | null = null;
  upstreamMs: number | null = null;
  readonly #socket: Socket;
  #tunnel: Tunnel | null = null;
  #open = false;
  #recorded = false;
  #reported = false;
  #place: TunnelPlace | null = null;
  #over = false;

  constructor(road: Road, bound: BoundSnapshot, head: RequestHead, socket: Socket) {
    this.road = road;
    this.bound = bound;
    this.head = head;
    this.#socket = socket;
    this.startedMs = now(road);
    road.inFlight++;
  }

  open(plan: Plan, decision: Decision, facts: RequestFacts, early: Buffer): void {
    const refusal = enter(this, plan, decision, this.startedMs);
    recordStart(plan);
    recordDecision(plan, this.decision ?? decision);
    if (refusal !== null) {
      this.refuse(refusal);
      return;
    }
    const { snapshot } = this.bound;
    const headers = fieldsFromText(requestFields(this.head, facts, plan, this.who as Identity, this.bound));
    headers.push("connection", "upgrade", "upgrade", "websocket");
    const { upstream } = this.arm as BoundArm;
    this.#place = upstream.takeEndpoint();
    if (this.#place === null) {
      this.refuse("circuit-open");
      return;
    }
    const endpoint = this.#place.spec;
    const idleTimeoutMs = snapshot.downstream.tunnelIdleTimeoutMs;
    const ask = { upstream: upstream.spec, endpoint, target: facts.target.forward, headers, idleTimeoutMs };
    this.#tunnel = openTunnel(ask, this.#socket, early, this.road.deadlines, this);
    this.road.tunnels.add(this.#tunnel);
  }

  /** There is no room for this route now. */
  shed(plan: Plan): void {
    recordShed(plan);
    this.refuse("overloaded");
  }

  refuse(kind: FailureKind): void {
    const socket = this.#socket;
    socket.on("error", () => socket.destroy());
    socket.write(this.onFailure(failure(kind)));
    // A client that never ends its own side must not hold the connection.
    lingerClose(socket, this.road.deadlines);
    this.onClosed(0, 0);
  }

  onOpen(head: ResponseHead): readonly string[] {
    this.#report("success");
    this.#open = true;
    this.#countOpen(1);
    return this.#answered(head);
  }

  onRefused(head: ResponseHead): readonly string[] {
    this.#report(outcomeOfStatus(head.status));
    return this.#answered(head);
  }

  onFailure(why: Failure): Buffer {
    this.#report(FAILURES[why.kind].fault === "upstream" ? "failure" : "cancelled");
    this.failure = why;
    this.status = FAILURES[why.kind].status;
    this.who ??= stranger(this.head);
    this.#record();
    return localReplyBytes(why.kind, this.who);
  }

  onClosed(bytesIn: number, bytesOut: number): void {
    if (this.#over) return;
    this.#over = true;
    this.road.inFlight--;
    this.#report("cancelled");
    if (this.#tunnel !== null) this.road.tunnels.delete(this.#tunnel);
    if (this.#open) {
      this.#countOpen(-1);
      this.bytesIn = bytesIn;
      this.bytesOut = bytesOut;
      this.endedMs = this.road.clock.nowMs();
      logExchange(this);
    }
    if (!this.#recorded) {
      this.failure = failure("client-gone");
      this.status = FAILURES["client-gone"].status;
      this.#record();
    }
    release(this.bound);
  }

  #answered(head: ResponseHead): readonly string[] {
    this.status = head.status;
    this.servedBy = (this.arm as BoundArm).upstream.name;
    this.upstreamMs = this.road.clock.nowMs() - this.startedMs;
    this.#record();
    const { route } = this.plan as Plan;
    const answer = answerProblem(head) === null ? head : { ...head, headers: [] };
    const { fields } = outgoingAnswer(answer, {
      versionHeader: route.versionHeader,
      servedBy: (this.arm as BoundArm).upstream.name,
      requestId: (this.who as Identity).requestId,
      fallback: null,
      mintedCookie: mintedCookie(route.split, this.decision, this.head.encrypted),
    });
    return fieldsFromText(fields);
  }

  #record(): void {
    if (this.#recorded) return;
    this.#recorded = true;
    this.endedMs = this.road.clock.nowMs();
    countExchange(this);
    if (!this.#open) logExchange(this);
  }

  /** Tells the circuits how asking for the tunnel went, once. */
  #report(outcome: CallOutcome): void {
    if (this.#reported || this.arm === null) return;
    this.#reported = true;
    const nowMs = now(this.road);
    this.arm.gate?.circuit?.report(this.ticket, outcome, false, nowMs);
    this.#place?.circuit?.report(this.#place.ticket, outcome, false, nowMs);
  }

  #countOpen(change: 1 | -1): void {
    add((this.plan as Plan).cells, ROUTE_WORDS.upgradesOpen, change);
    add(this.road.threadCells, THREAD_WORDS.upgradesOpen, change);
  }
}
