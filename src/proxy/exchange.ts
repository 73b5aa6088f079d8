import type { FallbackKind } from "../base/cells.ts";
import { FAILURES, failure, type Failure, type FailureKind } from "../base/failure.ts";
import { answerProblem, safeTrailers } from "../model/answer.ts";
import type { Decision } from "../model/decide.ts";
import type {
  Attempt,
  AttemptInfo,
  Chunk,
  ClientFault,
  Downstream,
  DownstreamEvents,
  Lane,
  OutgoingHead,
  RawHeaders,
  RequestFacts,
  RequestHead,
  ResponseHead,
  ResponseSink,
} from "../model/exchange-types.ts";
import { headerValue, listHasToken } from "../model/headers.ts";
import type { Timed } from "../transport/deadlines.ts";
import { enter, enterArm, type Entrant } from "./enter.ts";
import { NO_TICKET } from "./gate.ts";
import { startDeadline } from "./time-limit.ts";
import { stranger, type Identity } from "./identify.ts";
import { answerFor, failureReply, fallbackReply, type Answering, type Refusing } from "./answers.ts";
import type { LocalReply } from "./local-reply.ts";
import type { BoundArm } from "./bound-arm.ts";
import { release, type BoundSnapshot, type Plan } from "./plan.ts";
import { recordDecision, recordExchange, recordFirstByte, recordReplay, recordStart } from "./record.ts";
import { mayRetry } from "./recover.ts";
import { earlyRecoveryFor, recoveryFor, type LocalAnswer, type Recoverable, type Recovery } from "./recovery.ts";
import { Reply } from "./reply.ts";
import type { Road } from "./road.ts";
import { now } from "./road-clock.ts";

/**
 * One downstream request with all its attempts. It is the sink of its attempt and hears the client; nothing else
 * changes it. It lives until the answer is sent or the client is gone, and holds its snapshot for that long.
 */
export class Exchange implements ResponseSink, DownstreamEvents, Timed, Entrant, Recoverable {
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
  ticket = NO_TICKET;
  servedBy: string | null = null;
  failure: Failure | null = null;
  fallback: FallbackKind | null = null;
  localCells: Float64Array | null = null;
  attempts = 0;
  upstreamMs: number | null = null;
  /** -1 until it is over. */
  endedMs = -1;
  bytesIn = 0;
  bodyEnded = false;
  readonly #downstream: Downstream;
  readonly #reply: Reply;
  #outgoing: OutgoingHead | null = null;
  #attempt: Attempt | null = null;
  #attemptStartedMs: number;
  /** Tries against the present arm. */
  #triesHere = 0;
  /** null: the route has neither retries nor fallbacks. */
  #recovery: Recovery | null = null;
  /** What the clock said in this turn; 0 = nobody has asked. */
  #readMs = 0;
  #trailers: RawHeaders | null = null;
  #passTrailers = false;

  constructor(road: Road, bound: BoundSnapshot, head: RequestHead, downstream: Downstream) {
    this.road = road;
    this.bound = bound;
    this.head = head;
    this.#downstream = downstream;
    this.#reply = new Reply(downstream, head.method);
    this.lane = downstream.lane;
    this.startedMs = now(road);
    this.#attemptStartedMs = this.startedMs;
    road.inFlight++;
  }

  get status(): number {
    return this.#reply.status;
  }

  get bytesOut(): number {
    return this.#reply.bytesOut;
  }

  /** Takes the arm that was decided on, or the one that stands in for it; null, or why neither may be asked. */
  picked(plan: Plan, decision: Decision): FailureKind | null {
    const refusal = enter(this, plan, decision, this.startedMs);
    recordStart(plan);
    recordDecision(plan, this.decision ?? decision);
    return refusal;
  }

