import type { Random } from "../base/clock.ts";
import type { RetrySpec } from "../model/snapshot.ts";

/**
 * Milliseconds, with a fraction, to wait before the n-th retry (1 = the first): full jitter, uniform in
 * [0, min(max, initial × multiplier^(n-1))). So tries that failed together do not come back together.
 */
export function backoffMs(backoff: RetrySpec["backoff"], retry: number, random: Random): number {
  const { initialMs, maxMs, multiplierMilli } = backoff;
  // Zero times a power that has grown beyond all numbers is not a number.
  if (initialMs === 0) return 0;
  return random() * Math.min(maxMs, initialMs * (multiplierMilli / 1_000) ** (retry - 1));
}

/**
 * Milliseconds to wait when the upstream has said how long: at least that, and at most half of it more, so that all who were
 * told the same do not come back together; never more than `maxMs`, which is not less than `retryAfterMs`.
 */
export function spreadRetryAfterMs(retryAfterMs: number, maxMs: number, random: Random): number {
  return retryAfterMs + random() * Math.min(retryAfterMs / 2, maxMs - retryAfterMs);
}
