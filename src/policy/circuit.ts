import { murmur3 } from "../base/murmur3.ts";
import type { CircuitBreakerSpec } from "../model/snapshot.ts";

/**
 * A circuit is one of three states. `cycle` grows by one, modulo 1024, whenever one state ends and another begins, so that
 * what was admitted in one state is never taken for something of a later one.
 *
 *              trip                              due
 *   closed ───────────▶ open ──────────────────────────────▶ half-open ──stuck──▶ half-open
 *     ▲ ▲                ▲ │ reset                              │  │ │
 *     │ └────────────────┼─┘        one probe failed, level + 1 │  │ │
 *     │                  └──────────────────────────────────────┘  │ │
 *     └────────── M probes succeeded: recovering ──────────────────┘ │
 *     └────────── reset ─────────────────────────────────────────────┘
 */
export type CircuitState = ClosedState | OpenState | HalfOpenState;

/** Requests flow. `recovering`: it was half-open before, and its share still grows. */
interface ClosedState {
  readonly kind: "closed";
  readonly cycle: number;
  readonly recovering: boolean;
}

/** Requests are refused. `level`: probes that failed since it was closed, 0..31; doubles the open time each. */
interface OpenState {
  readonly kind: "open";
  readonly cycle: number;
  readonly level: number;
}

/** `probes` are out, `successes` came back. */
export interface HalfOpenState {
  readonly kind: "half-open";
  readonly cycle: number;
  readonly level: number;
  readonly probes: number;
  readonly successes: number;
}

/** What can happen to a circuit. Whether a threshold was met or a time is over, the caller knows. */
export type CircuitEvent =
  /** Too much failed while it was closed. */
  | "trip"
  /** The open time is over. */
  | "due"
  /** Somebody wants to be a probe. */
  | "ask"
  | "probe-success"
  | "probe-failure"
  /** The probe's client left: it says nothing, and somebody else may try. */
  | "probe-cancelled"
  /** A call that was reported as a success broke after all. */
  | "failure-late"
  /** All permits are out for longer than any probe takes: whoever had them is gone. */
  | "stuck"
  /** The slow start is over. */
  | "back"
  /** Closed by hand. */
  | "reset"
  /** Opened by hand. */
  | "tripped-by-hand";

/** What the machine must know of the configuration. */
export type CircuitRules = Pick<CircuitBreakerSpec, "halfOpenRequests" | "halfOpenSuccesses" | "slowStartMs">;

/** The state after an event; the same object when the event changes nothing. */
export function nextCircuit(state: CircuitState, event: CircuitEvent, rules: CircuitRules): CircuitState {
  if (event === "reset") return closed(following(state), false);
  switch (state.kind) {
    case "closed":
      if (event === "back" && state.recovering) return closed(state.cycle, false);
      return event === "trip" || event === "tripped-by-hand" ? open(following(state), 0) : state;
    case "open":
      if (event === "tripped-by-hand") return open(following(state), state.level);
      return event === "due" ? halfOpen(following(state), state.level, 0, 0) : state;
    case "half-open":
      return afterHalfOpen(state, event, rules);
  }
}

function afterHalfOpen(state: HalfOpenState, event: Exclude<CircuitEvent, "reset">, rules: CircuitRules): CircuitState {
  const { cycle, level, probes, successes } = state;
  switch (event) {
    case "ask":
      return hasPermit(state, rules) ? halfOpen(cycle, level, probes + 1, successes) : state;
    case "probe-success":
      if (successes + 1 >= rules.halfOpenSuccesses) return closed(following(state), rules.slowStartMs > 0);
      return halfOpen(cycle, level, Math.max(0, probes - 1), successes + 1);
    case "probe-cancelled":
      return probes === 0 ? state : halfOpen(cycle, level, probes - 1, successes);
    case "probe-failure":
    case "failure-late":
      return open(following(state), Math.min(level + 1, MAX_LEVEL));
    case "stuck":
      // Successes stay: probes that merely take long would otherwise keep it half-open for ever.
      return halfOpen(following(state), level, 0, successes);
    case "tripped-by-hand":
      return open(following(state), level);
    case "trip":
    case "due":
    case "back":
      return state;
  }
}

/**
 * Whether one more probe may go: `halfOpenRequests` at once, and no more in all than could be needed, so that an upstream
 * that comes back sees exactly the configured number. There is always a permit when no probe is out.
 */
