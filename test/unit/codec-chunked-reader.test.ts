import assert from "node:assert/strict";
import { test } from "node:test";
import { ChunkedReader } from "../../src/codec/chunked-reader.ts";
import { chunkedBodyOf, type ChunkedResult } from "../support/chunked-body.ts";
import { llhttpRequest } from "../support/llhttp.ts";

const LIMITS = { maxLineBytes: 16_384, maxTrailerBytes: 16_384 };
const POST = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";

function read(...pieces: readonly string[]): ChunkedResult {
  return chunkedBodyOf(pieces, LIMITS);
}

function rangesIn(reader: ChunkedReader, text: string, offset = 0): number[] {
  const ranges: number[] = [];
  reader.read(Buffer.from(text, "latin1"), offset, text.length, ranges);
  return ranges;
}

test("the body is told as ranges of the bytes that were shown", () => {
  const reader = new ChunkedReader(LIMITS);
  assert.deepEqual(rangesIn(reader, "..5\r\nhello\r\n1\r\n", 2), [5, 10]);
  assert.deepEqual(rangesIn(reader, "!\r\n3\r\nab"), [0, 1, 6, 8]);
  assert.equal(reader.done, false);
  assert.deepEqual(rangesIn(reader, "c\r\n0\r\n\r\n"), [0, 1]);
  assert.equal(reader.done, true);
  assert.equal(reader.trailers, null);
});

test("nothing is read in front of the offset, behind the end, or behind the message", () => {
  const reader = new ChunkedReader(LIMITS);
  const bytes = Buffer.from("zz2\r\nab\r\n0\r\n\r\nGET / HTTP/1.1");
  const ranges: number[] = [];
  assert.equal(reader.read(bytes, 2, 6, ranges), 6);
  assert.equal(reader.read(bytes, 6, bytes.length, ranges), 14);
  assert.deepEqual(ranges, [5, 6, 6, 7]);
  assert.equal(reader.read(bytes, 14, bytes.length, ranges), 14);
});

test("trailer fields are told in order once the message is whole", () => {
  const { body, trailers, length } = read("1\r\nx\r\n0\r\nX-A: 1 \r\nx-b:\t2\r\nX-A:\r\n\r\nmore");
  assert.deepEqual([body, trailers, length], ["x", ["X-A", "1", "x-b", "2", "X-A", ""], 34]);
  const reader = new ChunkedReader(LIMITS);
  rangesIn(reader, "0\r\nX-A: 1\r\n");
  assert.equal(reader.trailers, null);
});

const BODIES: readonly string[] = [
  "0\r\n\r\n",
  "000\r\n\r\n",
  "a\r\n0123456789\r\n0\r\n\r\n",
  "A\r\n0123456789\r\n0\r\n\r\n",
  "0000000000000001\r\nx\r\n0\r\n\r\n",
  "",
  "5",
  "5\r",
  "5\r\nhel",
  "5\r\nhello\r\n",
  "5\r\nhello\r\n0\r\n",
  "0\r\nX: y\r\n\r",
  "1fffffffffffff\r\nx",
  // Sizes and line ends.
  "\r\n",
  "5\nhello\r\n0\r\n\r\n",
  "5\r\nhello\n0\r\n\r\n",
  "5\r\nhelloXX0\r\n\r\n",
  "5\r\nhello\rX",
  "5\r\nhelloX\n0\r\n\r\n",
  "5\rX",
  "0\r\n\n",
  "0\r\n\rX",
  "g\r\n",
  "5g\r\n",
  "0x5\r\nhello\r\n0\r\n\r\n",
  "+5\r\nhello\r\n0\r\n\r\n",
  "-5\r\nhello\r\n0\r\n\r\n",
  " 5\r\nhello\r\n0\r\n\r\n",
  "5 \r\nhello\r\n0\r\n\r\n",
  "5\t\r\nhello\r\n0\r\n\r\n",
  "5_0\r\n",
  "@\r\n",
  "`\r\n",
  "\x10\r\n",
  // Extensions.
  "1;a\r\nx\r\n0\r\n\r\n",
  "1;a=b;c\r\nx\r\n0;d\r\n\r\n",
  '1;a="b c\t\xff"\r\nx\r\n0\r\n\r\n',
  '1;a="\\"\\\\";b\r\nx\r\n0\r\n\r\n',
  '1;a=b"c"\r\nx\r\n0\r\n\r\n',
  "1;a=\r\nx\r\n0\r\n\r\n",
  "1;=a\r\nx\r\n0\r\n\r\n",
  "1;;a\r\nx\r\n0\r\n\r\n",
  "1;\r\nx\r\n0\r\n\r\n",
  "1;a;\r\nx\r\n0\r\n\r\n",
  "1 ;a\r\nx\r\n0\r\n\r\n",
  "1; a\r\nx\r\n0\r\n\r\n",
  "1;a =b\r\nx\r\n0\r\n\r\n",
  "1;a= b\r\nx\r\n0\r\n\r\n",
  "1;a==b\r\nx\r\n0\r\n\r\n",
  '1;"a"\r\nx\r\n0\r\n\r\n',
  '1;a="b"c\r\nx\r\n0\r\n\r\n',
  '1;a="b\r\nx\r\n0\r\n\r\n',
  '1;a="\\\x01"\r\nx\r\n0\r\n\r\n',
  "1;a\nx\r\n0\r\n\r\n",
  "1;a\rx\r\n0\r\n\r\n",
  "1;a\0\r\nx\r\n0\r\n\r\n",
  "1;\xff\r\nx\r\n0\r\n\r\n",
  // Trailers.
  "0\r\nX:y\r\n\r\n",
  "0\r\nX: \r\n\r\n",
  "0\r\nHost: evil\r\nConnection: close\r\n\r\n",
  "0\r\nX : y\r\n\r\n",
  "0\r\nX\r\n\r\n",
  "0\r\n: y\r\n\r\n",
  "0\r\n X: y\r\n\r\n",
  "0\r\nX: y\r\n z\r\n\r\n",
  "0\r\nX: y\nZ: z\r\n\r\n",
  "0\r\nX: y\rZ: z\r\n\r\n",
  "0\r\nX: \0\r\n\r\n",
  "0\r\nX\xff: y\r\n\r\n",
  "0\r\nContent-Length: 5\r\n\r\n",
  "0\r\nTransfer-Encoding: chunked\r\n\r\n",
];

