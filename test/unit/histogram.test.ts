import assert from "node:assert/strict";
import { test } from "node:test";
import { BUCKET_COUNT, bucketOf } from "../../src/base/histogram.ts";

test("what is shorter than the lowest bound, zero and negative included, is in the first bucket", () => {
  for (const durationMs of [0, -1, -Infinity, 0.01, 1000 * 2 ** -13]) assert.equal(bucketOf(durationMs), 0);
});

test("what is longer than 128 s is in the last bucket", () => {
  assert.equal(bucketOf(128_000), BUCKET_COUNT - 2);
  for (const durationMs of [128_001, 1e9, Infinity]) assert.equal(bucketOf(durationMs), BUCKET_COUNT - 1);
});

test("what is no number is counted in the first bucket rather than nowhere", () => {
  assert.equal(bucketOf(Number.NaN), 0);
});
