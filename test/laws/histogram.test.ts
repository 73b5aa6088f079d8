import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { BUCKET_COUNT, bucketOf, bucketUpperBound } from "../../src/base/histogram.ts";

const anyDurationMs = fc.oneof(
  fc.double({ min: 0, max: 300_000, noNaN: true }),
  fc.double({ min: -20, max: 12, noNaN: true }).map((exponent) => 1000 * 2 ** exponent),
);

test("a duration is at or below its bucket's bound and above the one before", () => {
  fc.assert(
    fc.property(anyDurationMs, (durationMs) => {
      const index = bucketOf(durationMs);
      const seconds = durationMs / 1000;
      assert.ok(index >= 0 && index < BUCKET_COUNT);
      // The logarithm is right to the last bit or so: at a bound itself, that much may tip it over.
      assert.ok(seconds <= bucketUpperBound(index) * (1 + 1e-14), `${seconds} s in bucket ${index}`);
      if (index > 0) assert.ok(seconds > bucketUpperBound(index - 1) * (1 - 1e-14), `${seconds} s in bucket ${index}`);
    }),
    { numRuns: 2_000 },
  );
});

test("a longer duration is never in a lower bucket", () => {
  fc.assert(
    fc.property(anyDurationMs, anyDurationMs, (one, other) => {
      assert.ok(bucketOf(Math.min(one, other)) <= bucketOf(Math.max(one, other)));
    }),
    { numRuns: 2_000 },
  );
});

test("bounds rise, eight to a doubling, from 2^-13 s to 2^7 s and then without end", () => {
  for (let index = 1; index < BUCKET_COUNT; index++) {
    assert.ok(bucketUpperBound(index) > bucketUpperBound(index - 1), `bucket ${index}`);
  }
  for (let index = 8; index < BUCKET_COUNT - 1; index++) {
    const ratio = bucketUpperBound(index) / bucketUpperBound(index - 8);
    assert.ok(Math.abs(ratio - 2) < 1e-12, `bucket ${index}: ${ratio}`);
  }
  assert.equal(bucketUpperBound(0), 2 ** -13);
  assert.equal(bucketUpperBound(BUCKET_COUNT - 2), 2 ** 7);
  assert.equal(bucketUpperBound(BUCKET_COUNT - 1), Infinity);
});

test("a power of two is in the bucket that it bounds", () => {
  for (let exponent = -13; exponent <= 7; exponent++) {
    const seconds = 2 ** exponent;
    assert.equal(bucketUpperBound(bucketOf(seconds * 1000)), seconds);
  }
});