  /** Opens the first attempt, unless its arm refused. */
  open(outgoing: OutgoingHead, facts: RequestFacts, refusal: FailureKind | null): void {
    this.#outgoing = outgoing;
    this.#passTrailers = listHasToken(facts.te, "trailers");
    this.#recovery = earlyRecoveryFor(this, outgoing);
    if (refusal !== null) this.#failed(failure(refusal), false);
    else if (!this.#waitsForBody) this.#try(false);
  }

  openWithoutBody(): void {
    if (!this.#isWaiting) return;
    this.#outgoing = { ...(this.#outgoing as OutgoingHead), bodyFollowsLater: true };
    this.#try(false);
  }

  /** Answers with a failure of ours, before any attempt. */
  refuse(kind: FailureKind): this {
    this.giveUp(failure(kind));
    return this;
  }

  /** Answers with something else of ours, before any attempt. */
  replyWith(local: LocalReply): this {
    this.#reply.whole(local, this.road.draining);
    return this;
  }

  // ---- what the client does

  onBody(chunk: Chunk): void {
    if (this.#isWaiting) this.#try(false);
    this.bytesIn += chunk.length;
    this.#recovery?.onBody(chunk);
    if (this.#attempt !== null && !this.#attempt.write(chunk)) this.#downstream.pauseBody();
  }

  /** Gives the body a moment more, then lets the head go alone. */
  onBodyWaits(): void {
    if (this.#isWaiting) setTimeout(() => this.openWithoutBody(), BODY_PATIENCE_MS);
  }

  onBodyEnd(trailers: RawHeaders | null): void {
    if (!this.#reply.committed) startDeadline(this);
    if (this.#isWaiting) this.#try(false);
    this.bodyEnded = true;
    // There is nothing left to hold back, and who does not listen does not hear the client leave.
    if (this.bytesIn > 0) this.#downstream.resumeBody();
    if (!this.#reply.committed) this.#recovery?.onBodyEnd();
    // Trailers go on only when they were announced: an upstream that asked for none need not know what to do with them.
    this.#trailers = this.#outgoing?.hasTrailers === true ? safeTrailers(trailers) : null;
    this.#attempt?.end(this.#trailers);
  }

  onGone(why: ClientFault): void {
    if (this.endedMs >= 0) return;
    const reason = failure(why);
    this.discard(reason);
    if (why !== "client-gone" && !this.#reply.committed) {
      this.giveUp(reason);
      return;
    }
    // Until then a failure was one that something might still mend.
    this.failure = this.#reply.committed ? (this.failure ?? reason) : reason;
    if (this.status === 0) this.#reply.status = FAILURES["client-gone"].status;
    if (why !== "client-gone") this.#reply.abort();
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
      this.#reply.relayInterim(head, this.#outgoing?.expectsContinue === true);
      return;
    }
    const problem = answerProblem(head);
    if (problem !== null) {
      const why = failure("bad-answer", problem);
      this.discard(why);
      this.#failed(why, true);
      return;
    }
    if (head.status >= 400) this.#recovery ??= recoveryFor(this, this.#outgoing);
    if (this.#recovery?.takesHead(head) !== true) this.commit(head);
  }

  onData(chunk: Chunk): boolean {
    this.#recovery?.onData(chunk);
    return this.#reply.data(chunk);
  }

  onEnd(trailers: RawHeaders | null): void {
    this.#attemptOver();
    if (this.#recovery?.takesEnd(trailers) !== true) this.#reply.end(this.#passTrailers ? trailers : null);
    // Later it is the past.
    this.#readMs = 0;
  }

  onFailure(why: Failure, info: AttemptInfo): void {
    this.#attemptOver();
    const bodyBytesUsed = this.#recovery?.bodyIsWhole === true ? 0 : this.bytesIn;
    const { method } = this.head;
    const { committed } = this.#reply;
    const facts = { method, committed, attempts: this.#triesHere, bodyBytesUsed };
    if (mayRetry(why, info, facts)) {
      recordReplay(this.plan as Plan);
      this.tryAgain(true);
    } else this.#failed(why, info.sent);
    this.#readMs = 0;
  }

  onDrain(): void {
    this.#downstream.resumeBody();
  }

  onFlush(): void {
    this.#reply.flush();
  }

  unsentBytes(): number {
    return this.#reply.unsentBytes();
  }

  /** The whole exchange, tries included, took too long to begin its answer. */
  onExpired(): void {
    if (this.#reply.committed) return;
    const why = failure("total-timeout");
    this.discard(why);
    this.#failed(why, true);
    this.#readMs = 0;
  }

  // ---- what its recovery does

  remainingMs(nowMs: number): number | null {
    return this.listIndex === -1 ? null : this.dueMs - nowMs;
  }

  discard(why: Failure): void {
    if (this.#attempt === null) return;
    this.#attempt.abort(why);
    this.#attemptOver();
    // What comes next may come much later.
    this.#readMs = 0;
  }

  tryAgain(freshConnection = false): void {
    if (this.#reply.committed) return;
    const refusal = enterArm(this, this.arm as BoundArm, now(this.road));
    if (refusal !== null) this.#failed(failure(refusal), false);
    else if (!this.#waitsForBody) this.#try(freshConnection);
  }

  moveTo(arm: BoundArm, kind: FallbackKind): void {
    this.fallback = kind;
    this.arm = arm;
    this.#triesHere = 0;
    this.tryAgain();
  }

  holdBody(): void {
    if (!this.bodyEnded) this.#downstream.pauseBody();
  }

  commit(head: ResponseHead): void {
    const arm = this.arm as BoundArm;
    const nowMs = now(this.road);
    // What was mended is no failure; what another had to answer is.
    if (this.fallback === null) this.failure = null;
    recordFirstByte(arm, nowMs - this.#attemptStartedMs);
    this.#recovery?.onCommit(head, arm, nowMs);
    this.road.deadlines.remove(this);
    this.servedBy = arm.upstream.name;
    this.#passTrailers ||= headerValue(head.headers, "trailer") !== null;
    this.#reply.begin(answerFor(this as Answering, head), this.road.draining);
  }

  answer(local: LocalAnswer): void {
    this.fallback = local.kind;
    this.localCells = local.cells;
    this.road.deadlines.remove(this);
    this.#reply.whole(fallbackReply(this as Answering, local), this.road.draining);
  }

  /** The end of the road: a local reply if nothing was sent yet, else the connection is cut. */
  giveUp(why: Failure): void {
    this.#attempt = null;
    this.failure = why;
    this.road.deadlines.remove(this);
    if (!this.#reply.committed) {
      this.who ??= stranger(this.head);
      // A request that was refused for its form may be followed by bytes that nobody should read as another request.
      const isMalformed = FAILURES[why.kind].fault === "client" && why.kind !== "no-route";
      this.#reply.whole(failureReply(this as Refusing, why.kind), isMalformed || this.road.draining);
      return;
    }
    this.#reply.abort();
    this.#over();
  }

  // ---- inside

  /** Routed, and not opened yet. */
  get #isWaiting(): boolean {
    if (this.#outgoing === null || this.attempts > 0 || this.#reply.committed || this.endedMs >= 0) return false;
    return this.#recovery?.isWaiting !== true;
  }

  /** A body usually comes right behind its head, and then they share a packet upstream too. */
  get #waitsForBody(): boolean {
    const { body, expectsContinue } = this.#outgoing as OutgoingHead;
    return this.attempts === 0 && body.kind !== "none" && !expectsContinue;
  }

  #failed(why: Failure, sent: boolean): void {
    this.failure = why;
    if (!this.#reply.committed) this.#recovery ??= recoveryFor(this, this.#outgoing);
    if (this.#reply.committed || this.#recovery?.takesFailure(why.kind, sent) !== true) this.giveUp(why);
  }

  #try(freshConnection: boolean): void {
    const arm = this.arm as BoundArm;
    const isFirst = this.attempts++ === 0;
    this.#triesHere++;
    if (!isFirst) this.#attemptStartedMs = now(this.road);
    const options = { freshConnection, ticket: this.ticket };
    this.ticket = NO_TICKET;
    const outgoing = this.#outgoing as OutgoingHead;
    this.#attempt = this.#recovery?.open(arm, outgoing, options, this) ?? arm.upstream.open(outgoing, this, options);
    if (!isFirst && outgoing.body.kind !== "none") this.#replayBody(this.#attempt);
    if (this.bodyEnded) this.#attempt.end(this.#trailers);
  }

  #replayBody(attempt: Attempt): void {
    if (this.#recovery?.replayInto(attempt) === false) this.holdBody();
    else this.#downstream.resumeBody();
  }

  #attemptOver(): void {
    this.#attempt = null;
    this.#readMs = now(this.road);
    this.upstreamMs = (this.upstreamMs ?? 0) + (this.#readMs - this.#attemptStartedMs);
  }

  #over(): void {
    if (this.endedMs >= 0) return;
    this.endedMs = this.#readMs > 0 ? this.#readMs : now(this.road);
    this.road.inFlight--;
    this.road.deadlines.remove(this);
    this.#recovery?.close();
    if (this.ticket !== NO_TICKET) this.arm?.gate?.giveBack(this.ticket, this.endedMs);
    recordExchange(this);
    release(this.bound);
  }
}

/** How long a head waits for its body; a client that sends them in two packets needs less. */
const BODY_PATIENCE_MS = 4;
