import { GATE_WORDS, gateStride } from "../base/gates.ts";
import type { CircuitBreakerSpec } from "../model/snapshot.ts";
import {
  CYCLE_MASK,
  hasPermit,
  isClosedWord,
  isRecoveringWord,
  nextCircuit,
  openTimeMs,
  packCircuit,
  unpackCircuit,
  wordCycle,
  type CircuitEvent,
  type CircuitState,
} from "./circuit.ts";
import { elapsedSince, writeSince } from "./since.ts";
import { endStreak, growStreak } from "./streak.ts";
import {
  bucketAt,
  bucketMsOf,
  countFailure,
  countRequest,
  countSlow,
  sumWindows,
  windowRow,
  type WindowTotals,
} from "./window.ts";

/** What `admit` gives instead of a ticket. */
export const REFUSED = -1;

/**
 * How a call ended for a circuit. overload: 429 or RESOURCE_EXHAUSTED, which count in the ratio and fail a probe, but
 * neither lengthen nor end a row of failures. cancelled: says nothing about the upstream.
 */
export type CallOutcome = "success" | "failure" | "overload" | "cancelled";

/** A circuit as people see it. */
export interface CircuitReading {
  readonly kind: CircuitState["kind"];
  /** For how long it has been in this state; means nothing for one that never opened. */
  readonly sinceMs: number;
  /** Until probes are let through; null unless it is open and recovers by itself. */
  readonly retryInMs: number | null;
  /** Probes that failed since it was closed. */
  readonly level: number;
  /** Probes under way. */
  readonly probes: number;
  /** Probes that succeeded. */
  readonly successes: number;
}

/** A thread of those that share the gates; the control thread, which reports nothing, may call itself 0. */
interface ThreadPlace {
  /** From 0. */
  readonly thread: number;
  /** Data threads that the gates have windows for. */
  readonly threads: number;
}

/**
 * One thread's hand on a circuit that all threads share. The state is one word, and every change of it one
 * compare-exchange: of threads that see the same threshold met, the same open time over or the same permit free, one wins
 * and the others look again. Any number of these objects may exist for one gate, and what they share outlives them.
 *
 * `nowMs` may be old by as much as a thread's clock is coarse; a time that lies ahead of it counts as now.
 */
export class Circuit {
  readonly #gates: Int32Array;
  readonly #gate: number;
  readonly #place: ThreadPlace;
  readonly #rules: CircuitBreakerSpec;
  readonly #seed: string;
  /** First words of the gate and of this thread's window. */
  readonly #start: number;
  readonly #row: number;
  readonly #bucketMs: number;

  /** `seed`: of the dice for open times; the same in every thread, another one for each circuit. */
  constructor(gates: Int32Array, gate: number, place: ThreadPlace, rules: CircuitBreakerSpec, seed: string) {
    this.#gates = gates;
    this.#gate = gate;
    this.#place = place;
    this.#rules = rules;
    this.#seed = seed;
    this.#start = gate * gateStride(place.threads);
    this.#row = windowRow(gate, place.threads, place.thread);
    this.#bucketMs = bucketMsOf(rules.windowMs);
  }

