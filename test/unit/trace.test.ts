import assert from "node:assert/strict";
import { test } from "node:test";
import { isRequestId, newTraceparent, traceIdOf } from "../../src/model/trace.ts";

const TRACE = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN = "00f067aa0ba902b7";

test("a valid traceparent gives its trace id", () => {
  assert.equal(traceIdOf(`00-${TRACE}-${SPAN}-01`), TRACE);
  assert.equal(traceIdOf(`01-${TRACE}-${SPAN}-01-more`), TRACE, "later versions may be longer");
});

test("an invalid traceparent is replaced", () => {
  for (const bad of [
    "",
    `ff-${TRACE}-${SPAN}-01`,
    `00-${"0".repeat(32)}-${SPAN}-01`,
    `00-${TRACE}-${"0".repeat(16)}-01`,
    `00-${TRACE}-${SPAN}-01-x`,
    `00-${TRACE.toUpperCase()}-${SPAN}-01`,
  ]) {
    assert.equal(traceIdOf(bad), null, bad);
  }
});

test("a new traceparent is valid and sampled", () => {
  const made = newTraceparent("ab".repeat(16), "cd".repeat(8));
  assert.equal(traceIdOf(made), "ab".repeat(16));
  assert.match(made, /-01$/);
});

test("request ids are short and harmless", () => {
  assert.equal(isRequestId("01H-x_y.z:/+=@"), true);
  for (const bad of ["", "a b", 'a"b', "<x>", "x".repeat(129), "é"]) assert.equal(isRequestId(bad), false, bad);
});