for (const wire of BODIES) {
  test(`${JSON.stringify(wire)} is what llhttp has it to be`, async () => {
    const ours = read(wire);
    const theirs = await llhttpRequest(POST + wire);
    assert.equal(ours.kind, theirs.kind, ours.problem ?? "");
    if (theirs.kind !== "message") return;
    assert.deepEqual([ours.body, ours.trailers], [theirs.message.body, theirs.message.trailers]);
  });
}

test("a size above what a number holds exactly, or of more than 16 digits, is refused", () => {
  for (const size of ["20000000000000", "ffffffffffffffff", "fffffffffffffffff", "00000000000000001"])
    assert.equal(read(`${size}\r\n`).problem, "a chunk size that is too large", size);
  assert.equal(read("1fffffffffffff\r\n").kind, "incomplete");
});

test("extensions are bounded over the whole body, trailers over their section", () => {
  const limits = { maxLineBytes: 10, maxTrailerBytes: 12 };
  const chunk = `1;${"e".repeat(4)}\r\nx\r\n`;
  assert.equal(chunkedBodyOf([chunk, chunk, "0\r\n\r\n"], limits).kind, "message");
  assert.equal(chunkedBodyOf([chunk, chunk, "0;e\r\n\r\n"], limits).problem, "chunk extensions that are too long");
  assert.equal(chunkedBodyOf(["0\r\nA: 12345\r\n\r\n"], limits).kind, "message");
  assert.equal(chunkedBodyOf(["0\r\nA: 123456\r\n\r\n"], limits).problem, "trailers that are too long");
});

test("at Node's own limit for extensions nothing is taken that Node refuses", async () => {
  for (const [name, length] of [
    ["within", 16_000],
    ["beyond", 16_385],
  ] as const) {
    const wire = `1;${"e".repeat(length)}\r\nx\r\n0\r\n\r\n`;
    const [ours, theirs] = [read(wire), await llhttpRequest(POST + wire)];
    assert.equal(ours.kind, theirs.kind, name);
    assert.equal(ours.kind, name === "within" ? "message" : "malformed");
  }
});

test("what was malformed stays so, and no more of it is read", () => {
  const reader = new ChunkedReader(LIMITS);
  assert.deepEqual(rangesIn(reader, "x"), []);
  assert.notEqual(reader.problem, null);
  const ranges: number[] = [];
  assert.equal(reader.read(Buffer.from("5\r\nhello\r\n0\r\n\r\n"), 0, 15, ranges), 0);
  assert.deepEqual([ranges, reader.done], [[], false]);
});
