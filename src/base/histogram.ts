/**
 * Log-bucket histograms in fixed memory: eight buckets per doubling (base 2^(1/8), the boundaries of Prometheus
 * native histograms, schema 3) from 2^-13 s (122 µs) to 2^7 s (128 s), one below and one above.
 */
export const BUCKETS_PER_DOUBLING = 8;
const LOWEST_EXPONENT = -13;
const HIGHEST_EXPONENT = 7;

/** Number of counters a histogram needs: all values ≤ 2^-13 s first, above 2^7 s last. */
export const BUCKET_COUNT = (HIGHEST_EXPONENT - LOWEST_EXPONENT) * BUCKETS_PER_DOUBLING + 2;

/** Upper bound in seconds, inclusive, of bucket `index`; Infinity for the last. */
export function bucketUpperBound(index: number): number {
  if (index >= BUCKET_COUNT - 1) return Infinity;
  return 2 ** (LOWEST_EXPONENT + index / BUCKETS_PER_DOUBLING);
}

/** The bucket of a duration in milliseconds: the first whose upper bound is at or above it. Bench: bench/micro/cells.ts. */
export function bucketOf(durationMs: number): number {
  const seconds = durationMs / 1000;
  if (!(seconds > LOWEST_BOUND)) return 0;
  const index = Math.ceil((Math.log2(seconds) - LOWEST_EXPONENT) * BUCKETS_PER_DOUBLING);
  return index < BUCKET_COUNT - 1 ? index : BUCKET_COUNT - 1;
}

const LOWEST_BOUND = 2 ** LOWEST_EXPONENT;
