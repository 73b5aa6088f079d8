import assert from "node:assert/strict";
import { test } from "node:test";
import type { ResponseHead } from "../../src/model/exchange-types.ts";
import { parseAnswerHead, type AnswerFraming, type AnswerHead } from "../../src/codec/answer-head.ts";
import { chunkedBodyOf } from "../support/chunked-body.ts";
import { expanded, readAnswerCases } from "../support/corpus.ts";
import { llhttpAnswer } from "../support/llhttp.ts";

const LIMITS = { maxLineBytes: 16_384, maxTrailerBytes: 16_384 };

function parsed(text: string, method = "GET", start = 0): AnswerHead | string {
  return parseAnswerHead(text, start, text.indexOf("\r\n\r\n", start), method);
}

function answerOf(startLine: string, ...lines: readonly string[]): AnswerHead | string {
  return parsed([startLine, ...lines, "", ""].join("\r\n"));
}

function framingOf(lines: readonly string[], status = 200, method = "GET"): AnswerFraming | string {
  const answer = parsed([`HTTP/1.1 ${status} OK`, ...lines, "", ""].join("\r\n"), method);
  return typeof answer === "string" ? answer : answer.framing;
}

function stays(version: string, ...lines: readonly string[]): boolean {
  const answer = answerOf(`HTTP/${version} 200 OK`, ...lines);
  assert.ok(typeof answer !== "string");
  return answer.keepsAlive;
}

function timeoutMs(...lines: readonly string[]): number | null {
  const answer = answerOf("HTTP/1.1 200 OK", ...lines);
  assert.ok(typeof answer !== "string");
  return answer.keepAliveTimeoutMs;
}

function toldIn({ status, reason, headers }: ResponseHead): ResponseHead {
  return { status, reason, headers };
}

test("an answer's head is read byte for byte, order, case and repeats kept", () => {
  const answer = answerOf("HTTP/1.1 200 Very  OK", "Set-Cookie: a", "X-E:", "set-cookie:\tb ", "Content-Length: 5");
  assert.ok(typeof answer !== "string");
  assert.deepEqual(toldIn(answer.head), {
    status: 200,
    reason: "Very  OK",
    headers: ["Set-Cookie", "a", "X-E", "", "set-cookie", "b", "Content-Length", "5"],
  });
  const { head: _head, ...rest } = answer;
  assert.deepEqual(rest, {
    minorVersion: 1,
    framing: { kind: "length", length: 5 },
    keepsAlive: true,
    keepAliveTimeoutMs: null,
  });
});

test("a head is found behind other bytes, and what follows it is not looked at", () => {
  const first = "HTTP/1.1 103 Early Hints\r\nLink: <1>\r\n\r\n";
  const answer = parsed(`${first}HTTP/1.0 404 No\r\nA: b\r\n\r\n\0\r\n\r\n`, "GET", first.length);
  assert.ok(typeof answer !== "string");
  assert.deepEqual(toldIn(answer.head), { status: 404, reason: "No", headers: ["A", "b"] });
  assert.equal(answer.minorVersion, 0);
});

test("a reason may be empty, absent or of any text", () => {
  for (const [line, reason] of [
    ["HTTP/1.1 200 ", ""],
    ["HTTP/1.1 200", ""],
    ["HTTP/1.1 200 d\xe9j\xe0\tvu", "d\xe9j\xe0\tvu"],
    ["HTTP/1.1 200  x", " x"],
  ] as const) {
    const answer = answerOf(line);
    assert.ok(typeof answer !== "string", line);
    assert.deepEqual(toldIn(answer.head), { status: 200, reason, headers: [] });
  }
});

test("a malformed status line is refused", () => {
  const versions = [
    "HTTP/2.0 200 OK",
    "HTTP/1.2 200 OK",
    "HTTP/1.10 200 OK",
    "http/1.1 200 OK",
    "ICY 200 OK",
    "HTTP/1.1",
  ];
  const statuses = ["099", "000", "20", "2000", "abc", "-20", "", "2 0"].map((status) => `HTTP/1.1 ${status} OK`);
  const others = [
    "HTTP/1.1  200 OK",
    "HTTP/1.1\t200 OK",
    "HTTP/1.1 200\tOK",
    "HTTP/1.1 200 O\0K",
    "HTTP/1.1 200 O\rK",
    "",
  ];
  for (const line of [...versions, ...statuses, ...others, "HTTP/1.1 200 OK\nA: b", "\r\nHTTP/1.1 200 OK"])
    assert.equal(answerOf(line, "Content-Length: 5"), "a malformed status line", line);
});

