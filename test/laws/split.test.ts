import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { murmur3, murmur3Bytes } from "../../src/base/murmur3.ts";
import { bucketOfKey, PPM } from "../../src/model/split.ts";

const anyText = fc.string({ unit: "binary", maxLength: 40 });
const ascii = fc.string({ unit: "binary-ascii", maxLength: 40 });
const anySeed = fc.integer({ min: 0, max: 0xffff_ffff });
const anyShare = fc.integer({ min: 0, max: PPM });

test("hashing an ASCII text gives what hashing its bytes gives", () => {
  fc.assert(
    fc.property(ascii, anySeed, (text, seed) => {
      assert.equal(murmur3(text, seed), murmur3Bytes(Buffer.from(text, "utf8"), seed));
    }),
  );
});

test("a hash is an unsigned 32-bit integer, the same each time, for any text and seed", () => {
  fc.assert(
    fc.property(anyText, anySeed, (text, seed) => {
      const hash = murmur3(text, seed);
      assert.ok(Number.isInteger(hash) && hash >= 0 && hash <= 0xffff_ffff, String(hash));
      assert.equal(murmur3(text, seed), hash);
    }),
  );
});

test("a bucket is an integer from 0 to 999 999 and follows the published formula", () => {
  fc.assert(
    fc.property(anyText, anyText, (salt, key) => {
      const bucket = bucketOfKey(salt, key);
      assert.ok(Number.isInteger(bucket) && bucket >= 0 && bucket < PPM, String(bucket));
      const hash = BigInt(murmur3Bytes(Buffer.from(`${salt}:${key}`, "utf8"), 0));
      assert.equal(BigInt(bucket), (hash * 1_000_000n) >> 32n);
    }),
  );
});

test("raising the share never moves a caller back to the baseline, lowering it never one to the candidate", () => {
  fc.assert(
    fc.property(anyText, anyText, anyShare, anyShare, (salt, key, one, other) => {
      const bucket = bucketOfKey(salt, key);
      const low = bucket < Math.min(one, other);
      const high = bucket < Math.max(one, other);
      assert.ok(!low || high, "a candidate's caller stays one under the higher share");
    }),
  );
});

test("a share of nothing takes nobody and a share of everything takes everybody", () => {
  fc.assert(
    fc.property(anyText, (key) => {
      const bucket = bucketOfKey("salt", key);
      assert.ok(!(bucket < 0) && bucket < PPM);
    }),
  );
});

// The keys are fixed, so these measure the hash and not luck: they pass always or never.
const KEY_COUNT = 100_000;

for (const salt of ["api", "checkout-2026"]) {
  for (const ppm of [10_000, 50_000, 100_000, 250_000, 500_000, 750_000, 990_000]) {
    test(`of ${KEY_COUNT} keys, ${ppm / 10_000} % within 3 standard deviations go to the candidate (salt ${salt})`, () => {
      let taken = 0;
      for (let i = 0; i < KEY_COUNT; i++) if (bucketOfKey(salt, `user-${i}`) < ppm) taken++;
      const share = ppm / PPM;
      const sigma = Math.sqrt(KEY_COUNT * share * (1 - share));
      assert.ok(Math.abs(taken - KEY_COUNT * share) <= 3 * sigma, `${taken} taken, sigma ${sigma.toFixed(1)}`);
    });
  }
}

test("a ramp over 1, 5, 25, 50 and 100 % only adds callers, and rolling back only removes them", () => {
  const buckets = Array.from({ length: KEY_COUNT }, (_, i) => bucketOfKey("ramp", `user-${i}`));
  let before = new Set<number>();
  for (const ppm of [10_000, 50_000, 250_000, 500_000, PPM]) {
    const now = new Set(buckets.keys().filter((i) => (buckets[i] as number) < ppm));
    assert.ok(before.isSubsetOf(now), `${ppm} ppm`);
    assert.ok(now.size > before.size);
    before = now;
  }
  assert.equal(before.size, KEY_COUNT);
});

test("two salts move different callers first", () => {
  let both = 0;
  for (let i = 0; i < KEY_COUNT; i++) {
    if (bucketOfKey("a", `user-${i}`) < 100_000 && bucketOfKey("b", `user-${i}`) < 100_000) both++;
  }
  const expected = KEY_COUNT * 0.01;
  assert.ok(Math.abs(both - expected) <= 3 * Math.sqrt(expected * 0.99), `${both} callers are in both`);
});
