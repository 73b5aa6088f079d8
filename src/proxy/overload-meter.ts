import { getHeapStatistics } from "node:v8";
import { THREAD_WORDS } from "../base/cells.ts";
import type { OverloadSpec } from "../model/snapshot.ts";
import { PPM } from "../model/split.ts";
import { CALM, limitsOfThread, nextOverload } from "../policy/overload.ts";
import type { OverloadReadings, OverloadStage, OverloadState } from "../policy/overload.ts";

/** What a meter works with; the last three are replaced by tests. */
export interface OverloadMeterOptions {
  /** This thread's own block, where the stage is shown. */
  readonly threadCells: Float64Array;
  /** Requests under way on this thread. */
  readonly inFlight: () => number;
  /** Monotonic milliseconds. */
  readonly nowMs: () => number;
  /** Used share of the largest heap, ppm. */
  readonly heapUsedPpm?: () => number;
  /** Calls again and again without keeping the process alive; gives back how to stop. */
  readonly every?: (periodMs: number, call: () => void) => () => void;
}

/** How often a thread looks at itself, milliseconds. */
export const METER_PERIOD_MS = 100;

/** Looks between two looks at the heap, which is the dear one. */
const HEAP_EVERY = 10;

/**
 * Measures how far this thread is from drowning, ten times a second, and shows it as one number that the road reads for
 * each request. How late the event loop is, is how late the meter's own timer fires; one late turn is a pause of the
 * collector or a large snapshot, so the better of the last two counts. Without any limit there is no timer.
 */
export class OverloadMeter {
  /** What is shed now; see policy/overload.ts. */
  stage: OverloadStage = 0;

  readonly #options: Required<OverloadMeterOptions>;
  #limits: OverloadSpec = NO_LIMITS;
  #state: OverloadState = CALM;
  #stop: (() => void) | null = null;
  #lookedAtMs = 0;
  #lastLagMs = 0;
  #heapUsedPpm = 0;
  #looks = 0;

  /** Measures nothing until `apply`. */
  constructor(options: OverloadMeterOptions) {
    this.#options = { heapUsedPpm, every: everyUnheld, ...options };
    // The thread that had these cells before may have ended in the middle of an overload.
    this.#show(CALM);
  }

  /** Takes the limits of a snapshot; `threads` data threads share those that count all of them. */
  apply(spec: OverloadSpec, threads: number): void {
    this.#limits = limitsOfThread(spec, threads);
    const limited = spec.eventLoopLagMs > 0 || spec.heapPpm > 0 || spec.maxInFlight > 0;
    if (!limited) this.close();
    else if (this.#stop === null) this.#start();
  }

  /** Stops measuring; nothing is shed any more. */
  close(): void {
    this.#stop?.();
    this.#stop = null;
    this.#show(CALM);
  }

  #start(): void {
    const { every, nowMs } = this.#options;
    this.#lookedAtMs = nowMs();
    this.#lastLagMs = 0;
    this.#looks = 0;
    this.#stop = every(METER_PERIOD_MS, () => this.#look());
  }

  #look(): void {
    const nowMs = this.#options.nowMs();
    this.#show(nextOverload(this.#state, this.#readings(nowMs), this.#limits, nowMs));
  }

  #readings(nowMs: number): OverloadReadings {
    const { heapUsedPpm, inFlight } = this.#options;
    const lagMs = Math.max(0, nowMs - this.#lookedAtMs - METER_PERIOD_MS);
    const lastedMs = Math.min(lagMs, this.#lastLagMs);
    this.#lookedAtMs = nowMs;
    this.#lastLagMs = lagMs;
    if (this.#looks++ % HEAP_EVERY === 0 && this.#limits.heapPpm > 0) this.#heapUsedPpm = heapUsedPpm();
    return { lagMs: lastedMs, heapUsedPpm: this.#heapUsedPpm, inFlight: inFlight() };
  }

  #show(state: OverloadState): void {
    this.#state = state;
    this.stage = state.stage;
    this.#options.threadCells[THREAD_WORDS.overloadStage] = state.stage;
  }
}

const NO_LIMITS: OverloadSpec = { eventLoopLagMs: 0, heapPpm: 0, maxInFlight: 0 };

function heapUsedPpm(): number {
  const { used_heap_size: used, heap_size_limit: limit } = getHeapStatistics();
  return Math.round((used / limit) * PPM);
}

function everyUnheld(periodMs: number, call: () => void): () => void {
  const timer = setInterval(call, periodMs).unref();
  return () => clearInterval(timer);
}