  /** Whether `admit` would let somebody through now; takes no permit. */
  mayAdmit(nowMs: number): boolean {
    for (;;) {
      const word = this.#word();
      if (isClosedWord(word)) return true;
      const state = unpackCircuit(word);
      if (state.kind === "half-open") return hasPermit(state, this.#rules);
      if (!this.#isDue(state, nowMs)) return false;
      this.#step(word, state, "due", nowMs);
    }
  }

  /** A ticket (≥ 0) that must be reported exactly once, or `REFUSED`. A half-open circuit gives a permit with it. */
  admit(nowMs: number): number {
    const word = this.#word();
    return isClosedWord(word) ? wordCycle(word) : this.#admitProbe(nowMs);
  }

  #admitProbe(nowMs: number): number {
    while (this.mayAdmit(nowMs)) {
      const word = this.#word();
      if (isClosedWord(word)) return wordCycle(word);
      if (this.#step(word, unpackCircuit(word), "ask", nowMs)) return wordCycle(word) | PROBE_BIT;
    }
    return REFUSED;
  }

  /** Whether a ticket is that of a probe. */
  isProbe(ticket: number): boolean {
    return ticket >= PROBE_BIT;
  }

  /**
   * Tells how a call went, once per ticket. What was admitted in an earlier state of the circuit changes nothing: it was
   * judged with that state, and its permit ended with it.
   */
  report(ticket: number, outcome: CallOutcome, slow: boolean, nowMs: number): void {
    const isSlow = slow && this.#rules.slowCallPpm > 0;
    if (ticket >= PROBE_BIT) {
      this.#settle(probeEvent(outcome, isSlow), ticket - PROBE_BIT, nowMs);
      return;
    }
    const word = this.#word();
    if (!isClosedWord(word) || wordCycle(word) !== ticket || outcome === "cancelled") return;
    const bucket = this.#bucket(ticket, nowMs);
    countRequest(this.#gates, bucket);
    if (outcome === "success") endStreak(this.#gates, this.#start, ticket);
    if (outcome !== "success" || isSlow) this.#judge(ticket, bucket, outcome, isSlow, nowMs);
  }

  /** A call that was reported as a success broke after all. */
  failLate(ticket: number, nowMs: number): void {
    if (ticket >= PROBE_BIT) {
      this.#settle("failure-late", ticket - PROBE_BIT, nowMs);
      return;
    }
    const word = this.#word();
    if (!isClosedWord(word) || wordCycle(word) !== ticket) return;
    this.#judge(ticket, this.#bucket(ticket, nowMs), "failure", false, nowMs);
  }

  /** Share of the usual load to send: 1, or in slow start what has come back so far, 0.05..1. */
  backShare(nowMs: number): number {
    const word = this.#word();
    if (!isRecoveringWord(word)) return 1;
    const elapsedMs = this.#elapsedMs(wordCycle(word), nowMs);
    if (elapsedMs < this.#rules.slowStartMs) return Math.max(LEAST_SHARE, elapsedMs / this.#rules.slowStartMs);
    this.#step(word, unpackCircuit(word), "back", nowMs);
    return 1;
  }

  /** The circuit as it is; an open one whose time is over still reads as open until somebody asks. */
  reading(nowMs: number): CircuitReading {
    const state = unpackCircuit(this.#word());
    const sinceMs = this.#elapsedMs(state.cycle, nowMs);
    const none = { kind: state.kind, sinceMs, retryInMs: null, level: 0, probes: 0, successes: 0 };
    switch (state.kind) {
      case "closed":
        return none;
      case "open": {
        const leftMs = Math.max(0, this.#openMs(state.cycle, state.level) - sinceMs);
        return { ...none, level: state.level, retryInMs: this.#rules.autoRecover ? leftMs : null };
      }
      case "half-open":
        return { ...none, level: state.level, probes: state.probes, successes: state.successes };
    }
  }

  /** What time alone does, for when no request comes by: call it every 250 ms or so, from one thread. */
  tick(nowMs: number): void {
    const word = this.#word();
    const state = unpackCircuit(word);
    switch (state.kind) {
      case "closed":
        this.backShare(nowMs);
        return;
      case "open":
        if (this.#isDue(state, nowMs)) this.#step(word, state, "due", nowMs);
        return;
      case "half-open":
        if (hasPermit(state, this.#rules) || this.#elapsedMs(state.cycle, nowMs) < this.#stuckMs) return;
        this.#step(word, state, "stuck", nowMs);
    }
  }

  /** Whoever had the permits of a half-open circuit may be gone: gives all of them out again. */
  giveUpProbes(nowMs: number): void {
    this.#settle("stuck", ANY_CYCLE, nowMs);
  }

  /** Closes it by hand, without slow start; a closed one forgets what it counted. */
  reset(nowMs: number): void {
    this.#settle("reset", ANY_CYCLE, nowMs);
  }

  /** Opens it by hand; an open one begins its open time again. */
  trip(nowMs: number): void {
    this.#settle("tripped-by-hand", ANY_CYCLE, nowMs);
  }

  #word(): number {
    return Atomics.load(this.#gates, this.#start + GATE_WORDS.circuit);
  }

  #bucket(cycle: number, nowMs: number): number {
    const number = Math.floor(this.#elapsedMs(cycle, nowMs) / this.#bucketMs);
    return bucketAt(this.#gates, this.#row, number, cycle);
  }

  /** Counts what went wrong with a call of the closed state `cycle`, and opens the circuit when it was the last straw. */
  #judge(cycle: number, bucket: number, outcome: CallOutcome, slow: boolean, nowMs: number): void {
    if (outcome !== "success") countFailure(this.#gates, bucket);
    if (slow) countSlow(this.#gates, bucket);
    const { consecutiveFailures } = this.#rules;
    const isStreak =
      outcome === "failure" &&
      consecutiveFailures > 0 &&
      growStreak(this.#gates, this.#start, cycle) >= consecutiveFailures;
    if (isStreak || this.#isShareMet(nowMs)) this.#settle("trip", cycle, nowMs);
  }

  #isShareMet(nowMs: number): boolean {
    const { errorPpm, slowCallPpm, minRequests, windowMs } = this.#rules;
    if (errorPpm === 0 && slowCallPpm === 0) return false;
    const { requests, failures, slow } = windowTotals(this.#gates, this.#gate, this.#place.threads, windowMs, nowMs);
    if (requests < minRequests) return false;
    return isShareOf(failures, requests, errorPpm) || isShareOf(slow, requests, slowCallPpm);
  }

  #isDue(state: CircuitState, nowMs: number): boolean {
    if (state.kind !== "open" || !this.#rules.autoRecover) return false;
    return this.#elapsedMs(state.cycle, nowMs) >= this.#openMs(state.cycle, state.level);
  }

  #openMs(cycle: number, level: number): number {
    return openTimeMs(this.#rules, this.#seed, cycle, level);
  }

  get #stuckMs(): number {
    return Math.max(this.#rules.openMs, LEAST_STUCK_MS);
  }

  #elapsedMs(cycle: number, nowMs: number): number {
    return elapsedSince(this.#gates, this.#start, cycle, nowMs);
  }

  /** Takes an event that belongs to one cycle, or to any; does nothing once that cycle is over. */
  #settle(event: CircuitEvent, cycle: number, nowMs: number): void {
    for (;;) {
      const word = this.#word();
      const state = unpackCircuit(word);
      if (cycle !== ANY_CYCLE && state.cycle !== cycle) return;
      const next = nextCircuit(state, event, this.#rules);
      if (next === state || this.#replace(word, state, next, nowMs)) return;
    }
  }

  /** One try to take an event in the state that `word` holds; whether this thread changed anything. */
  #step(word: number, state: CircuitState, event: CircuitEvent, nowMs: number): boolean {
    const next = nextCircuit(state, event, this.#rules);
    return next !== state && this.#replace(word, state, next, nowMs);
  }

  /**
   * The only writer of the state; false when another thread was faster.
   *
   * Whoever tries writes the beginning of the next state before it exists, so that nobody can see the state without it. A
   * loser may overwrite the winner's time with its own. Both saw the same state end, so the two differ by the age of their
   * clocks, and an open time that is off by that much does no harm; nor does one that ends early once, because a thread
   * slept in here while the circuit went round.
   */
  #replace(word: number, state: CircuitState, next: CircuitState, nowMs: number): boolean {
    const start = this.#start;
    if (next.cycle !== state.cycle) writeSince(this.#gates, start, next.cycle, nowMs);
    const seen = Atomics.compareExchange(this.#gates, start + GATE_WORDS.circuit, word, packCircuit(next));
    if (seen !== word) return false;
    if (next.kind !== state.kind) Atomics.add(this.#gates, start + TRANSITION_WORDS[next.kind], 1);
    return true;
  }
}

/**
 * What lies in the window of a gate now, of all threads. `windowMs` must be that of its circuit's rules. Only what was
 * admitted in the closed state that lasts counts: zeros while the circuit is open or half-open.
 */
export function windowTotals(
  gates: Int32Array,
  gate: number,
  threads: number,
  windowMs: number,
  nowMs: number,
): WindowTotals {
  const start = gate * gateStride(threads);
  const word = Atomics.load(gates, start + GATE_WORDS.circuit);
  if (!isClosedWord(word)) return { requests: 0, failures: 0, slow: 0 };
  const cycle = wordCycle(word);
  const number = Math.floor(elapsedSince(gates, start, cycle, nowMs) / bucketMsOf(windowMs));
  return sumWindows(gates, gate, threads, number, cycle);
}

const PROBE_BIT = CYCLE_MASK + 1;
const ANY_CYCLE = -1;
/** Of a circuit in slow start; somebody must come, or nobody learns that it is well. */
const LEAST_SHARE = 0.05;
/** A probe that takes longer than this, or than the open time, is given up. */
const LEAST_STUCK_MS = 30_000;
const TRANSITION_WORDS = {
  closed: GATE_WORDS.toClosed,
  open: GATE_WORDS.toOpen,
  "half-open": GATE_WORDS.toHalfOpen,
} as const satisfies Record<CircuitState["kind"], number>;

function isShareOf(part: number, whole: number, ppm: number): boolean {
  return ppm > 0 && part * 1_000_000 >= whole * ppm;
}

function probeEvent(outcome: CallOutcome, isTooSlow: boolean): CircuitEvent {
  if (outcome === "cancelled") return "probe-cancelled";
  return outcome === "success" && !isTooSlow ? "probe-success" : "probe-failure";
}
