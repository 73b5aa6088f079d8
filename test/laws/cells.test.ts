import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  EPOCH_MASK,
  packControlWord,
  STATUS_SLOTS,
  statusSlot,
  wordEpoch,
  wordKilled,
  wordPpm,
} from "../../src/base/cells.ts";

const anyWord = fc.record({
  candidatePpm: fc.integer({ min: 0, max: 1_000_000 }),
  killed: fc.boolean(),
  epoch: fc.integer({ min: 0, max: 1_000_000 }),
});

test("a control word gives back what was packed, the epoch in its low bits", () => {
  fc.assert(
    fc.property(anyWord, (word) => {
      const packed = packControlWord(word);
      assert.equal(wordPpm(packed), word.candidatePpm);
      assert.equal(wordKilled(packed), word.killed);
      assert.equal(wordEpoch(packed), word.epoch & EPOCH_MASK);
    }),
    { examples: [[{ candidatePpm: 1_000_000, killed: true, epoch: EPOCH_MASK }]] },
  );
});

test("a control word survives the shared memory that it lives in", () => {
  const words = new Int32Array(new SharedArrayBuffer(4));
  fc.assert(
    fc.property(anyWord, (word) => {
      const packed = packControlWord(word);
      Atomics.store(words, 0, packed);
      assert.equal(Atomics.load(words, 0), packed);
      assert.equal(wordPpm(Atomics.load(words, 0)), word.candidatePpm);
    }),
  );
});

test("words that differ in share, kill or epoch are different words", () => {
  fc.assert(
    fc.property(anyWord, anyWord, (one, other) => {
      const same =
        one.candidatePpm === other.candidatePpm &&
        one.killed === other.killed &&
        (one.epoch & EPOCH_MASK) === (other.epoch & EPOCH_MASK);
      assert.equal(packControlWord(one) === packControlWord(other), same);
    }),
  );
});

test("any status, a nonsensical one too, has a slot inside the table", () => {
  fc.assert(
    fc.property(fc.integer(), (status) => {
      const slot = statusSlot(status);
      assert.ok(slot >= 0 && slot < STATUS_SLOTS.length);
      assert.ok(slot === 0 || STATUS_SLOTS[slot] === status);
    }),
  );
});