test("a malformed field is refused, and why is said", () => {
  for (const [line, problem] of [
    ["A : b", "a space before a colon"],
    ["A\t: b", "a space before a colon"],
    [" A: b", "a folded field line"],
    ["A: b\r\n c", "a folded field line"],
    [": b", "an empty field name"],
    ["A", "a field line without a colon"],
    ["A: b\nC: d", "a bare LF"],
    ["A: b\rC: d", "a bare CR"],
    ["A: \0", "a byte that a field cannot hold"],
    ["A: \x7f", "a byte that a field cannot hold"],
    ["A[]: b", "a byte that a field cannot hold"],
    ["\xe4: b", "a byte that a field cannot hold"],
  ] as const) {
    assert.equal(answerOf("HTTP/1.1 200 OK", line, "Content-Length: 5"), problem, line);
    assert.equal(answerOf("HTTP/1.1 200 OK", "Content-Length: 5", line), problem, line);
  }
});

test("a body is framed by its length, by chunks, or by the end of the connection", () => {
  assert.deepEqual(framingOf(["Content-Length: 5"]), { kind: "length", length: 5 });
  assert.deepEqual(framingOf(["content-length: 0"]), { kind: "length", length: 0 });
  assert.deepEqual(framingOf(["Content-Length: 5", "content-length: 5"]), { kind: "length", length: 5 });
  assert.deepEqual(framingOf(["Transfer-Encoding: Chunked"]), { kind: "chunked" });
  assert.deepEqual(framingOf([]), { kind: "until-close" });
  assert.deepEqual(framingOf(["Content-Length: 5"], 205), { kind: "length", length: 5 });
});

test("interim answers, 204, 304 and answers to HEAD have no body whatever their fields say", () => {
  for (const fields of [[], ["Content-Length: 5"], ["Transfer-Encoding: chunked"], ["Transfer-Encoding: gzip"]]) {
    for (const status of [100, 101, 103, 199, 204, 304])
      assert.deepEqual(framingOf(fields, status), { kind: "none" }, `${status}`);
    assert.deepEqual(framingOf(fields, 200, "HEAD"), { kind: "none" });
  }
});

test("framing that two parsers could read differently is refused", () => {
  for (const value of ["-5", "+5", "0x5", "", "5, 5", "5 5", "5,", "1e3", "5.0", "1234567890123456"])
    assert.equal(framingOf([`Content-Length: ${value}`]), "a malformed length", value);
  assert.equal(framingOf(["Content-Length: 5", "Content-Length: 6"]), "lengths that differ");
  assert.equal(framingOf(["Content-Length: 5", "Content-Length: 05"]), "lengths that differ");
  assert.equal(framingOf(["Content-Length: 6", "Content-Length: 5", "Content-Length: 5"]), "lengths that differ");
  assert.equal(framingOf(["Content-Length: 5", "Transfer-Encoding: chunked"]), "a length and a transfer coding");
  for (const value of [
    "gzip",
    "gzip, chunked",
    "chunked, gzip",
    "chunked, chunked",
    "xchunked",
    "chunked;q=1",
    "identity",
  ])
    assert.equal(framingOf([`Transfer-Encoding: ${value}`]), "a transfer coding other than chunked", value);
  const twice = ["Transfer-Encoding: chunked", "transfer-encoding: chunked"];
  assert.equal(framingOf(twice), "a transfer coding other than chunked");
  assert.equal(framingOf(["Transfer-Encoding: chunked\t"]), "a tab behind a transfer coding");
  assert.equal(framingOf(["Transfer-Encoding: "]), "an empty transfer coding");
  assert.equal(answerOf("HTTP/1.0 200 OK", "Transfer-Encoding: chunked"), "a transfer coding in HTTP/1.0");
});

test("a malformed or doubtful length is refused where there is no body too", () => {
  assert.equal(framingOf(["Content-Length: x"], 304), "a malformed length");
  assert.equal(framingOf(["Content-Length: 5", "Content-Length: 6"], 200, "HEAD"), "lengths that differ");
  const both = ["Content-Length: 5", "Transfer-Encoding: chunked"];
  assert.equal(framingOf(both, 200, "HEAD"), "a length and a transfer coding");
});