export function hasPermit({ probes, successes }: HalfOpenState, rules: CircuitRules): boolean {
  const needed = Math.max(rules.halfOpenRequests, rules.halfOpenSuccesses) - successes;
  return probes < Math.min(rules.halfOpenRequests, Math.max(1, needed));
}

/** The closed state; `cycle` 0..1023. */
export function closed(cycle: number, recovering: boolean): CircuitState {
  return { kind: "closed", cycle, recovering };
}

/** The open state; `level` 0..31. */
export function open(cycle: number, level: number): CircuitState {
  return { kind: "open", cycle, level };
}

/** The half-open state; `probes` 0..100, `successes` 0..99. */
export function halfOpen(cycle: number, level: number, probes: number, successes: number): CircuitState {
  return { kind: "half-open", cycle, level, probes, successes };
}

function following({ cycle }: CircuitState): number {
  return (cycle + 1) & CYCLE_MASK;
}

/** Part of the rules that says how long a circuit stays open. */
export type OpenTimeRules = Pick<CircuitBreakerSpec, "openMs" | "maxOpenMs" | "jitterPpm">;

/**
 * How long an open state lasts, in whole milliseconds: doubled with each level up to the maximum, then lengthened by the
 * dice of this circuit and cycle. The dice are a hash, so every thread throws the same without a word.
 */
export function openTimeMs(rules: OpenTimeRules, seed: string, cycle: number, level: number): number {
  const base = Math.min(rules.maxOpenMs, rules.openMs * 2 ** level);
  const dice = murmur3(seed, cycle) / 2 ** 32;
  return Math.round(base * (1 + (rules.jitterPpm / 1_000_000) * dice));
}

/**
 * The whole state in one Int32, so that each change of it is one compare-exchange, whoever else tries:
 *
 *   bits 31..22 cycle │ 21..15 successes │ 14..8 probes │ 7..3 level │ 2 recovering │ 1..0 kind
 *
 * 0 is closed: memory that nobody touched is a circuit that never opened.
 */
export function packCircuit(state: CircuitState): number {
  const cycle = state.cycle << CYCLE_SHIFT;
  switch (state.kind) {
    case "closed":
      return cycle | (state.recovering ? RECOVERING_BIT : 0) | CLOSED;
    case "open":
      return cycle | (state.level << LEVEL_SHIFT) | OPEN;
    case "half-open":
      return (
        cycle |
        (state.successes << SUCCESSES_SHIFT) |
        (state.probes << PROBES_SHIFT) |
        (state.level << LEVEL_SHIFT) |
        HALF_OPEN
      );
  }
}

/** The state in a word. */
export function unpackCircuit(word: number): CircuitState {
  const cycle = wordCycle(word);
  const level = (word >>> LEVEL_SHIFT) & MAX_LEVEL;
  switch (word & KIND_MASK) {
    case CLOSED:
      return closed(cycle, (word & RECOVERING_BIT) !== 0);
    case OPEN:
      return open(cycle, level);
    default:
      return halfOpen(cycle, level, (word >>> PROBES_SHIFT) & COUNT_MASK, (word >>> SUCCESSES_SHIFT) & COUNT_MASK);
  }
}

/** Whether a word holds the closed state. */
export function isClosedWord(word: number): boolean {
  return (word & KIND_MASK) === CLOSED;
}

/** Whether a word holds the closed state of a circuit in slow start. */
export function isRecoveringWord(word: number): boolean {
  return (word & (KIND_MASK | RECOVERING_BIT)) === (CLOSED | RECOVERING_BIT);
}

/** The cycle in a word, 0..1023. */
export function wordCycle(word: number): number {
  return word >>> CYCLE_SHIFT;
}

/** Cycles are compared in these bits. */
export const CYCLE_MASK = 0x3ff;
/** Levels stop growing here. */
export const MAX_LEVEL = 0x1f;

const CLOSED = 0;
const OPEN = 1;
const HALF_OPEN = 2;
const KIND_MASK = 3;
const RECOVERING_BIT = 1 << 2;
const LEVEL_SHIFT = 3;
const PROBES_SHIFT = 8;
const SUCCESSES_SHIFT = 15;
const COUNT_MASK = 0x7f;
const CYCLE_SHIFT = 22;
