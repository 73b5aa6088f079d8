import { ROUTE_WORDS, type FallbackKind } from "../base/cells.ts";
import { failure, type Failure, type FailureKind } from "../base/failure.ts";
import type {
  Attempt,
  AttemptOptions,
  Chunk,
  OutgoingAnswer,
  OutgoingHead,
  RawHeaders,
  RequestHead,
  ResponseHead,
  ResponseSink,
} from "../model/exchange-types.ts";
import { headerValue } from "../model/headers.ts";
import { isSafe } from "../model/methods.ts";
import { grpcStatusOf, grpcTimeoutText, isGrpc } from "../policy/grpc.ts";
import { ReplayBuffer } from "../policy/replay-buffer.ts";
import type { Decision } from "../model/decide.ts";
import type { Timed } from "../transport/deadlines.ts";
import { NO_TICKET } from "./gate.ts";
import type { BoundArm } from "./bound-arm.ts";
import type { Plan } from "./plan.ts";
import { race } from "./race.ts";
import { add, recordFallback } from "./record.ts";
import { RecoveryMoves, staleRequestOf, type NextMove, type Problem, type RecoveryRequest } from "./recovery-moves.ts";
import type { RecoveryPlan } from "./recovery-plan.ts";
import type { Road } from "./road.ts";
import type { StaleCapture } from "./stale-capture.ts";

/** An answer that no arm makes. */
export interface LocalAnswer {
  readonly kind: FallbackKind;
  /** Its fields lack the version header, the request id and the name of the fallback. */
  readonly head: OutgoingAnswer;
  readonly body: readonly Chunk[];
  /** Goes into the version header. */
  readonly servedBy: string;
  readonly cells: Float64Array;
}

/** The exchange, as its recovery acts on it. */
export interface Recoverable {
  readonly road: Road;
  readonly head: RequestHead;
  readonly plan: Plan | null;
  readonly decision: Decision | null;
  /** Who serves; another arm that won a race takes its place. */
  arm: BoundArm | null;
  readonly attempts: number;
  /** The request has come to its end. */
  readonly bodyEnded: boolean;
  /** Milliseconds until the deadline of the whole exchange; null = it has none. */
  remainingMs(nowMs: number): number | null;
  /** Gives up the attempt under way, if there is one. */
  discard(why: Failure): void;
  /** Opens another try on the arm that it has; through its gate again. */
  tryAgain(): void;
  /** Goes on with another arm; what its gate says comes back as a problem. */
  moveTo(arm: BoundArm, kind: FallbackKind): void;
  commit(head: ResponseHead): void;
  /** Sends what is held back of the answer. */
  onFlush(): void;
  answer(local: LocalAnswer): void;
  /** The end: nothing else will answer. */
  giveUp(why: Failure): void;
  holdBody(): void;
}

/**
 * The second chances of one exchange: made only on routes that have retries, hedges or fallbacks. It hears what the
 * exchange hears, takes what it can mend, and then acts on the exchange.
 *
 *   failure, or a head that the route does not want ──▶ retry (after a wait) ──▶ rungs of the ladder ──▶ as it is
 */
export class Recovery implements Timed {
  listIndex = -1;
  dueMs = 0;
  readonly #plan: RecoveryPlan;
  readonly #route: Plan;
  readonly #road: Road;
  readonly #outgoing: OutgoingHead;
  readonly #exchange: Recoverable;
  /** Made when something goes wrong, which is seldom. */
  #moves: RecoveryMoves | null = null;
  /** null: nothing of the body has come. */
  #replay: ReplayBuffer | null = null;
  #backoff: NodeJS.Timeout | null = null;
  #isRetrying = false;
  /** A head whose fate its body or its trailers decide. */
  #heldHead: ResponseHead | null = null;
  #capture: StaleCapture | null = null;
  #isGrpc = false;

