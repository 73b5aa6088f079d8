/**
 * Gates are the shared words that say whether an upstream, or one endpoint of it, may be asked: one row of Int32 words per
 * gate in one SharedArrayBuffer that every thread sees.
 *
 *   row │ 0 circuit │ 1-4 since │ 5 consecutive │ 6-8 transitions │ 9 status │ 10 … │ window of thread 0 │ of thread 1 │ …
 *
 * `circuit` to `transitions` are changed by any thread with Atomics; `status` and what follows by the control thread alone;
 * the window by its own thread alone, and read by the others when something failed. Times are whole milliseconds of the
 * monotonic clock, cut to 32 bits: only differences mean anything (`(a - b) | 0`).
 */
export const GATE_WORDS = {
  /** Packed circuit state; see policy/circuit.ts. */
  circuit: 0,
  /** When each of the last four states began, by cycle number modulo 4. */
  since: 1,
  /** Failures in a row, and the cycle that they fell in; see policy/streak.ts. */
  consecutive: 5,
  /** Transitions since the start of the process, to open, half-open and closed. */
  toOpen: 6,
  toHalfOpen: 7,
  toClosed: 8,
  /** Health in the low two bits, ejection in bit 2. */
  status: 9,
  /** When an endpoint that was unhealthy or ejected came back; 0 = it never was away. */
  backSince: 10,
} as const;

/** First word of the windows. */
export const GATE_WINDOWS = 16;
/** Buckets of a window. */
export const WINDOW_BUCKETS = 10;
/** Words of a bucket: its number on the time axis, requests, failures, slow requests. */
export const BUCKET_WORDS = 4;

/** Gates that can exist at once, over the life of a process: upstreams and their endpoints. */
export const GATES = 4_096;

/** Words of one gate's row. */
export function gateStride(threads: number): number {
  return GATE_WINDOWS + threads * WINDOW_BUCKETS * BUCKET_WORDS;
}

/** What active checks know of an endpoint; `unchecked`: nobody checks it. */
export type Health = "unchecked" | "unknown" | "healthy" | "unhealthy";

const HEALTHS = ["unchecked", "unknown", "healthy", "unhealthy"] as const satisfies readonly Health[];
const EJECTED_BIT = 4;

/** Packs a gate's status word. */
export function packStatus(health: Health, ejected: boolean): number {
  return HEALTHS.indexOf(health) | (ejected ? EJECTED_BIT : 0);
}

/** Health in a status word. */
export function statusHealth(word: number): Health {
  return HEALTHS[word & 3] as Health;
}

/** Ejection in a status word. */
export function statusEjected(word: number): boolean {
  return (word & EJECTED_BIT) !== 0;
}
