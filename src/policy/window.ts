import { BUCKET_WORDS, GATE_WINDOWS, gateStride, WINDOW_BUCKETS } from "../base/gates.ts";

/**
 * The window of a circuit: what was asked lately, in buckets of a tenth of it. Each thread has a row of buckets to itself
 * and counts with plain writes; whoever needs the sum reads all rows.
 *
 *   row of a thread │ bucket 0 │ bucket 1 │ … │ bucket 9 │        bucket: stamp │ requests │ failures │ slow
 *
 * A bucket's number counts from the moment at which the circuit closed, and lies in slot number % 10. Its stamp is that
 * number and the cycle of the closed state. Whoever reads takes the buckets whose stamp belongs to the last ten numbers of
 * this cycle: old ones fall out without anybody emptying them, and those of an earlier closed state never were in.
 */
export interface WindowTotals {
  readonly requests: number;
  readonly failures: number;
  readonly slow: number;
}

const STAMP = 0;
const REQUESTS = 1;
const FAILURES = 2;
const SLOW = 3;

/** A stamp: the number in 24 bits, which lasts for 19 days of the shortest window, above 8 bits of the cycle. */
const NUMBER_MASK = 0xffffff;
const CYCLE_BITS = 8;
const CYCLE_MASK = 0xff;

/** Length of a bucket, whole milliseconds; ten are at least the window. */
export function bucketMsOf(windowMs: number): number {
  return Math.max(1, Math.ceil(windowMs / WINDOW_BUCKETS));
}

/** First word of a thread's row. */
export function windowRow(gate: number, threads: number, thread: number): number {
  return gate * gateStride(threads) + GATE_WINDOWS + thread * WINDOW_BUCKETS * BUCKET_WORDS;
}

/**
 * First word of the bucket with this number, emptied when it was another's. The row's own thread alone may call this.
 * Bench: bench/micro/circuit.ts.
 */
export function bucketAt(gates: Int32Array, row: number, number: number, cycle: number): number {
  const bucket = row + (number % WINDOW_BUCKETS) * BUCKET_WORDS;
  const stamp = ((number & NUMBER_MASK) << CYCLE_BITS) | (cycle & CYCLE_MASK);
  if (gates[bucket + STAMP] === stamp) return bucket;
  gates[bucket + REQUESTS] = 0;
  gates[bucket + FAILURES] = 0;
  gates[bucket + SLOW] = 0;
  gates[bucket + STAMP] = stamp;
  return bucket;
}

/** Counts one request. */
export function countRequest(gates: Int32Array, bucket: number): void {
  gates[bucket + REQUESTS] = (gates[bucket + REQUESTS] as number) + 1;
}

/** Counts a failure, after its request. */
export function countFailure(gates: Int32Array, bucket: number): void {
  publishOneMore(gates, bucket + FAILURES);
}

/** Counts a slow call, after its request. */
export function countSlow(gates: Int32Array, bucket: number): void {
  publishOneMore(gates, bucket + SLOW);
}

/**
 * The word has one writer, but its readers are about to judge: of threads that count at the same moment the last one sees
 * the counts of all others, which plain writes would not promise.
 */
function publishOneMore(gates: Int32Array, index: number): void {
  Atomics.store(gates, index, (gates[index] as number) + 1);
}

/** The sum over all threads of what lies in the window that ends with bucket `number`. */
export function sumWindows(
  gates: Int32Array,
  gate: number,
  threads: number,
  number: number,
  cycle: number,
): WindowTotals {
  let requests = 0;
  let failures = 0;
  let slow = 0;
  const first = windowRow(gate, threads, 0);
  const end = windowRow(gate, threads, threads);
  for (let bucket = first; bucket < end; bucket += BUCKET_WORDS) {
    // These first: they carry the stamp and the requests that their thread wrote before.
    const bucketFailures = Atomics.load(gates, bucket + FAILURES);
    const bucketSlow = Atomics.load(gates, bucket + SLOW);
    if (!isInWindow(gates[bucket + STAMP] as number, number, cycle)) continue;
    failures += bucketFailures;
    slow += bucketSlow;
    requests += gates[bucket + REQUESTS] as number;
  }
  // A late failure may lie in a younger bucket than its request, which is gone already.
  return { requests, failures: Math.min(failures, requests), slow };
}

/** A bucket may be one ahead: its thread's clock was read a moment after ours. */
function isInWindow(stamp: number, number: number, cycle: number): boolean {
  if ((stamp & CYCLE_MASK) !== (cycle & CYCLE_MASK)) return false;
  return ((number + 1 - (stamp >>> CYCLE_BITS)) & NUMBER_MASK) <= WINDOW_BUCKETS;
}
