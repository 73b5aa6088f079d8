import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { parseAnswerHead, type AnswerFraming } from "../../src/codec/answer-head.ts";
import { mayBecomeStrict, parseRequestHead } from "../../src/codec/request-head.ts";
import { answerHeadText, requestHeadText } from "../../src/codec/write-head.ts";
import { localAnswer } from "../../src/model/answer.ts";
import type { BodyFraming, OutgoingHead, RequestHead } from "../../src/model/exchange-types.ts";
import { textFromFields } from "../../src/model/field-lines.ts";
import { chunkedBodyOf } from "../support/chunked-body.ts";
import { llhttpAnswer, llhttpRequest } from "../support/llhttp.ts";
import {
  answerParts,
  chunkedBody,
  fields,
  fieldValue,
  headText,
  method,
  mutated,
  requestParts,
  target,
} from "../support/wire-arbitraries.ts";

const ORIGIN = { peerAddress: "127.0.0.1", localPort: 80, encrypted: false };
const LIMITS = { maxLineBytes: 16_384, maxTrailerBytes: 16_384 };
const POST = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
// More runs find rarer disagreements: CODEC_RUNS=60000 takes less than a minute.
const runs = { numRuns: Number(process.env["CODEC_RUNS"] ?? 400) };

/** The head at the start of `text`; null when there is none or it is not strict. */
function strictHead(text: string): RequestHead | null {
  const end = text.indexOf("\r\n\r\n");
  return end === -1 ? null : parseRequestHead(text, 0, end, ORIGIN);
}

/** The head alone, then just the body that it announces. */
function withBody(text: string, framing: BodyFraming | AnswerFraming): string {
  const head = text.slice(0, text.indexOf("\r\n\r\n") + 4);
  if (framing.kind === "length") return head + "b".repeat(framing.length);
  return framing.kind === "chunked" ? `${head}1\r\nb\r\n0\r\n\r\n` : head;
}

async function agreesWithLlhttp(text: string): Promise<boolean> {
  const head = strictHead(text);
  if (head === null || head.facts === null) return false;
  const { body } = head.facts;
  if (body.kind === "length" && body.length > 100_000) return false;
  assert.deepEqual(await llhttpRequest(withBody(text, body)), {
    kind: "message",
    message: {
      start: [head.method, head.target],
      headers: head.headers,
      body: body.kind === "length" ? "b".repeat(body.length) : body.kind === "chunked" ? "b" : "",
      trailers: [],
    },
  });
  return true;
}

test("whatever is accepted as a request head, llhttp reads to the same method, target and fields", async () => {
  let accepted = 0;
  const law = fc.asyncProperty(headText(requestParts), async (text) => {
    if (await agreesWithLlhttp(text)) accepted++;
  });
  await fc.assert(law, runs);
  assert.ok(accepted > runs.numRuns / 3, `only ${accepted} heads were accepted`);
});

test("a damaged request head never throws, and llhttp agrees where it is accepted all the same", async () => {
  let accepted = 0;
  const law = fc.asyncProperty(mutated(headText(requestParts)), async (text) => {
    mayBecomeStrict(text, 0);
    if (await agreesWithLlhttp(text)) accepted++;
  });
  await fc.assert(law, runs);
  assert.ok(accepted > runs.numRuns / 20, `only ${accepted} heads were accepted`);
});

test("every part of a strict head may become strict", () => {
  const law = fc.property(headText(requestParts), fc.nat(3), (text, before) => {
    if (strictHead(text) === null) return;
    const shifted = "\r".repeat(before) + text;
    for (let end = before; end <= shifted.length; end++) {
      assert.equal(mayBecomeStrict(shifted.slice(0, end), before), true, JSON.stringify(shifted.slice(0, end)));
    }
  });
  fc.assert(law, runs);
});

test("what can no longer become strict is not strict when it is complete", () => {
  const law = fc.property(mutated(headText(requestParts)), (text) => {
    const head = strictHead(text);
    const end = text.indexOf("\r\n\r\n") + 4;
    for (let cut = 0; cut <= end; cut++) if (!mayBecomeStrict(text.slice(0, cut), 0)) assert.equal(head, null);
  });
  fc.assert(law, runs);
});

test("a chunked body cut at any byte gives the same body, trailers and end", () => {
  const law = fc.property(chunkedBody, fc.nat(5), ({ wire, body, trailers }, before) => {
    const expected = { kind: "message", body, trailers, length: wire.length, problem: null };
    for (let cut = 0; cut <= wire.length; cut++) {
      assert.deepEqual(chunkedBodyOf([wire.slice(0, cut), `${wire.slice(cut)}HTTP`], LIMITS, before), expected);
    }
    assert.deepEqual(chunkedBodyOf([...wire], LIMITS, before), expected);
  });
  fc.assert(law, { ...runs, numRuns: runs.numRuns / 4 });
});

