import { UPSTREAM_WORDS } from "../base/cells.ts";
import { FAILURE_KINDS, FAILURES, failure, type Failure, type FailureKind } from "../base/failure.ts";
import type { AttemptOptions, Chunk, RawHeaders, ResponseHead, ResponseSink } from "../model/exchange-types.ts";
import type { UpstreamSpec } from "../model/snapshot.ts";
import type { CallReport } from "./call-report.ts";
import type { Deadlines, Timed } from "./deadlines.ts";

/** Where an attempt stands; each phase has its own deadline. */
type Phase = "waiting" | "sending" | "awaiting-head" | "answering" | "done";

/** What an engine does when its attempt is given up. */
export interface AttemptEngine {
  /** Close or discard the connection; nothing more is read from it. */
  cancel(why: Failure): void;
}

/** What an attempt's state needs of the pool that it runs in. */
export interface AttemptPool {
  readonly spec: UpstreamSpec;
  readonly env: { readonly counters: Float64Array; readonly deadlines: Deadlines };
  /** For a call with this method that the upstream's circuit gave `ticket`; null when no circuit wants to know. */
  newReport(method: string, ticket: number): CallReport | null;
}

/**
 * The part of an attempt that is the same whatever carries it: the order of what the sink hears, and the deadlines.
 *
 *   waiting ──granted──▶ sending ──request ended──▶ awaiting-head ──head──▶ answering ──▶ done
 *   acquire              idle, while it refuses     responseHead            idle
 */
export class AttemptState implements Timed {
  listIndex = -1;
  dueMs = 0;
  readonly #sink: ResponseSink;
  readonly #timeouts: UpstreamSpec["timeouts"];
  readonly #counters: Float64Array;
  readonly #engine: AttemptEngine;
  readonly #deadlines: Deadlines;
  /** null: no circuit wants to know. */
  readonly report: CallReport | null;
  #phase: Phase = "waiting";
  #requestEnded = false;
  /** A byte of the request may have reached the upstream. */
  sent = false;

  constructor(sink: ResponseSink, engine: AttemptEngine, pool: AttemptPool, method: string, options: AttemptOptions) {
    const { spec, env } = pool;
    this.#sink = sink;
    this.#engine = engine;
    this.#timeouts = spec.timeouts;
    this.#counters = env.counters;
    this.#deadlines = env.deadlines;
    this.report = pool.newReport(method, options.ticket);
    env.deadlines.set(this, spec.pool.acquireTimeoutMs);
  }

  get done(): boolean {
    return this.#phase === "done";
  }

  get answering(): boolean {
    return this.#phase === "answering";
  }

  get requestEnded(): boolean {
    return this.#requestEnded;
  }

  /** A connection slot was granted. */
  granted(): void {
    this.#phase = this.#requestEnded ? "awaiting-head" : "sending";
    this.report?.started(this.#callMs);
    this.#rearm();
  }

  /** Request body was offered. Only an upstream that refuses more is on the clock; a silent client is not its fault. */
  offered(flowing: boolean): boolean {
    if (this.#phase === "sending" && !flowing) this.#deadlines.set(this, this.#timeouts.idleTimeoutMs);
    return flowing;
  }

  /** The request has been handed over to its end. */
  requestDone(): void {
    this.#requestEnded = true;
    if (this.#phase !== "sending") return;
    this.#phase = "awaiting-head";
    this.#rearm();
  }

  /** An interim or final head; false when the attempt is over and the engine should stop. */
  head(head: ResponseHead): boolean {
    if (this.#phase === "done") return false;
    if (head.status >= 200 || head.status < 100) {
      this.#phase = "answering";
      this.#rearm();
      this.report?.onHead(head, this.#callMs);
    }
    this.#sink.onHead(head);
    return !this.done;
  }

  /** Answer bytes; false when the sink wants a pause. */
  data(chunk: Chunk): boolean {
    if (this.#phase === "done") return true;
    const flowing = this.#sink.onData(chunk);
    // A paused sink means a slow client, which is not the upstream's silence.
    if (flowing) this.#rearm();
    else this.#deadlines.remove(this);
    return flowing;
  }

  /** Bytes that the sink was given and that have not left yet. */
  unsentBytes(): number {
    return this.#sink.unsentBytes();
  }

  /** What came together has been told. */
  flush(): void {
    if (this.#phase !== "done") this.#sink.onFlush();
  }

  /** The sink takes data again. */
  resumed(): void {
    if (this.#phase === "answering") this.#rearm();
  }

  drained(): void {
    if (this.#phase === "done") return;
    if (this.#phase === "sending") this.#deadlines.remove(this);
    this.#sink.onDrain();
  }

  end(trailers: RawHeaders | null): void {
    if (!this.#finish()) return;
    this.report?.onEnd(trailers, this.#deadlines.recentMs);
    this.#sink.onEnd(trailers);
  }

  /** The connection failed; the engine has let go of it. */
  fail(why: Failure): void {
    if (this.#finish()) this.#report(why);
  }

  /** We end the attempt because of what the upstream did or did not do. */
  giveUp(why: Failure): void {
    if (!this.#finish()) return;
    this.#engine.cancel(why);
    this.#report(why);
  }

  #report(why: Failure): void {
    this.#count(UPSTREAM_WORDS.failures + FAILURE_KINDS.indexOf(why.kind));
    this.report?.onFailure(why.kind, this.#deadlines.recentMs);
    this.#sink.onFailure(why, { sent: this.sent });
  }

  /** The road gave up: the sink hears nothing more. */
  aborted(why: Failure): void {
    // Who still stood in our own line has asked nobody, so nobody is to blame.
    const kind: FailureKind = this.#phase === "waiting" ? "acquire-timeout" : why.kind;
    if (!this.#finish()) return;
    if (FAILURES[kind].fault === "upstream") this.#count(UPSTREAM_WORDS.failures + FAILURE_KINDS.indexOf(kind));
    this.report?.onFailure(kind, this.#deadlines.recentMs);
    this.#engine.cancel(why);
  }

  /** Deadline. */
  onExpired(): void {
    if (this.#phase === "waiting") this.#count(UPSTREAM_WORDS.acquireTimedOut);
    this.giveUp(failure(expiryOf(this.#phase)));
  }

  get #callMs(): number {
    return this.report?.timesCalls === true ? this.#deadlines.readClock() : this.#deadlines.recentMs;
  }

  #count(word: number): void {
    this.#counters[word] = (this.#counters[word] as number) + 1;
  }

  #finish(): boolean {
    if (this.#phase === "done") return false;
    this.#phase = "done";
    this.#deadlines.remove(this);
    return true;
  }

  #rearm(): void {
    switch (this.#phase) {
      case "sending":
        this.#deadlines.remove(this);
        return;
      case "answering":
        this.#deadlines.set(this, this.#timeouts.idleTimeoutMs);
        return;
      case "awaiting-head":
        this.#deadlines.set(this, this.#timeouts.responseHeadTimeoutMs);
        return;
      case "waiting":
      case "done":
        return;
    }
  }
}

function expiryOf(phase: Phase): "acquire-timeout" | "head-timeout" | "idle-timeout" {
  if (phase === "waiting") return "acquire-timeout";
  return phase === "answering" ? "idle-timeout" : "head-timeout";
}
