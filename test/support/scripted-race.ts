import assert from "node:assert/strict";
import { failure, type Failure, type FailureKind } from "../../src/base/failure.ts";
import type { Attempt, ResponseHead, ResponseSink } from "../../src/model/exchange-types.ts";
import { race, type Opener, type RaceOptions } from "../../src/proxy/race.ts";
import { RecordingSink } from "./recording-sink.ts";

/** An attempt that a test plays; it keeps to the contract, so what is not allowed any more is not told. */
export class ScriptedRunner implements Attempt {
  readonly index: number;
  readonly sink: ResponseSink;
  /** The reasons of all aborts. */
  readonly aborts: FailureKind[] = [];
  resumed = 0;
  /** It has told its end or its failure. */
  over = false;
  answering = false;

  constructor(index: number, sink: ResponseSink) {
    this.index = index;
    this.sink = sink;
  }

  get alive(): boolean {
    return !this.over && this.aborts.length === 0;
  }

  head(status: number): void {
    if (!this.alive || this.answering) return;
    if (status >= 200) this.answering = true;
    this.sink.onHead(headOf(status, this.index));
  }

  data(text: string): boolean {
    return this.alive && this.answering ? this.sink.onData(text) : true;
  }

  end(): void {
    // As the composite's attempt, it has no body; as the script, see `finish`.
  }

  finish(): void {
    if (!this.alive || !this.answering) return;
    this.over = true;
    this.sink.onEnd(["x-runner", String(this.index)]);
  }

  fail(kind: FailureKind, sent = false): void {
    if (!this.alive) return;
    this.over = true;
    this.sink.onFailure(failure(kind, this.index), { sent });
  }

  write(): boolean {
    return true;
  }

  resume(): void {
    this.resumed++;
  }

  abort(why: Failure): void {
    assert.equal(this.over, false, "an attempt that is over is not aborted");
    this.aborts.push(why.kind);
  }
}

/** A head that says whose it is. */
function headOf(status: number, index: number): ResponseHead {
  return { status, reason: "", headers: ["x-runner", String(index)] };
}

/** A race of scripted runners, with what it did. */
export class ScriptedRace {
  readonly sink = new RecordingSink();
  readonly runners: ScriptedRunner[] = [];
  readonly winners: number[] = [];
  /** What the sink had heard when the winner was told. */
  readonly heardBeforeWinner: number[] = [];
  readonly waits: number[] = [];
  readonly attempt: Attempt;
  #due: (() => void) | null = null;

  constructor(count: number, options: Partial<RaceOptions> = {}) {
    const openers = Array.from({ length: count }, (_, index) => this.#openerOf(index));
    this.attempt = race(openers, this.sink, {
      delayMs: 50,
      timer: (fn, ms) => this.#setTimer(fn, ms),
      accepts: (head) => head.status < 500,
      mayStart: () => true,
      onWinner: (index) => {
        this.winners.push(index);
        this.heardBeforeWinner.push(this.sink.heard.length);
      },
      ...options,
    });
  }

  get timerIsSet(): boolean {
    return this.#due !== null;
  }

  /** The delay is over. */
  fireTimer(): void {
    const due = this.#due;
    this.#due = null;
    due?.();
  }

  /** The runner that was opened as `index`. */
  runner(index: number): ScriptedRunner {
    const found = this.runners.find((runner) => runner.index === index);
    assert.ok(found !== undefined, `runner ${index} was not started`);
    return found;
  }

  /** Indices of the runners that were started, in order. */
  get started(): number[] {
    return this.runners.map(({ index }) => index);
  }

  #openerOf(index: number): Opener {
    return (sink) => {
      const runner = new ScriptedRunner(index, sink);
      this.runners.push(runner);
      return runner;
    };
  }

  #setTimer(fn: () => void, ms: number): () => void {
    assert.equal(this.#due, null, "one timer at a time");
    this.waits.push(ms);
    this.#due = fn;
    return () => {
      assert.equal(this.#due, fn, "only a timer that is set is called off");
      this.#due = null;
    };
  }
}