test("a connection outlives its answer unless one side's rules say otherwise", () => {
  const length = "Content-Length: 5";
  assert.equal(stays("1.1", length), true);
  assert.equal(stays("1.1", length, "Connection: keep-alive"), true);
  assert.equal(stays("1.1", length, "Connection: x-hop"), true);
  assert.equal(stays("1.1", length, "Connection: close"), false);
  assert.equal(stays("1.1", length, "Connection: Close"), false);
  assert.equal(stays("1.1", length, "Connection: keep-alive", "Connection: x, CLOSE"), false);
  assert.equal(stays("1.0", length), false);
  assert.equal(stays("1.0", length, "Connection: Keep-Alive"), true);
  assert.equal(stays("1.0", length, "Connection: keep-alive"), true);
  assert.equal(stays("1.0", length, "Connection: keep-alive, close"), false);
  assert.equal(stays("1.1"), false);
  assert.equal(stays("1.1", "Connection: keep-alive"), false);
});

test("the announced keep-alive timeout is read in any spelling", () => {
  assert.equal(timeoutMs(), null);
  assert.equal(timeoutMs("Keep-Alive: timeout=5"), 5_000);
  assert.equal(timeoutMs("Keep-Alive: timeout=5, max=100"), 5_000);
  assert.equal(timeoutMs("keep-alive: max=100; Timeout = 75"), 75_000);
  assert.equal(timeoutMs('Keep-Alive: timeout="5"'), 5_000);
  assert.equal(timeoutMs("Keep-Alive: timeout=0"), 0);
  for (const value of ["", "max=5", "timeout=x", "timeout=", "xtimeout=5", "timeout=-5", "timeout=1234567890123456"])
    assert.equal(timeoutMs(`Keep-Alive: ${value}`), null, value);
});

test("an `end` that is not the first end of a head is refused", () => {
  const text = "HTTP/1.1 204 No\r\n\r\nHTTP/1.1 204 No\r\n\r\n";
  for (const end of [text.length - 4, 3, -1, text.length])
    assert.equal(typeof parseAnswerHead(text, 0, end, "GET"), "string");
  assert.equal(typeof parseAnswerHead("", 0, 0, "GET"), "string");
});

/** What is left of an answer's bytes once its interim heads and its own head are read; null when one is refused. */
function finalHead(text: string, method: string): { answer: AnswerHead; rest: string } | null {
  let start = 0;
  for (;;) {
    const end = text.indexOf("\r\n\r\n", start);
    const answer = end === -1 ? "incomplete" : parseAnswerHead(text, start, end, method);
    if (typeof answer === "string" || answer.head.status === 101) return null;
    start = end + 4;
    if (answer.head.status >= 200) return { answer, rest: text.slice(start) };
  }
}

/** The body in `rest`; null when it is malformed or not whole. */
function bodyOf(framing: AnswerFraming, rest: string): string | null {
  switch (framing.kind) {
    case "none":
      return "";
    case "length":
      return rest.length < framing.length ? null : rest.slice(0, framing.length);
    case "until-close":
      return rest;
    case "chunked": {
      const { kind, body } = chunkedBodyOf([rest], LIMITS);
      return kind === "message" ? body : null;
    }
  }
}

// Bounds on a head's size, and on time, are the connection's.
const NOT_OF_THE_CODEC: ReadonlySet<string> = new Set(["hd-one-huge-header", "hd-endless-headers"]);
// Two lengths that are the same are one length (RFC 9112 §6.3); llhttp refuses any repeat.
const REFUSED_BY_LLHTTP: ReadonlySet<string> = new Set(["cl-duplicate-same"]);

for (const one of readAnswerCases()) {
  test(`corpus: ${one.name} is refused, or read as llhttp reads it`, async () => {
    const text = expanded(one.upstreamRaw);
    const found = finalHead(text, one.method);
    const body = found === null ? null : bodyOf(found.answer.framing, found.rest);
    if (one.expected === "pass") assert.notEqual(body, null);
    if (["502", "504", "abort"].includes(one.expected) && !NOT_OF_THE_CODEC.has(one.name)) assert.equal(body, null);
    if (found === null || body === null) return;
    const { status, reason, headers } = found.answer.head;
    if (one.body !== undefined) assert.equal(body, one.body);
    assert.ok(one.status.includes(status) || NOT_OF_THE_CODEC.has(one.name));
    const theirs = await llhttpAnswer(text, one.method);
    assert.equal(theirs.kind, REFUSED_BY_LLHTTP.has(one.name) ? "malformed" : "message");
    if (theirs.kind !== "message") return;
    assert.deepEqual(
      { ...theirs.message, trailers: [] },
      { start: [String(status), reason], headers, body, trailers: [] },
    );
  });
}
