import { failure, type Failure } from "../base/failure.ts";
import type { Attempt, AttemptInfo, Chunk, RawHeaders, ResponseHead, ResponseSink } from "../model/exchange-types.ts";

/** Starts one runner: an attempt that answers into `sink`, which hears nothing before this has returned. */
export type Opener = (sink: ResponseSink) => Attempt;

/** How a race is run. */
export interface RaceOptions {
  /** How long a runner may be without a head before the next one starts; 0 = all start at once. */
  readonly delayMs: number;
  /** Calls `fn` once in `ms`; what it returns calls that off. */
  readonly timer: (fn: () => void, ms: number) => () => void;
  /** Whether a final head may win while other runners are under way. */
  readonly accepts: (head: ResponseHead) => boolean;
  /** Asked right before any runner but the first starts; false leaves it out. */
  readonly mayStart: (index: number) => boolean;
  /** Told right before the sink hears the winner's head. */
  readonly onWinner: (index: number) => void;
}

/**
 * Hedging: several attempts for one request, which looks like one attempt to the sink. For requests without a body whose
 * method is safe, since more than one upstream may process them.
 *
 *   first ──delay, or its failure──▶ next ──…
 *      └──────────────┴── the first final head that is accepted, or that of the last runner under way, wins
 *
 * The others are aborted as `lost-race`, and so is who comes with a head that is not accepted while another is under way: it
 * may still do better. A runner that has not started by then never does; repeating a bad answer is the retries' business.
 * When all have failed, the sink hears the last failure. Interim answers are dropped: they come before anybody has won.
 */
export function race(openers: readonly Opener[], sink: ResponseSink, options: RaceOptions): Attempt {
  const running = new Race(openers, sink, options);
  running.begin();
  return running;
}

/** How a race stands. `won`: only the winner is under way; `over`: nobody is, and the sink hears nothing more. */
type Standing =
  | { readonly kind: "open" }
  | { readonly kind: "won"; readonly winner: Runner }
  | { readonly kind: "over" };

const OPEN: Standing = { kind: "open" };
const OVER: Standing = { kind: "over" };
const LOST = failure("lost-race");

class Race implements Attempt {
  readonly #openers: readonly Opener[];
  readonly #sink: ResponseSink;
  readonly #options: RaceOptions;
  readonly #underWay = new Set<Runner>();
  #standing: Standing = OPEN;
  /** Index of the next runner to start. */
  #next = 0;
  #callOff: (() => void) | null = null;
  /** Some runner has sent a byte, or has even got an answer. */
  #sent = false;

  constructor(openers: readonly Opener[], sink: ResponseSink, options: RaceOptions) {
    this.#openers = openers;
    this.#sink = sink;
    this.#options = options;
  }

  begin(): void {
    this.#start(this.#next++);
    if (this.#options.delayMs > 0) this.#awaitNext();
    else while (this.#startNext());
  }

  // ---- what the road does

  /** There is no body to send. */
  write(): boolean {
    return true;
  }

  end(): void {
    // A request without a body has ended with its head.
  }

  resume(): void {
    if (this.#standing.kind === "won") this.#standing.winner.attempt?.resume();
  }

  abort(why: Failure): void {
    this.#finish();
    this.#abortOthers(null, why);
  }

  // ---- what runners hear

  /** A final head came. */
  arrived(runner: Runner, head: ResponseHead): void {
    this.#sent = true;
    if (this.#underWay.size > 1 && !this.#options.accepts(head)) {
      this.#underWay.delete(runner);
      runner.attempt?.abort(LOST);
      return;
    }
    this.#stopWaiting();
    this.#standing = { kind: "won", winner: runner };
    this.#abortOthers(runner, LOST);
    this.#options.onWinner(runner.index);
    this.#sink.onHead(head);
  }

  ended(trailers: RawHeaders | null): void {
    this.#finish();
    this.#underWay.clear();
    this.#sink.onEnd(trailers);
  }

  failed(runner: Runner, why: Failure, info: AttemptInfo): void {
    this.#sent ||= info.sent;
    this.#underWay.delete(runner);
    if (this.#standing.kind === "open") {
      this.#stopWaiting();
      if (this.#startNext()) this.#awaitNext();
      if (this.#underWay.size > 0) return;
    }
    this.#finish();
    this.#sink.onFailure(why, { ...info, sent: this.#sent });
  }

  /** Where the events of a runner go; null = nowhere, because it has not won. */
  sinkFor(runner: Runner): ResponseSink | null {
    return this.#standing.kind === "won" && this.#standing.winner === runner ? this.#sink : null;
  }

  isUnderWay(runner: Runner): boolean {
    return this.#underWay.has(runner);
  }

  // ---- the start of runners

  #awaitNext(): void {
    if (this.#next >= this.#openers.length) return;
    this.#callOff = this.#options.timer(() => {
      this.#callOff = null;
      if (this.#startNext()) this.#awaitNext();
    }, this.#options.delayMs);
  }

  /** Starts the next runner that may start; false when there is none. */
  #startNext(): boolean {
    while (this.#next < this.#openers.length) {
      const index = this.#next++;
      if (!this.#options.mayStart(index)) continue;
      this.#start(index);
      return true;
    }
    return false;
  }

  #start(index: number): void {
    const runner = new Runner(this, index);
    this.#underWay.add(runner);
    runner.attempt = (this.#openers[index] as Opener)(runner);
  }

  // ---- the end

  #stopWaiting(): void {
    this.#callOff?.();
    this.#callOff = null;
  }

  #finish(): void {
    this.#stopWaiting();
    this.#standing = OVER;
  }

  /** Who is aborted is forgotten first, so that nothing it may set off is heard. `winner`: null = nobody stays. */
  #abortOthers(winner: Runner | null, why: Failure): void {
    for (const runner of this.#underWay) {
      if (runner === winner) continue;
      this.#underWay.delete(runner);
      runner.attempt?.abort(why);
    }
  }
}

/** One of the attempts, as the sink that it answers into. Once it is not under way any more nobody hears it. */
class Runner implements ResponseSink {
  readonly index: number;
  attempt: Attempt | null = null;
  readonly #race: Race;

  constructor(owner: Race, index: number) {
    this.#race = owner;
    this.index = index;
  }

  onHead(head: ResponseHead): void {
    const isFinal = head.status < 100 || head.status >= 200;
    if (isFinal && this.#race.isUnderWay(this)) this.#race.arrived(this, head);
  }

  onData(chunk: Chunk): boolean {
    return this.#race.sinkFor(this)?.onData(chunk) ?? true;
  }

  onEnd(trailers: RawHeaders | null): void {
    if (this.#race.sinkFor(this) !== null) this.#race.ended(trailers);
  }

  onFailure(why: Failure, info: AttemptInfo): void {
    if (this.#race.isUnderWay(this)) this.#race.failed(this, why, info);
  }

  onDrain(): void {
    this.#race.sinkFor(this)?.onDrain();
  }

  onFlush(): void {
    this.#race.sinkFor(this)?.onFlush();
  }

  unsentBytes(): number {
    return this.#race.sinkFor(this)?.unsentBytes() ?? Infinity;
  }
}
