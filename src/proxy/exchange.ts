import { RETRY_REASONS, ROUTE_WORDS } from "../base/cells.ts";
import { FAILURES, failure, type Failure, type FailureKind } from "../base/failure.ts";
import { answerProblem, interimHeaders, isBodyless, outgoingAnswer, safeTrailers } from "../model/answer.ts";
import type { Decision } from "../model/decide.ts";
import type {
  Attempt,
  AttemptInfo,
  ClientFault,
  Downstream,
  DownstreamEvents,
  OutgoingHead,
  Chunk,
  Lane,
  RawHeaders,
  RequestFacts,
  RequestHead,
  ResponseHead,
  ResponseSink,
} from "../model/exchange-types.ts";
import { headerValue, listHasToken } from "../model/headers.ts";
import type { Timed } from "../transport/deadlines.ts";
import { stranger, type Identity } from "./identify.ts";
import { localReply, optionsReply } from "./local-reply.ts";
import { mintedCookie } from "./minted-cookie.ts";
import { armFor, release, type BoundArm, type BoundSnapshot, type Plan } from "./plan.ts";
import { add, recordDecision, recordExchange, recordFirstByte, recordStart } from "./record.ts";
import { mayRetry } from "./recover.ts";
import type { Road } from "./road.ts";

/** How the client's side of an exchange stands. */
type Answered = "nothing" | "head" | "end" | "over";

/**
 * One downstream request with all its attempts. It is the sink of its attempt and hears the client; nothing else
 * changes it. It lives until the answer is sent or the client is gone, and holds its snapshot for that long.
 */
export class Exchange implements ResponseSink, DownstreamEvents, Timed {
  listIndex = -1;
  dueMs = 0;
  readonly road: Road;
  readonly bound: BoundSnapshot;
  readonly head: RequestHead;
  readonly startedMs: number;
  readonly lane: Lane;
  who: Identity | null = null;
  plan: Plan | null = null;
  decision: Decision | null = null;
  arm: BoundArm | null = null;
  /** 0 until the client has seen a status line. */
  status = 0;
  servedBy: string | null = null;
  failure: Failure | null = null;
  attempts = 0;
  upstreamMs: number | null = null;
  endedMs = 0;
  bytesIn = 0;
  bytesOut = 0;
  readonly #downstream: Downstream;
  #outgoing: OutgoingHead | null = null;
  #attempt: Attempt | null = null;
  #attemptStartedMs: number;
  /** What the clock said in this turn; 0 = nobody has asked. */
  #readMs = 0;
  #answered: Answered = "nothing";
  #bodyEnded = false;
  #bodyless = false;
  #passTrailers = false;

  constructor(road: Road, bound: BoundSnapshot, head: RequestHead, downstream: Downstream) {
    this.road = road;
    this.bound = bound;
    this.head = head;
    this.#downstream = downstream;
    this.lane = downstream.lane;
    this.startedMs = now(road);
    this.#attemptStartedMs = this.startedMs;
  }

  identified(who: Identity): void {
    this.who = who;
  }

  picked(plan: Plan, decision: Decision): void {
    this.plan = plan;
    this.decision = decision;
    this.arm = armFor(plan, decision);
    recordStart(plan);
    recordDecision(plan, decision);
  }

  /** Opens the first attempt. */
  open(outgoing: OutgoingHead, facts: RequestFacts): void {
    this.#outgoing = outgoing;
    this.#passTrailers = listHasToken(facts.te, "trailers");
    // A body usually comes right behind its head, and then they share a packet upstream too.
    if (outgoing.body.kind === "none" || outgoing.expectsContinue) this.#try(false);
  }

