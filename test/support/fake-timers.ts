import type { Clock } from "../../src/base/clock.ts";
import type { StartTimer } from "../../src/control/endpoint-check.ts";

interface Timer {
  readonly dueMs: number;
  readonly callback: () => void;
}

/** A clock and timers that move only when told to. */
export class FakeTimers {
  readonly #timers = new Set<Timer>();
  #nowMs: number;

  constructor(startMs = 1_000) {
    this.#nowMs = startMs;
  }

  readonly clock: Clock = { nowMs: () => this.#nowMs, wallMs: () => 1_700_000_000_000 + this.#nowMs };

  readonly startTimer: StartTimer = (delayMs, callback) => {
    const timer = { dueMs: this.#nowMs + delayMs, callback };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  };

  /** Timers that are running. */
  get size(): number {
    return this.#timers.size;
  }

  /** Lets this much time pass; what is due runs in order, and so does all that follows from it without waiting. */
  async pass(ms: number): Promise<void> {
    const endMs = this.#nowMs + ms;
    await settled();
    for (let next = this.#next(endMs); next !== null; next = this.#next(endMs)) {
      this.#nowMs = next.dueMs;
      this.#timers.delete(next);
      next.callback();
      await settled();
    }
    this.#nowMs = endMs;
  }

  #next(endMs: number): Timer | null {
    const due = [...this.#timers].filter((timer) => timer.dueMs <= endMs);
    return due.sort((a, b) => a.dueMs - b.dueMs)[0] ?? null;
  }
}

/** Resolves when promises that wait for nothing outside have run. */
export function settled(): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  setImmediate(resolve);
  return promise;
}
