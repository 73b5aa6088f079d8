/** Heads and chunks between bytes and messages, both directions. Run: node bench/micro/codec.ts */
import { bench, do_not_optimize, run, summary } from "mitata";
import { parseAnswerHead } from "../../src/codec/answer-head.ts";
import { ChunkedReader } from "../../src/codec/chunked-reader.ts";
import { parseRequestHead } from "../../src/codec/request-head.ts";
import { answerHeadText, requestHeadText } from "../../src/codec/write-head.ts";
import { localAnswer } from "../../src/model/answer.ts";
import type { OutgoingHead, RawHeaders } from "../../src/model/exchange-types.ts";
import { textFromFields } from "../../src/model/field-lines.ts";
import { SAMPLE_ANSWER, SAMPLE_HEAD, SMALL_ANSWER, SMALL_HEAD } from "./sample-head.ts";

const ORIGIN = { peerAddress: "10.0.0.7", localPort: 8080, encrypted: false };
/** Buffers of Node have these; its types do not say so. */
type Latin1Buffer = Buffer & {
  latin1Slice(start: number, end: number): string;
  latin1Write(text: string, offset: number): number;
};

const out = Buffer.alloc(16_384) as Latin1Buffer;

summary(() => {
  for (const [name, head] of [
    ["2 fields", SMALL_HEAD],
    ["14 fields", SAMPLE_HEAD],
  ] as const) {
    const outgoing: OutgoingHead = {
      method: head.method,
      target: head.target,
      fields: textFromFields(head.headers),
      body: { kind: "none" },
      expectsContinue: false,
      hasTrailers: false,
      bodyFollowsLater: false,
    };
    const bytes = Buffer.from(requestHeadText(outgoing), "latin1") as Latin1Buffer;
    if (parseRequest(bytes) === null) throw new Error("the sample head was refused");
    bench(`slice and parse a request head, ${name}`, () => do_not_optimize(parseRequest(bytes)));
    bench(`build and write a request head, ${name}`, () => do_not_optimize(written(requestHeadText(outgoing))));
  }
});

summary(() => {
  for (const [name, head] of [
    ["5 fields", SMALL_ANSWER],
    ["12 fields", SAMPLE_ANSWER],
  ] as const) {
    const bytes = Buffer.from(
      answerHeadText(localAnswer(head.status, head.reason, head.headers), ""),
      "latin1",
    ) as Latin1Buffer;
    if (typeof parseAnswer(bytes) === "string") throw new Error("the sample answer was refused");
    bench(`slice and parse an answer head, ${name}`, () => do_not_optimize(parseAnswer(bytes)));
    bench(`build and write an answer head, ${name}`, () => do_not_optimize(writtenAnswer(head.headers)));
  }
});

summary(() => {
  const bytes = Buffer.from(`${`1000\r\n${"x".repeat(4_096)}\r\n`.repeat(4)}0\r\n\r\n`, "latin1");
  const ranges: number[] = [];
  bench("read a chunked body of 4 chunks", () => {
    const reader = new ChunkedReader({ maxLineBytes: 16_384, maxTrailerBytes: 16_384 });
    ranges.length = 0;
    reader.read(bytes, 0, bytes.length, ranges);
    do_not_optimize(reader.done);
  });
});

await run();

function parseRequest(bytes: Latin1Buffer): unknown {
  const text = bytes.latin1Slice(0, bytes.length);
  return parseRequestHead(text, 0, text.indexOf("\r\n\r\n"), ORIGIN);
}

function parseAnswer(bytes: Latin1Buffer): unknown {
  const text = bytes.latin1Slice(0, bytes.length);
  return parseAnswerHead(text, 0, text.indexOf("\r\n\r\n"), "GET");
}

// A text of many pieces is made flat when it is written, so the price of building it shows only here.
function written(text: string): number {
  return out.latin1Write(text, 0);
}

function writtenAnswer(headers: RawHeaders): number {
  return written(answerHeadText(localAnswer(200, "OK", headers), "connection: keep-alive\r\n"));
}
