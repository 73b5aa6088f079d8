import assert from "node:assert/strict";
import { test } from "node:test";
import type { RequestFacts } from "../../src/model/exchange-types.ts";
import { asksForWebSocket, readFacts } from "../../src/model/request-facts.ts";
import type { RequestHead } from "../../src/model/exchange-types.ts";
import { headOf } from "../support/heads.ts";

function verdict(headers: readonly string[], parts: Partial<RequestHead> = {}): string {
  const facts = readFacts(headOf({ headers, ...parts }));
  return typeof facts === "string" ? facts : facts.body.kind;
}

function factsOf(headers: readonly string[], parts: Partial<RequestHead> = {}): RequestFacts {
  const facts = readFacts(headOf({ headers, ...parts }));
  assert.ok(typeof facts !== "string");
  return facts;
}

test("a request needs exactly one valid Host", () => {
  assert.equal(verdict([]), "bad-host");
  assert.equal(verdict([], { minorVersion: 0 }), "none");
  assert.equal(verdict(["Host", "a", "host", "a"]), "bad-host");
  for (const bad of ["a, b", "u@a", "a b", "", "a:x", "[::1", "a/b"])
    assert.equal(verdict(["host", bad]), "bad-host", bad);
  for (const good of ["a", "a.test:80", "[::1]:8080", "a_b.test", "127.0.0.1"])
    assert.equal(verdict(["host", good]), "none", good);
});

test("ambiguous framing is refused", () => {
  const host = ["host", "a"];
  assert.equal(verdict([...host, "content-length", "5", "transfer-encoding", "chunked"]), "bad-framing");
  assert.equal(verdict([...host, "content-length", "5", "content-length", "5"]), "bad-framing");
  for (const bad of ["5, 5", "+5", "-1", "0x5", "", "5 ", "1e3"])
    assert.equal(verdict([...host, "content-length", bad]), "bad-framing", bad);
  assert.equal(verdict([...host, "transfer-encoding", "chunked"], { minorVersion: 0 }), "bad-framing");
  for (const bad of ["xchunked", "chunked, identity", "chunked, chunked", "chunked;q=1", ""]) {
    assert.equal(verdict([...host, "transfer-encoding", bad]), "bad-framing", bad);
  }
  assert.equal(verdict([...host, "transfer-encoding", "chunked", "Transfer-Encoding", "chunked"]), "bad-framing");
});

test("another coding under chunked is not supported, and said so", () => {
  assert.equal(verdict(["host", "a", "transfer-encoding", "gzip, chunked"]), "coding-refused");
});

test("a plain length and chunked alone are read", () => {
  assert.deepEqual(factsOf(["host", "a", "Content-Length", "12"]).body, { kind: "length", length: 12 });
  assert.deepEqual(factsOf(["host", "a", "Transfer-Encoding", "Chunked"]).body, { kind: "chunked" });
});

test("the authority of an absolute target replaces Host", () => {
  assert.equal(factsOf(["host", "a"], { target: "http://b/" }).authority, "b");
});

test("repeated fields are lists, cookies are pairs, a repeated id is none", () => {
  const facts = factsOf([
    "host",
    "a",
    "Via",
    "1.1 x",
    "via",
    "1.1 y",
    "cookie",
    "a=1",
    "Cookie",
    "b=2",
    "x-request-id",
    "1",
    "x-request-id",
    "2",
  ]);
  assert.equal(facts.via, "1.1 x, 1.1 y");
  assert.equal(facts.cookie, "a=1; b=2");
  assert.equal(facts.requestId, null);
});

test("only a GET without a body that names WebSocket in both fields is an upgrade", () => {
  const headers = ["host", "a", "Connection", "keep-alive, Upgrade", "Upgrade", "WebSocket"];
  assert.equal(asksForWebSocket(factsOf(headers), "GET"), true);
  assert.equal(asksForWebSocket(factsOf(headers), "POST"), false);
  assert.equal(asksForWebSocket(factsOf([...headers, "content-length", "1"]), "GET"), false);
  assert.equal(asksForWebSocket(factsOf(["host", "a", "upgrade", "websocket"]), "GET"), false);
  assert.equal(asksForWebSocket(factsOf(["host", "a", "connection", "upgrade", "upgrade", "h2c"]), "GET"), false);
});