test("a chunked body is whole, unfinished or malformed as llhttp has it, damaged or not", async () => {
  const seen = { message: 0, incomplete: 0, malformed: 0 };
  const wires = fc.oneof(
    chunkedBody.map(({ wire }) => wire),
    mutated(chunkedBody.map(({ wire }) => wire)),
    fc.tuple(chunkedBody, fc.nat()).map(([{ wire }, cut]) => wire.slice(0, cut % wire.length)),
  );
  const law = fc.asyncProperty(wires, async (wire) => {
    const ours = chunkedBodyOf([wire], LIMITS);
    // llhttp takes sizes up to 2^64 and any number of leading zeros.
    if (ours.problem === "a chunk size that is too large") return;
    const theirs = await llhttpRequest(POST + wire);
    assert.equal(ours.kind, theirs.kind, `${JSON.stringify(wire)} ${JSON.stringify(ours)} ${JSON.stringify(theirs)}`);
    seen[ours.kind]++;
    if (theirs.kind !== "message") return;
    assert.deepEqual([ours.body, ours.trailers], [theirs.message.body, theirs.message.trailers]);
  });
  await fc.assert(law, runs);
  for (const count of Object.values(seen)) assert.ok(count > 0, JSON.stringify(seen));
});

test("a request head that was written is read as what it was", () => {
  const bodies = fc.oneof(
    fc.constant<BodyFraming>({ kind: "none" }),
    fc.constant<BodyFraming>({ kind: "chunked" }),
    fc.nat().map((length): BodyFraming => ({ kind: "length", length })),
  );
  const law = fc.property(method, target, fields, bodies, (method, target, all, body) => {
    const headers = ["Host", "a", ...withoutFraming(all)];
    const rest = { expectsContinue: false, hasTrailers: false, bodyFollowsLater: false };
    const outgoing: OutgoingHead = { method, target, fields: textFromFields(headers), body, ...rest };
    const head = strictHead(requestHeadText(outgoing));
    // A broken escape is no matter of syntax.
    if (head === null) {
      assert.match(target, /%/);
      return;
    }
    assert.deepEqual([head.method, head.target], [method, target]);
    assert.deepEqual(head.headers.slice(0, headers.length), headers);
    assert.deepEqual(head.facts?.body, body);
  });
  fc.assert(law, runs);
});

test("an answer head that was written is read as what it was", () => {
  const statuses = fc.integer({ min: 100, max: 999 });
  const law = fc.property(statuses, fieldValue, fields, (status, reason, all) => {
    const headers = withoutFraming(all);
    const text = answerHeadText(localAnswer(status, reason, headers), "x-extra: 1\r\n");
    const answer = parseAnswerHead(text, 0, text.length - 4, "GET");
    assert.ok(typeof answer !== "string");
    const { lines, ...head } = answer.head;
    assert.ok(lines !== undefined);
    assert.deepEqual(head, { status, reason, headers: [...headers, "x-extra", "1"] });
  });
  fc.assert(law, runs);
});

test("whatever is accepted as an answer head, damaged or not, llhttp reads to the same status, fields and body", async () => {
  let accepted = 0;
  const texts = fc.oneof(headText(answerParts), mutated(headText(answerParts)));
  const law = fc.asyncProperty(texts, fc.constantFrom("GET", "HEAD"), async (text, method) => {
    const end = text.indexOf("\r\n\r\n");
    const answer = end === -1 ? "incomplete" : parseAnswerHead(text, 0, end, method);
    if (typeof answer === "string" || answer.head.status < 200) return;
    const { framing, head } = answer;
    if (repeatsLength(head.headers)) return;
    if (framing.kind === "length" && framing.length > 100_000) return;
    accepted++;
    const body = framing.kind === "length" ? "b".repeat(framing.length) : framing.kind === "none" ? "" : "b";
    const bytes = withBody(text, framing) + (framing.kind === "until-close" ? body : "");
    const message = { start: [String(head.status), head.reason], headers: head.headers, body, trailers: [] };
    assert.deepEqual(await llhttpAnswer(bytes, method), { kind: "message", message });
  });
  await fc.assert(law, runs);
  assert.ok(accepted > runs.numRuns / 3, `only ${accepted} heads were accepted`);
});

/** llhttp refuses two lengths even when they are the same. */
function repeatsLength(headers: readonly string[]): boolean {
  return headers.filter((name, i) => i % 2 === 0 && /^content-length$/i.test(name)).length > 1;
}

function withoutFraming(all: readonly string[]): string[] {
  const out: string[] = [];
  for (let i = 0; i < all.length; i += 2) {
    if (!/^(?:content-length|transfer-encoding)$/i.test(all[i] as string)) {
      out.push(all[i] as string, all[i + 1] as string);
    }
  }
  return out;
}
