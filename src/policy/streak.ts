import { GATE_WORDS } from "../base/gates.ts";

/**
 * Failures in a row, of all threads, in one word with the cycle of the closed state that they fell in. So each closed
 * state counts from zero, without anybody having to clear the word at the right moment.
 *
 *   bits 29..20 cycle │ 19..0 count
 */
const CYCLE_SHIFT = 20;
const COUNT_MASK = 0xfffff;

/** Counts a failure of the closed state `cycle`; returns how many there are in a row now. */
export function growStreak(gates: Int32Array, gateStart: number, cycle: number): number {
  const index = gateStart + GATE_WORDS.consecutive;
  for (;;) {
    const word = Atomics.load(gates, index);
    const count = word >>> CYCLE_SHIFT === cycle ? Math.min((word & COUNT_MASK) + 1, COUNT_MASK) : 1;
    if (Atomics.compareExchange(gates, index, word, (cycle << CYCLE_SHIFT) | count) === word) return count;
  }
}

/**
 * A success ends the row. It looks with a plain read, which costs a healthy upstream next to nothing, and tries once only:
 * when a failure comes in between, this success came before it. Bench: bench/micro/circuit.ts.
 */
export function endStreak(gates: Int32Array, gateStart: number, cycle: number): void {
  const index = gateStart + GATE_WORDS.consecutive;
  const word = gates[index] as number;
  if ((word & COUNT_MASK) !== 0 && word >>> CYCLE_SHIFT === cycle) {
    Atomics.compareExchange(gates, index, word, cycle << CYCLE_SHIFT);
  }
}
