import type { Clock } from "../base/clock.ts";
import { GATE_WORDS, gateStride, packStatus, statusEjected, statusHealth, type Health } from "../base/gates.ts";

/**
 * The status words of the gates: what probes found, and who is ejected. The only writer of `status` and `backSince`; data
 * threads read them. Lives as long as the process, as the gates do.
 */
export class EndpointStatus {
  readonly #gates: Int32Array;
  readonly #stride: number;
  readonly #clock: Clock;

  /** `threads`: data threads that the gates have windows for. */
  constructor(gates: Int32Array, threads: number, clock: Clock) {
    this.#gates = gates;
    this.#stride = gateStride(threads);
    this.#clock = clock;
  }

  health(gate: number): Health {
    return statusHealth(this.#word(gate));
  }

  ejected(gate: number): boolean {
    return statusEjected(this.#word(gate));
  }

  setHealth(gate: number, health: Health): void {
    this.#change(gate, (word) => packStatus(health, statusEjected(word)));
  }

  setEjected(gate: number, ejected: boolean): void {
    this.#change(gate, (word) => packStatus(statusHealth(word), ejected));
  }

  #change(gate: number, next: (word: number) => number): void {
    const at = gate * this.#stride + GATE_WORDS.status;
    for (;;) {
      const before = Atomics.load(this.#gates, at);
      const after = next(before);
      // First the time, then the word: whoever sees that the endpoint is back sees since when.
      if (wasAway(before) && mayBeAsked(after)) this.#noteBack(gate);
      if (Atomics.compareExchange(this.#gates, at, before, after) === before) return;
    }
  }

  #noteBack(gate: number): void {
    // 0 stands for "never was away", so an instant that happens to be 0 becomes its neighbour.
    const nowMs = Math.trunc(this.#clock.nowMs()) | 0 || 1;
    Atomics.store(this.#gates, gate * this.#stride + GATE_WORDS.backSince, nowMs);
  }

  #word(gate: number): number {
    return Atomics.load(this.#gates, gate * this.#stride + GATE_WORDS.status);
  }
}

function wasAway(word: number): boolean {
  return statusEjected(word) || statusHealth(word) === "unhealthy";
}

function mayBeAsked(word: number): boolean {
  const health = statusHealth(word);
  return !statusEjected(word) && (health === "healthy" || health === "unchecked");
}
