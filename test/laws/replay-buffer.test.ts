import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Chunk } from "../../src/model/exchange-types.ts";
import { ReplayBuffer } from "../../src/policy/replay-buffer.ts";

const anyChunk: fc.Arbitrary<Chunk> = fc.oneof(
  fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
  fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes).toString("latin1")),
);

function bytesOf(chunks: readonly Chunk[]): Buffer {
  return Buffer.concat(chunks.map((chunk) => (typeof chunk === "string" ? Buffer.from(chunk, "latin1") : chunk)));
}

test("a buffer holds exactly what came while that fits, and nothing from the first byte that does not", () => {
  fc.assert(
    fc.property(fc.nat({ max: 1_000 }), fc.array(anyChunk, { maxLength: 60 }), (limit, chunks) => {
      const buffer = new ReplayBuffer(limit);
      let length = 0;
      let burst = false;
      for (const [index, chunk] of chunks.entries()) {
        buffer.add(chunk);
        length += chunk.length;
        burst ||= length > limit;
        assert.equal(buffer.isWhole, !burst);
        const expected: Buffer = burst ? Buffer.alloc(0) : bytesOf(chunks.slice(0, index + 1));
        assert.ok(bytesOf(buffer.chunks).equals(expected));
      }
    }),
  );
});

test("pieces without number are kept in few, and say the same", () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 5_000 }), fc.integer({ min: 1, max: 3 }), (count, size) => {
      const buffer = new ReplayBuffer(65_536);
      const pieces = Array.from({ length: count }, (_, i) => Buffer.alloc(size, i % 251));
      for (const [i, piece] of pieces.entries()) buffer.add(i % 2 === 0 ? piece : piece.toString("latin1"));
      assert.equal(buffer.isWhole, true);
      assert.ok(buffer.chunks.length <= 256, `${buffer.chunks.length} pieces`);
      assert.ok(bytesOf(buffer.chunks).equals(Buffer.concat(pieces)));
    }),
    { numRuns: 50 },
  );
});

test("a body exactly as long as the limit is kept, a byte more is not", () => {
  const buffer = new ReplayBuffer(5);
  buffer.add("abc");
  buffer.add(Buffer.from("de"));
  assert.deepEqual([buffer.isWhole, bytesOf(buffer.chunks).toString()], [true, "abcde"]);
  buffer.add("f");
  assert.deepEqual([buffer.isWhole, buffer.chunks], [false, []]);
});

test("a request without a body is whole, whatever the limit", () => {
  const buffer = new ReplayBuffer(0);
  buffer.add("");
  assert.deepEqual([buffer.isWhole, buffer.chunks], [true, []]);
});

test("what was dropped stays dropped", () => {
  const buffer = new ReplayBuffer(10);
  buffer.add("abc");
  buffer.drop();
  buffer.add("def");
  assert.deepEqual([buffer.isWhole, buffer.chunks], [false, []]);
});

test("pieces are passed on as they came, without a copy", () => {
  const buffer = new ReplayBuffer(100_000);
  const large = Buffer.alloc(20_000);
  buffer.add("text");
  buffer.add(large);
  assert.equal(buffer.chunks[0], "text");
  assert.equal(buffer.chunks[1], large);
});
