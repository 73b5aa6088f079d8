import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { backoffMs, spreadRetryAfterMs } from "../../src/policy/backoff.ts";

const anyBackoff = fc.record({
  initialMs: fc.integer({ min: 0, max: 600_000 }),
  maxMs: fc.integer({ min: 0, max: 3_600_000 }),
  multiplierMilli: fc.integer({ min: 1_000, max: 1_000_000 }),
});
const anyChance = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
const PLAN = { initialMs: 100, maxMs: 1_600, multiplierMilli: 2_000 };

test("the longest waits before retries double from the initial one to the largest", () => {
  const limits = [1, 2, 3, 4, 5, 6, 7].map((retry) => Math.round(backoffMs(PLAN, retry, () => 1 - Number.EPSILON)));
  assert.deepEqual(limits, [100, 200, 400, 800, 1_600, 1_600, 1_600]);
});

test("a wait is never negative, and below its limit, which never exceeds the largest", () => {
  fc.assert(
    fc.property(anyBackoff, fc.integer({ min: 1, max: 2_000 }), anyChance, (backoff, retry, chance) => {
      const waitMs = backoffMs(backoff, retry, () => chance);
      const limitMs = Math.min(backoff.maxMs, backoff.initialMs * (backoff.multiplierMilli / 1_000) ** (retry - 1));
      assert.ok(waitMs >= 0, `${waitMs}`);
      assert.ok(waitMs < limitMs || waitMs === 0, `${waitMs} of ${limitMs}`);
      assert.ok(waitMs <= backoff.maxMs);
    }),
  );
});

test("full jitter: the wait is the chance's part of its limit, so that it is uniform when the chance is", () => {
  fc.assert(
    fc.property(anyBackoff, fc.integer({ min: 1, max: 10 }), anyChance, (backoff, retry, chance) => {
      const whole = backoffMs(backoff, retry, () => 0.5) * 2;
      assert.ok(Math.abs(backoffMs(backoff, retry, () => chance) - chance * whole) <= whole * 1e-12);
    }),
  );
});

test("for the same chance a later retry never waits for less", () => {
  fc.assert(
    fc.property(anyBackoff, fc.integer({ min: 1, max: 50 }), anyChance, (backoff, retry, chance) => {
      assert.ok(backoffMs(backoff, retry + 1, () => chance) >= backoffMs(backoff, retry, () => chance));
    }),
  );
});

test("a Retry-After is waited at least, at most half as long again, and never beyond the limit", () => {
  const anyPair = fc
    .tuple(fc.integer({ min: 0, max: 300_000 }), fc.integer({ min: 0, max: 300_000 }))
    .map(([a, b]) => [Math.min(a, b), Math.max(a, b)] as const);
  fc.assert(
    fc.property(anyPair, anyChance, ([retryAfterMs, maxMs], chance) => {
      const waitMs = spreadRetryAfterMs(retryAfterMs, maxMs, () => chance);
      assert.ok(waitMs >= retryAfterMs);
      assert.ok(waitMs <= Math.min(maxMs, retryAfterMs * 1.5));
    }),
  );
});
