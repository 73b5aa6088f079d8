import assert from "node:assert/strict";
import { test } from "node:test";
import { fieldsFromText } from "../../src/model/field-lines.ts";
import { staticReply } from "../../src/proxy/static-reply.ts";

function built(step: { status?: number; headers?: readonly string[]; body?: string }): {
  readonly fields: readonly string[];
  readonly body: string;
} {
  const { head, body } = staticReply({ kind: "static", status: 200, headers: [], body: "", ...step });
  assert.equal(head.hasLength, true, "it is never sent in chunks");
  return { fields: fieldsFromText(head.fields), body };
}

test("a static answer has the fields and the body of its step, a length, and is not to be cached", () => {
  const { fields, body } = built({
    headers: ["Content-Type", "text/plain", "X-A", "1", "X-A", "2"],
    body: "caf\xc3\xa9",
  });
  assert.deepEqual(fields, [
    "Content-Type",
    "text/plain",
    "X-A",
    "1",
    "X-A",
    "2",
    "cache-control",
    "no-store",
    "content-length",
    "5",
  ]);
  assert.equal(body, "caf\xc3\xa9");
});

test("a step that says how it may be cached is believed", () => {
  assert.deepEqual(built({ headers: ["Cache-Control", "max-age=5"] }).fields, [
    "Cache-Control",
    "max-age=5",
    "content-length",
    "0",
  ]);
});

test("framing and fields of this hop are not the step's to say", () => {
  const headers = ["Content-Length", "9", "Transfer-Encoding", "chunked", "Connection", "close", "X-Request-Id", "x"];
  assert.deepEqual(built({ headers, body: "ok" }).fields, ["cache-control", "no-store", "content-length", "2"]);
});

test("204 and 304 have neither body nor length, 205 has a length of 0", () => {
  for (const [status, length] of [
    [204, []],
    [304, []],
    [205, ["content-length", "0"]],
  ] as const) {
    const { fields, body } = built({ status, body: "text" });
    assert.deepEqual([body, fields.slice(2)], ["", length], String(status));
  }
});
