import assert from "node:assert/strict";
import { test } from "node:test";
import { failure, FAILURE_KINDS, FAILURES } from "../../src/base/failure.ts";

test("every failure has a 4xx or 5xx status, a code in snake case and a sentence for the client", () => {
  for (const kind of FAILURE_KINDS) {
    const row = FAILURES[kind];
    assert.match(kind, /^[a-z]+(-[a-z]+)*$/);
    assert.match(row.code, /^[a-z]+(_[a-z]+)*$/);
    assert.ok(row.status >= 400 && row.status < 600, `${kind}: ${row.status}`);
    assert.match(row.message, /^[A-Z].*\.$/, kind);
  }
});

test("only what an upstream or this proxy caused may be tried again", () => {
  for (const kind of FAILURE_KINDS) {
    const { fault, retriable, status } = FAILURES[kind];
    if (fault === "client") {
      assert.equal(retriable, "never", kind);
      assert.ok(status < 500 || [501, 505, 508].includes(status), `${kind}: ${status}`);
    } else {
      assert.ok(status >= 500, `${kind}: ${status}`);
    }
  }
});

test("two kinds share a code only when the client cannot tell them apart, and then the status too", () => {
  const statusByCode = new Map<string, number>();
  for (const kind of FAILURE_KINDS) {
    const { code, status } = FAILURES[kind];
    assert.equal(statusByCode.get(code) ?? status, status, code);
    statusByCode.set(code, status);
  }
});

test("the kinds are listed in the table's order, which is the order of their counters", () => {
  assert.deepEqual(FAILURE_KINDS, Object.keys(FAILURES));
});

test("a failure is a plain value; its cause is null unless given", () => {
  assert.deepEqual(failure("loop"), { kind: "loop", cause: null });
  const cause = new Error("ECONNREFUSED");
  assert.equal(failure("connect-failure", cause).cause, cause);
});
