import assert from "node:assert/strict";
import { test } from "node:test";
import { mayBecomeStrict, parseRequestHead } from "../../src/codec/request-head.ts";
import type { RequestHead } from "../../src/model/exchange-types.ts";
import { chunkedBodyOf } from "../support/chunked-body.ts";
import { expanded, readRequestCases } from "../support/corpus.ts";
import { llhttpRequest, type Verdict } from "../support/llhttp.ts";

const ORIGIN = { peerAddress: "10.0.0.9", localPort: 8080, encrypted: true };
const LIMITS = { maxLineBytes: 16_384, maxTrailerBytes: 16_384 };

function parsed(text: string, start = 0): RequestHead | null {
  return parseRequestHead(text, start, text.indexOf("\r\n\r\n", start), ORIGIN);
}

/** A head of these lines; Host comes last. */
function headOf(requestLine: string, ...lines: readonly string[]): string {
  return [requestLine, ...lines, "Host: a.test", "", ""].join("\r\n");
}

test("a strict head is read byte for byte, order, case and repeats kept", () => {
  const head = parsed(headOf("GET /a%20b?c=d HTTP/1.1", "X-A: 1", "x-b:2", "X-A: 3"));
  assert.deepEqual(head, {
    method: "GET",
    target: "/a%20b?c=d",
    majorVersion: 1,
    minorVersion: 1,
    headers: ["X-A", "1", "x-b", "2", "X-A", "3", "Host", "a.test"],
    peerAddress: "10.0.0.9",
    localPort: 8080,
    encrypted: true,
    facts: head?.facts,
    lines: head?.lines,
  });
  assert.equal(head.facts?.authority, "a.test");
  assert.deepEqual(head.facts.body, { kind: "none" });
});

test("a head is found behind other bytes, and what follows it is not looked at", () => {
  const before = "GET / HTTP/1.1\r\nHost: b\r\nX-Before: 1\r\n\r\n";
  const head = parsed(`${before}${headOf("POST /x HTTP/1.1", "Content-Length: 3")}\0\r\n: \r\n\r\n`, before.length);
  assert.deepEqual(head?.headers, ["Content-Length", "3", "Host", "a.test"]);
  assert.deepEqual(head.facts?.body, { kind: "length", length: 3 });
});

