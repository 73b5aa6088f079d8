import { murmur3 } from "../base/murmur3.ts";

/** Parts in one whole: shares and buckets are integers below this. */
export const PPM = 1_000_000;

/** Hash seeds: the split, the A/A control, the shadow sampling. They are independent of one another. */
export const SPLIT_SEED = 0;

/**
 * The bucket of a sticky key, 0..999 999: floor(murmur3(salt:key) · 10⁶ / 2³²). Public: anybody can compute it.
 * A caller goes to the candidate iff the bucket is below the share in ppm, so raising the share only ever moves
 * callers from the baseline to the candidate.
 */
export function bucketOfKey(salt: string, key: string): number {
  return Math.floor((murmur3(`${salt}:${key}`, SPLIT_SEED) * PPM) / 0x1_0000_0000);
}
