import { GATE_WORDS } from "../base/gates.ts";

/** A beginning that lies less than this ahead was written by a thread whose clock is fresher than ours. */
const CLOCK_AGE_MS = 60_000;
const WRAP_MS = 2 ** 32;

/** Writes when the state of a circuit with this cycle begins: whole milliseconds, cut to 32 bits. */
export function writeSince(gates: Int32Array, gateStart: number, cycle: number, nowMs: number): void {
  Atomics.store(gates, sinceIndex(gateStart, cycle), nowMs | 0);
}

/**
 * Whole milliseconds since the state with this cycle began, 0..2^32: a closed state may well last for longer than a sign
 * bit would allow. A beginning that lies ahead counts as now.
 */
export function elapsedSince(gates: Int32Array, gateStart: number, cycle: number, nowMs: number): number {
  const elapsedMs = ((nowMs | 0) - (gates[sinceIndex(gateStart, cycle)] as number)) >>> 0;
  return elapsedMs > WRAP_MS - CLOCK_AGE_MS ? 0 : elapsedMs;
}

/** The last four states have a word each, so that one can be written while another is read. */
function sinceIndex(gateStart: number, cycle: number): number {
  return gateStart + GATE_WORDS.since + (cycle & 3);
}