  constructor(plan: RecoveryPlan, route: Plan, outgoing: OutgoingHead, exchange: Recoverable) {
    this.#plan = plan;
    this.#route = route;
    this.#road = exchange.road;
    this.#outgoing = outgoing;
    this.#exchange = exchange;
  }

  /** A wait for the next try is under way. */
  get isWaiting(): boolean {
    return this.#backoff !== null;
  }

  /** The body so far can be sent again. */
  get bodyIsWhole(): boolean {
    return this.#outgoing.body.kind === "none" || this.#replay?.isWhole !== false;
  }

  // ---- what the exchange hears

  onBody(chunk: Chunk): void {
    this.#replay ??= new ReplayBuffer(this.#plan.bufferBytes);
    this.#replay.add(chunk);
  }

  /** From here on it is the upstream that is slow, and not the client. */
  onBodyEnd(): void {
    if (!this.isWaiting) this.#startClock();
  }

  /** Opens a try: one attempt, or a race of two. */
  open(arm: BoundArm, outgoing: OutgoingHead, options: AttemptOptions, sink: ResponseSink): Attempt {
    const { hedge } = this.#plan;
    if (this.#exchange.bodyEnded) this.#startClock();
    const { attempts } = this.#exchange;
    if (attempts > 1) return arm.upstream.open(this.#repeated(outgoing, attempts), sink, options);
    const rival = hedge === null ? null : this.#rivalOf(arm);
    return rival === null ? arm.upstream.open(outgoing, sink, options) : this.#openRace(arm, rival, options, sink);
  }

  /** A head for the second time and later: the upstream is told so, and need not say again that it wants the body. */
  #repeated(outgoing: OutgoingHead, attempts: number): OutgoingHead {
    const leftMs = outgoing.method === "POST" ? this.#exchange.remainingMs(this.#road.clock.nowMs()) : null;
    // What is left of the caller's time, and not all of it again.
    const timed =
      leftMs === null ? outgoing.fields : outgoing.fields.replace(GRPC_TIMEOUT, `$1${grpcTimeoutText(leftMs)}\r\n`);
    const fields = `${timed}x-crossfade-attempt: ${attempts}\r\n`;
    return { ...outgoing, fields, expectsContinue: outgoing.expectsContinue && this.#replay === null };
  }

  /** Sends what has come of the body again; false = the attempt wants a pause. */
  replayInto(attempt: Attempt): boolean {
    let flowing = true;
    for (const chunk of this.#replay?.chunks ?? []) flowing = attempt.write(chunk);
    return flowing;
  }

  /** True: the exchange must not commit this head, or not yet. */
  takesHead(head: ResponseHead): boolean {
    this.#isGrpc =
      this.#plan.readsGrpc && this.#outgoing.method === "POST" && isGrpc(headerValue(head.headers, "content-type"));
    const grpcStatus = this.#isGrpc ? grpcStatusOf(head.headers) : null;
    if (this.#isGrpc && grpcStatus === null) {
      this.#heldHead = head;
      // The try was in time. A call may stream, and its first message come whenever it likes.
      this.#road.deadlines.set(this, HELD_HEAD_MS);
      return true;
    }
    const taken = this.#mayMind(head.status, grpcStatus) && this.#mend({ kind: "answer", head, grpcStatus });
    if (!taken) this.#tryOver();
    return taken;
  }

  /** The exchange committed this head. */
  onCommit(head: ResponseHead, arm: BoundArm, nowMs: number): void {
    this.#tryOver();
    this.#replay?.drop();
    // What a local handler says in place of the arms is not their last good answer.
    if (this.#plan.stale === null || arm.arm === "fallback") return;
    this.#capture = this.#plan.stale.capture(staleRequestOf(this.#request()), head, arm.upstream.name, nowMs);
  }

  onData(chunk: Chunk): void {
    this.#release();
    this.#capture?.add(chunk);
  }

  /** True: the end of this answer is not the end of the exchange. */
  takesEnd(trailers: RawHeaders | null): boolean {
    const head = this.#heldHead;
    const grpcStatus = head === null ? null : grpcStatusOf(trailers);
    if (head !== null && this.#mayMind(head.status, grpcStatus)) {
      this.#heldHead = null;
      if (this.#mend({ kind: "answer", head, grpcStatus })) return true;
      this.#heldHead = head;
    }
    this.#release();
    this.#capture?.end();
    return false;
  }

  /** True: the failure is not the end of the exchange. `sent`: the request may have reached the upstream. */
  takesFailure(why: FailureKind, sent: boolean): boolean {
    this.#heldHead = null;
    return this.#mend({ kind: "failure", failure: why, sent });
  }

  /** The exchange is over, or its answer broke off. */
  close(): void {
    this.#tryOver();
    this.#stopWaiting();
    this.#capture?.drop();
    this.#replay?.drop();
  }

  /** One try took too long to begin its answer, or a held head has waited for long enough. */
  onExpired(): void {
    if (this.#heldHead !== null) {
      this.#release();
      this.#exchange.onFlush();
      return;
    }
    const why = failure("try-timeout");
    this.#exchange.discard(why);
    if (!this.takesFailure(why.kind, true)) this.#exchange.giveUp(why);
  }

  // ---- what it does

  #request(): RecoveryRequest {
    const { head, decision } = this.#exchange;
    return { head, outgoing: this.#outgoing, stickyKey: decision?.key ?? null };
  }

  /** A first look that costs next to nothing. */
  #mayMind(status: number, grpcStatus: number | null): boolean {
    if (status >= 400 || (grpcStatus !== null && grpcStatus !== 0)) return true;
    return this.#plan.retry?.statuses.includes(status) === true || this.#plan.fallbackOn.statuses.includes(status);
  }

  #mend(problem: Problem): boolean {
    const nowMs = this.#road.clock.nowMs();
    const { arm, attempts } = this.#exchange;
    const remainingMs = this.#exchange.remainingMs(nowMs);
    this.#tryOver();
    this.#stopWaiting();
    this.#moves ??= new RecoveryMoves(this.#plan, this.#route, this.#road, this.#request());
    const { bodyIsWhole } = this;
    const move = this.#moves.next(problem, { arm: arm as BoundArm, attempts, remainingMs, nowMs, bodyIsWhole });
    if (move.kind === "end" && !move.asked) return false;
    // An answer that nothing better could be found for is still an answer.
    if (move.kind === "end" && problem.kind === "answer") return false;
    this.#exchange.discard(DISCARDED);
    this.#act(move, problem);
    return true;
  }

  #act(move: NextMove, problem: Problem): void {
    switch (move.kind) {
      case "retry":
        this.#isRetrying = true;
        this.#retryIn(move.waitMs);
        return;
      case "arm":
        recordFallback(this.#route, move.rung);
        this.#exchange.moveTo(move.arm, move.rung);
        return;
      case "stale":
        this.#answer("stale", move.answer.head, move.answer.body, move.answer.servedBy, move.cells);
        return;
      case "static":
        this.#answer("static", move.rung.reply.head, [move.rung.reply.body], "fallback", move.rung.cells);
        return;
      case "end":
        recordFallback(this.#route, "none");
        this.#exchange.giveUp(failure("fallback-exhausted", problem.kind === "failure" ? problem.failure : null));
    }
  }

  #answer(
    kind: FallbackKind,
    head: OutgoingAnswer,
    body: readonly Chunk[],
    servedBy: string,
    cells: Float64Array,
  ): void {
    recordFallback(this.#route, kind);
    this.#exchange.answer({ kind, head, body, servedBy, cells });
  }

  #startClock(): void {
    const limitMs = this.#plan.retry?.perTryTimeoutMs ?? 0;
    if (limitMs > 0) this.#road.deadlines.set(this, limitMs);
  }

  #retryIn(waitMs: number): void {
    this.#exchange.holdBody();
    this.#backoff = setTimeout(tryAgain, waitMs, this);
  }

  /** For `tryAgain` only. */
  waited(): void {
    this.#backoff = null;
    // What came during the wait may have been more than is kept.
    if (this.bodyIsWhole) this.#exchange.tryAgain();
    else this.#exchange.giveUp(failure("fallback-exhausted", "the body grew beyond what is kept for another try"));
  }

  #stopWaiting(): void {
    if (this.#backoff !== null) clearTimeout(this.#backoff);
    this.#backoff = null;
  }

  #release(): void {
    const head = this.#heldHead;
    this.#heldHead = null;
    if (head !== null) this.#exchange.commit(head);
  }

  #tryOver(): void {
    this.#road.deadlines.remove(this);
    if (this.#isRetrying) this.#plan.budget?.retryFinished();
    this.#isRetrying = false;
  }

  // ---- hedging

  /** Who else is asked beside an arm; null = nobody: writes are not asked twice, nor v2 after it was taken back. */
  #rivalOf(arm: BoundArm): BoundArm | null {
    if (!isSafe(this.#outgoing.method) || this.#outgoing.body.kind !== "none") return null;
    if (this.#plan.hedge?.to === "same") return arm;
    const { baseline, candidate, lastKilled, lastPpm } = this.#route;
    if (candidate === null || lastKilled || lastPpm === 0) return null;
    return arm === candidate ? baseline : candidate;
  }

  #openRace(arm: BoundArm, rival: BoundArm, options: AttemptOptions, sink: ResponseSink): Attempt {
    const outgoing = this.#outgoing;
    let ticket = NO_TICKET;
    return race(
      [
        (own) => arm.upstream.open(outgoing, own, options),
        (own) => rival.upstream.open(outgoing, own, { freshConnection: false, ticket }),
      ],
      sink,
      {
        delayMs: this.#plan.hedge?.delayMs ?? 0,
        timer: startTimer,
        accepts: (head) => head.status < 500,
        mayStart: () => {
          ticket = rival.gate === null ? NO_TICKET : rival.gate.admit(this.#road.clock.nowMs());
          if (ticket >= 0) add(this.#route.cells, ROUTE_WORDS.hedged, 1);
          return ticket >= 0;
        },
        onWinner: (index) => {
          if (index === 0) return;
          add(this.#route.cells, ROUTE_WORDS.hedgesWon, 1);
          this.#exchange.arm = rival;
        },
      },
    );
  }
}

/** What mends an exchange; null on a route that has neither retries nor hedges nor fallbacks. */
export function recoveryFor(exchange: Recoverable, outgoing: OutgoingHead | null): Recovery | null {
  const { plan } = exchange;
  if (plan === null || plan.recovery === null || outgoing === null) return null;
  return new Recovery(plan.recovery, plan, outgoing, exchange);
}

/** The same for the beginning of an exchange: a plain read that goes well, which is most of them, never needs one. */
export function earlyRecoveryFor(exchange: Recoverable, outgoing: OutgoingHead): Recovery | null {
  const isPlainRead = outgoing.body.kind === "none" && isSafe(outgoing.method);
  return isPlainRead && exchange.plan?.recovery?.hearsAll !== true ? null : recoveryFor(exchange, outgoing);
}

const GRPC_TIMEOUT = /^(grpc-timeout: )[^\r]*\r\n/im;

/** How long a head waits for the status of its call, which may be in trailers close behind it. */
const HELD_HEAD_MS = 50;

/** An answer that the route does not want is dropped with its connection. */
const DISCARDED = failure("lost-race");

function tryAgain(recovery: Recovery): void {
  recovery.waited();
}

function startTimer(fn: () => void, ms: number): () => void {
  const timer = setTimeout(fn, ms);
  return () => clearTimeout(timer);
}