test("all methods of the strict subset are read, no other", () => {
  for (const method of ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
    assert.equal(parsed(headOf(`${method} / HTTP/1.1`))?.method, method);
  for (const method of ["TRACE", "CONNECT", "PURGE", "get", "GE", "GETT", "POSTS", "PRI", ""])
    assert.equal(parsed(headOf(`${method} / HTTP/1.1`)), null, method);
});

test("spaces and tabs around a value are not part of it, those within are", () => {
  const head = parsed(headOf("GET / HTTP/1.1", "A:\t 1 \t2\t ", "B:", "C: \t ", "D:é\xff"));
  assert.deepEqual(head?.headers.slice(0, 8), ["A", "1 \t2", "B", "", "C", "", "D", "é\xff"]);
});

test("a name may hold every character of a token", () => {
  const name = "!#$%&'*+-.^_`|~09azAZ";
  assert.deepEqual(parsed(headOf("GET / HTTP/1.1", `${name}: v`))?.headers.slice(0, 2), [name, "v"]);
});

test("each byte is taken where the grammar has it, and nowhere else", () => {
  for (let code = 0; code < 256; code++) {
    const byte = String.fromCharCode(code);
    const inValue = /[\t\x20-\x7e\x80-\xff]/.test(byte);
    for (const value of [`a${byte}b`, `a\t${byte}b`, `\xe9${byte}b`, `a\t${byte}`])
      assert.equal(parsed(headOf("GET / HTTP/1.1", `A: ${value}`)) !== null, inValue, JSON.stringify(value));
    const inName = /[!#$%&'*+\-.^_`|~0-9A-Za-z]/.test(byte);
    for (const name of [`a${byte}`, `${byte}b`, byte]) {
      const endsName = byte === ":" && name.startsWith("a");
      assert.equal(parsed(headOf("GET / HTTP/1.1", `${name}b: 1`)) !== null, inName || endsName, JSON.stringify(name));
    }
    const inTarget = /[\x21\x22\x24-\x7e]/.test(byte);
    assert.equal(parsed(headOf(`GET /?a${byte}b HTTP/1.1`)) !== null, inTarget, JSON.stringify(byte));
  }
});

const OUTSIDE: Readonly<Record<string, string>> = {
  "another version": headOf("GET / HTTP/1.0"),
  "another version, longer": headOf("GET / HTTP/1.10"),
  "another character for the dot": headOf("GET / HTTP/1x1"),
  "two spaces before the target": headOf("GET  / HTTP/1.1"),
  "two spaces behind the target": headOf("GET /  HTTP/1.1"),
  "a tab behind the target": headOf("GET /\tHTTP/1.1"),
  "a space behind the version": headOf("GET / HTTP/1.1 "),
  "no target": headOf("GET HTTP/1.1"),
  "an absolute target": headOf("GET http://a.test/ HTTP/1.1"),
  "an asterisk": headOf("OPTIONS * HTTP/1.1"),
  "a fragment": headOf("GET /a#b HTTP/1.1"),
  "a byte above ASCII in the target": headOf("GET /\xe4 HTTP/1.1"),
  "a broken escape": headOf("GET /%zz HTTP/1.1"),
  "an empty line in front": `\r\n${headOf("GET / HTTP/1.1")}`,
  "a bare LF behind the request line": "GET / HTTP/1.1\nHost: a\r\n\r\n",
  "a bare LF between fields": headOf("GET / HTTP/1.1", "A: 1\nB: 2"),
  "a bare CR in a value": headOf("GET / HTTP/1.1", "A: 1\rB: 2"),
  "a NUL": headOf("GET / HTTP/1.1", "A: 1\0"),
  "a DEL": headOf("GET / HTTP/1.1", "A: \x7f"),
  "a folded line": headOf("GET / HTTP/1.1", "A: 1", " 2"),
  "a line that is blank in front": headOf("GET / HTTP/1.1", " A: 1"),
  "a space before the colon": headOf("GET / HTTP/1.1", "A : 1"),
  "no colon": headOf("GET / HTTP/1.1", "A"),
  "an empty name": headOf("GET / HTTP/1.1", ": 1"),
  "a byte above ASCII in a name": headOf("GET / HTTP/1.1", "\xe4: 1"),
  "no Host": "GET / HTTP/1.1\r\nA: 1\r\n\r\n",
  "no field at all": "GET / HTTP/1.1\r\n\r\n",
  "two Hosts": headOf("GET / HTTP/1.1", "host: a.test"),
  "a Host with a user": "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n",
  "an upgrade": headOf("GET / HTTP/1.1", "Upgrade: h2c"),
  "an expectation": headOf("POST / HTTP/1.1", "Expect: 100-continue", "Content-Length: 1"),
  "a connection option of its own": headOf("GET / HTTP/1.1", "Connection: keep-alive, x"),
  "a repeated connection option": headOf("GET / HTTP/1.1", "Connection: close", "Connection: close"),
  "two lengths": headOf("POST / HTTP/1.1", "Content-Length: 1", "Content-Length: 1"),
  "a length and a coding": headOf("POST / HTTP/1.1", "Content-Length: 1", "Transfer-Encoding: chunked"),
  "another coding": headOf("POST / HTTP/1.1", "Transfer-Encoding: gzip, chunked"),
  "a repeated coding": headOf("POST / HTTP/1.1", "Transfer-Encoding: chunked", "Transfer-Encoding: chunked"),
  "an empty coding": headOf("POST / HTTP/1.1", "Transfer-Encoding:"),
  // llhttp takes this for another coding than chunked.
  "a tab behind the coding": headOf("POST / HTTP/1.1", "Transfer-Encoding: chunked\t"),
  "a tab and a space behind the coding": headOf("POST / HTTP/1.1", "transfer-encoding: chunked\t "),
};

for (const [name, text] of Object.entries(OUTSIDE)) {
  test(`outside of the strict subset: ${name}`, () => {
    assert.equal(parsed(text), null);
  });
}

test("chunked and connection options count in any case", () => {
  for (const line of ["Transfer-Encoding: Chunked", "transfer-encoding:CHUNKED "])
    assert.deepEqual(parsed(headOf("POST / HTTP/1.1", line))?.facts?.body, { kind: "chunked" });
  for (const option of ["close", "Close", "keep-alive", "Keep-Alive"])
    assert.equal(parsed(headOf("GET / HTTP/1.1", `Connection: ${option}`))?.facts?.connection, option);
});

test("an `end` that is not the first end of a head is refused", () => {
  const text = `${headOf("GET / HTTP/1.1")}${headOf("GET / HTTP/1.1")}`;
  assert.equal(parseRequestHead(text, 0, text.length - 4, ORIGIN), null);
  assert.equal(parseRequestHead(text, 0, 3, ORIGIN), null);
  assert.equal(parseRequestHead(text, 0, -1, ORIGIN), null);
  assert.equal(parseRequestHead("", 0, 0, ORIGIN), null);
});

test("enormous heads are read or refused in linear time, without an overflow", () => {
  const started = performance.now();
  assert.equal(parsed(headOf("GET / HTTP/1.1", `A: ${"x".repeat(1 << 20)}`))?.headers.length, 4);
  assert.equal(parsed(headOf("GET / HTTP/1.1", ...Array(60_000).fill("A: b")))?.headers.length, 120_002);
  assert.equal(parsed(headOf("GET / HTTP/1.1", ...Array(60_000).fill("A: b"), "A\0: b")), null);
  assert.equal(parsed(headOf("GET / HTTP/1.1", `A: ${"x\xff".repeat(1 << 19)}\0`)), null);
  assert.equal(parsed(headOf(`GET /${"x".repeat(1 << 20)}# HTTP/1.1`)), null);
  assert.equal(parsed(headOf("GET / HTTP/1.1", "a".repeat(1 << 20))), null);
  assert.ok(performance.now() - started < 2_000, "a generous bound: it takes some 30 ms");
});

test("the beginning of a strict head may become one", () => {
  const beginnings = ["", "G", "P", "PA", "GET", "GET ", "GET /", "GET /a?b", "GET / ", "GET / HT", "GET / HTTP/1.1"];
  const lines = ["GET / HTTP/1.1\r", "GET / HTTP/1.1\r\n", "GET / HTTP/1.1\r\nHo", "GET / HTTP/1.1\r\nX: \t"];
  const fields = ["GET / HTTP/1.1\r\nX:1\r", "GET / HTTP/1.1\r\nX:1\r\n", "GET / HTTP/1.1\r\nHost: a\r\nX:1\r\n\r"];
  for (const text of [...beginnings, ...lines, ...fields]) assert.equal(mayBecomeStrict(text, 0), true, text);
});

test("what is no beginning of a strict head is told at once", () => {
  const firsts = ["\r", "\n", "g", "PR", "PRI * HTTP/2.0\r\n", "\x16\x03\x01", "TRACE", "GET  ", "GET x", "GET *"];
  const requestLines = ["GET /#", "GET /\xff", "GET /\r", "GET / X", "GET / HTTP/1.0", "GET / HTTP/1.1 ", "GET /\n"];
  const fields = [
    "\nHost",
    "\r\n ",
    "\r\n:",
    "\r\nA ",
    "\r\nA\r",
    "\r\nA: \0",
    "\r\nA: \n",
    "\r\nA: 1\rB",
    "\r\nA: 1\r\n\t",
  ];
  const rules = ["\r\nUpgrade: x\r\n", "\r\nExpect: x\r\n", "\r\nHost: a\r\nHost: b\r\n", "\r\nContent-Length: x\r\n"];
  const heads = [...fields, ...rules].map((rest) => `GET / HTTP/1.1${rest}`);
  for (const text of [...firsts, ...requestLines, ...heads])
    assert.equal(mayBecomeStrict(`Host: a\r\n${text}`, 9), false, JSON.stringify(text));
});

/** What the codec makes of the first request in `text`; null when it hands it over. */
function verdictOf(text: string): Verdict | null {
  const end = text.indexOf("\r\n\r\n");
  if (end === -1) return mayBecomeStrict(text, 0) ? { kind: "incomplete" } : null;
  const head = parsed(text);
  if (head?.facts === undefined || head.facts === null) return null;
  const rest = text.slice(end + 4);
  const { method, target, headers, facts } = head;
  const start = [method, target] as const;
  if (facts.body.kind === "chunked") {
    const { kind, body, trailers, problem } = chunkedBodyOf([rest], LIMITS);
    if (kind === "malformed") return { kind, code: problem ?? "" };
    return kind === "incomplete" ? { kind } : { kind, message: { start, headers, body, trailers } };
  }
  const length = facts.body.kind === "length" ? facts.body.length : 0;
  if (rest.length < length) return { kind: "incomplete" };
  return { kind: "message", message: { start, headers, body: rest.slice(0, length), trailers: [] } };
}

// Bounds on a head's size are the connection's.
const NOT_OF_THE_CODEC: ReadonlySet<string> = new Set(["hdr-one-huge-name"]);

for (const one of readRequestCases()) {
  test(`corpus: ${one.name} is handed over or read as llhttp reads it`, async () => {
    const text = expanded(one.raw);
    const ours = verdictOf(text);
    if (ours === null) return;
    const theirs = await llhttpRequest(text);
    assert.equal(ours.kind, theirs.kind);
    if (ours.kind === "message") assert.deepEqual(ours, theirs);
    if (one.expected.startsWith("reject") && !NOT_OF_THE_CODEC.has(one.name)) assert.equal(ours.kind, "malformed");
  });
}

test("the plain requests of the corpus are in the strict subset", () => {
  const plain = readRequestCases().filter(({ name }) => /^valid-(?:get|post|head|chunked|header|tab|many)/.test(name));
  assert.ok(plain.length > 15);
  for (const one of plain) assert.equal(verdictOf(expanded(one.raw))?.kind, "message", one.name);
});
