import assert from "node:assert/strict";
import { test } from "node:test";
import { murmur3, murmur3Bytes } from "../../src/base/murmur3.ts";

// The contract's vectors: anybody who computes buckets elsewhere checks against these.
const VECTORS: readonly (readonly [text: string, seed: number, hash: number])[] = [
  ["", 0, 0],
  ["", 1, 0x514e28b7],
  ["hello", 0, 0x248bfa47],
  ["hello, world", 0, 0x149bbb7f],
  ["The quick brown fox jumps over the lazy dog", 0x9747b28c, 0x2fa826cd],
];

for (const [text, seed, hash] of VECTORS) {
  test(`murmur3 of ${JSON.stringify(text)} with seed ${seed} is ${hash.toString(16)}`, () => {
    assert.equal(murmur3(text, seed), hash);
    assert.equal(murmur3Bytes(Buffer.from(text), seed), hash);
  });
}

test("the seed is 0 unless given", () => {
  assert.equal(murmur3("hello"), murmur3("hello", 0));
  assert.equal(murmur3Bytes(Buffer.from("hello")), murmur3Bytes(Buffer.from("hello"), 0));
});

test("text outside ASCII is hashed as its UTF-8 bytes", () => {
  for (const text of ["é", "naïve", "日本語", "👩‍🚀 x", "a\u0080"]) {
    assert.equal(murmur3(text, 3), murmur3Bytes(Buffer.from(text, "utf8"), 3), text);
  }
});

test("a DEL, the last ASCII character, and a 0x80, the first beyond, are told apart", () => {
  assert.equal(murmur3("\u007f"), murmur3Bytes(Uint8Array.of(0x7f)));
  assert.equal(murmur3("\u0080"), murmur3Bytes(Uint8Array.of(0xc2, 0x80)));
});
