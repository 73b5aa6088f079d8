import type { Clock } from "./base/clock.ts";

/**
 * Each thread's `performance.now()` begins with the thread. Circuits are shared, so all threads must count from the same
 * instant: that of the machine's monotonic clock.
 */
const OFFSET_MS = Number(process.hrtime.bigint()) / 1e6 - performance.now();

/** The clock of this process; its monotonic readings agree between threads. */
export const systemClock: Clock = {
  nowMs: () => performance.now() + OFFSET_MS,
  wallMs: () => Date.now(),
};
