import assert from "node:assert/strict";
import { test } from "node:test";
import { failure } from "../../src/base/failure.ts";
import { mayRetry, type RecoveryFacts } from "../../src/proxy/recover.ts";

const FACTS: RecoveryFacts = { method: "GET", committed: false, attempts: 1, bodyBytesUsed: 0 };
const stale = failure("stale-connection");

test("the keep-alive race is repeated once for idempotent methods", () => {
  for (const method of ["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"]) {
    assert.equal(mayRetry(stale, { sent: true }, { ...FACTS, method }), true, method);
  }
  for (const method of ["POST", "PATCH", "PURGE"]) {
    assert.equal(mayRetry(stale, { sent: true }, { ...FACTS, method }), false, method);
  }
  assert.equal(mayRetry(stale, { sent: true }, { ...FACTS, attempts: 2 }), false);
});

test("a request of which nothing was sent is repeated whatever its method", () => {
  assert.equal(mayRetry(stale, { sent: false }, { ...FACTS, method: "POST" }), true);
});

test("nothing is repeated once the client has seen a status, or body bytes were used", () => {
  assert.equal(mayRetry(stale, { sent: true }, { ...FACTS, committed: true }), false);
  assert.equal(mayRetry(stale, { sent: true }, { ...FACTS, method: "PUT", bodyBytesUsed: 1 }), false);
});

test("no other failure is repeated here", () => {
  for (const kind of ["connect-failure", "upstream-reset", "bad-answer", "head-timeout", "overflow"] as const) {
    assert.equal(mayRetry(failure(kind), { sent: false }, FACTS), false, kind);
  }
});