  openWithoutBody(): void {
    if (!this.#isWaiting) return;
    this.#outgoing = { ...(this.#outgoing as OutgoingHead), bodyFollowsLater: true };
    this.#try(false);
  }

  /** Answers with a failure of ours, before any attempt. */
  refuse(kind: FailureKind): this {
    this.#fail(failure(kind));
    return this;
  }

  /** Answers an OPTIONS request whose hops end here. */
  answerOptions(): this {
    this.status = 200;
    this.#answered = "end";
    this.#downstream.sendHead(optionsReply((this.who as Identity).requestId), {
      close: this.road.draining,
      bodyless: true,
    });
    this.#downstream.sendEnd(null);
    return this;
  }

  // ---- what the client does

  onBody(chunk: Chunk): void {
    if (this.#isWaiting) this.#try(false);
    this.bytesIn += chunk.length;
    if (this.#attempt === null) return;
    if (!this.#attempt.write(chunk)) this.#downstream.pauseBody();
  }

  /** Gives the body a moment more, then lets the head go alone. */
  onBodyWaits(): void {
    if (this.#isWaiting) setTimeout(openWithoutBody, BODY_PATIENCE_MS, this);
  }

  onBodyEnd(trailers: RawHeaders | null): void {
    this.#startDeadline();
    if (this.#isWaiting) this.#try(false);
    this.#bodyEnded = true;
    // Trailers go on only when they were announced: an upstream that asked for none need not know what to do with them.
    this.#attempt?.end(this.#outgoing?.hasTrailers === true ? safeTrailers(trailers) : null);
  }

  onGone(why: ClientFault): void {
    if (this.#answered === "over") return;
    const reason = failure(why);
    this.#attempt?.abort(reason);
    this.#attempt = null;
    if (why !== "client-gone" && this.#answered === "nothing") {
      this.#fail(reason);
      return;
    }
    this.failure ??= reason;
    if (this.status === 0) this.status = FAILURES["client-gone"].status;
    if (why !== "client-gone") this.#downstream.abort();
    this.#over();
  }

  onClientDrain(): void {
    this.#attempt?.resume();
  }

  onSent(): void {
    this.#over();
  }

  // ---- what the upstream answers

  onHead(head: ResponseHead): void {
    if (head.status >= 100 && head.status < 200) {
      this.#relayInterim(head);
      return;
    }
    const problem = answerProblem(head);
    if (problem !== null) {
      this.#attempt?.abort(failure("bad-answer", problem));
      this.#fail(failure("bad-answer", problem));
      return;
    }
    this.#commit(head);
  }

  onData(chunk: Chunk): boolean {
    if (this.#bodyless) return true;
    this.bytesOut += chunk.length;
    return this.#downstream.sendData(chunk);
  }

  onEnd(trailers: RawHeaders | null): void {
    this.#attemptOver();
    this.#answered = "end";
    this.#downstream.sendEnd(this.#passTrailers ? safeTrailers(trailers) : null);
    // Later it is the past.
    this.#readMs = 0;
  }

  onFailure(why: Failure, info: AttemptInfo): void {
    this.#attemptOver();
    if (this.#mayRetry(why, info)) {
      this.#countRetry();
      this.#try(true);
    } else this.#fail(why);
    this.#readMs = 0;
  }

  onDrain(): void {
    this.#downstream.resumeBody();
  }

  onFlush(): void {
    if (this.#answered === "head") this.#downstream.flush();
  }

  unsentBytes(): number {
    return this.#answered === "head" ? this.#downstream.unsentBytes() : Infinity;
  }

  /** The whole exchange, tries included, took too long to begin its answer. */
  onExpired(): void {
    if (this.#answered !== "nothing") return;
    const why = failure("total-timeout");
    this.#attempt?.abort(why);
    this.#attemptOver();
    this.#fail(why);
    this.#readMs = 0;
  }

  /** Routed, and not opened yet. */
  get #isWaiting(): boolean {
    return this.#outgoing !== null && this.attempts === 0 && this.#answered === "nothing";
  }

  /** A 101 is never relayed here, and a 100 only to a client that waits for it. */
  #relayInterim(head: ResponseHead): void {
    const unwanted = head.status === 101 || (head.status === 100 && this.#outgoing?.expectsContinue !== true);
    const headers = unwanted ? null : interimHeaders(head);
    if (headers !== null) this.#downstream.sendInformation(head.status, headers);
  }

  #try(freshConnection: boolean): void {
    const arm = this.arm as BoundArm;
    if (this.attempts++ > 0) this.#attemptStartedMs = now(this.road);
    this.#attempt = arm.upstream.open(this.#outgoing as OutgoingHead, this, { freshConnection });
    if (this.#bodyEnded) this.#attempt.end(null);
  }

  #mayRetry(why: Failure, info: AttemptInfo): boolean {
    const committed = this.#answered !== "nothing";
    const { method } = this.head;
    return mayRetry(why, info, { method, committed, attempts: this.attempts, bodyBytesUsed: this.bytesIn });
  }

  #countRetry(): void {
    add((this.plan as Plan).cells, ROUTE_WORDS.retries + RETRY_REASONS.indexOf("stale-connection"), 1);
  }

  #commit(head: ResponseHead): void {
    const { plan, arm, who } = this as { plan: Plan; arm: BoundArm; who: Identity };
    recordFirstByte(arm, now(this.road) - this.#attemptStartedMs);
    this.road.deadlines.remove(this);
    this.status = head.status;
    this.servedBy = arm.upstream.name;
    this.#answered = "head";
    this.#bodyless = isBodyless(this.head.method, head.status);
    this.#passTrailers ||= headerValue(head.headers, "trailer") !== null;
    const answer = outgoingAnswer(head, {
      versionHeader: plan.route.versionHeader,
      servedBy: arm.upstream.name,
      requestId: who.requestId,
      mintedCookie: mintedCookie(plan.route.split, this.decision, this.head.encrypted),
    });
    this.#downstream.sendHead(answer, { close: this.road.draining, bodyless: this.#bodyless });
  }

  /** The end of the road: a local reply if nothing was sent yet, else the connection is cut. */
  #fail(why: Failure): void {
    this.#attempt = null;
    this.failure = why;
    this.road.deadlines.remove(this);
    if (this.#answered === "nothing") {
      this.#answerLocally(why);
      return;
    }
    this.#downstream.abort();
    this.#over();
  }

  #answerLocally(why: Failure): void {
    this.status = FAILURES[why.kind].status;
    this.#answered = "end";
    this.who ??= stranger(this.head);
    const reply = localReply(why.kind, this.who.requestId, this.who.traceId, this.#version());
    const bodyless = this.head.method === "HEAD";
    // A request that was refused for its form may be followed by bytes that nobody should read as another request.
    const refused = FAILURES[why.kind].fault === "client" && why.kind !== "no-route";
    this.#downstream.sendHead(reply.head, { close: refused || this.road.draining, bodyless });
    if (!bodyless) {
      this.bytesOut += reply.body.length;
      this.#downstream.sendData(reply.body);
    }
    this.#downstream.sendEnd(null);
  }

  /** The field that says which upstream it is about; null before an arm was picked. */
  #version(): readonly [string, string] | null {
    if (this.plan === null || this.arm === null) return null;
    return [this.plan.route.versionHeader, this.arm.upstream.name];
  }

  #startDeadline(): void {
    if (this.arm === null || this.#answered !== "nothing") return;
    const limit = this.arm.upstream.spec.timeouts.requestTimeoutMs;
    if (limit > 0 && this.listIndex === -1) this.road.deadlines.set(this, limit);
  }

  #attemptOver(): void {
    this.#attempt = null;
    this.#readMs = now(this.road);
    this.upstreamMs = (this.upstreamMs ?? 0) + (this.#readMs - this.#attemptStartedMs);
  }

  #over(): void {
    if (this.#answered === "over") return;
    this.#answered = "over";
    this.road.deadlines.remove(this);
    this.endedMs = this.#readMs > 0 ? this.#readMs : now(this.road);
    recordExchange(this);
    release(this.bound);
  }
}

/** Reads the clock, for deadlines too: each reading costs as much as parsing a field. */
function now(road: Road): number {
  const nowMs = road.clock.nowMs();
  road.deadlines.note(nowMs);
  return nowMs;
}

/** How long a head waits for its body; a client that sends them in two packets needs less. */
const BODY_PATIENCE_MS = 4;

function openWithoutBody(exchange: Exchange): void {
  exchange.openWithoutBody();
}
