import assert from "node:assert/strict";
import test from "node:test";
import { routesTo } from "../support/configs.ts";
import { assertLocalReply } from "../support/local-reply.ts";
import { allHeaders, header } from "../support/message-reader.ts";
import { exchangeOnce, requestText } from "../support/raw-client.ts";
import { answering, okText, OK_ANSWER, startRawUpstream } from "../support/raw-upstream.ts";
import { fileScope } from "../support/scope.ts";
import { useSidecar } from "../support/sidecar.ts";

const upstream = await startRawUpstream(fileScope);
const sidecar = await useSidecar(fileScope, routesTo({ "/served": upstream.url }));

for (const id of ["4bf92f3577b34da6", "01HZX-ab.c_d:e", "f47ac10b-58cc-4372-a567-0e02b2c3d479"]) {
  test(`the client's request id ${id} goes upstream and comes back`, async (t) => {
    upstream.forget();
    const answer = await exchangeOnce(t, sidecar.port, requestText("GET", "/served", [`X-Request-Id: ${id}`]));
    assert.deepEqual(allHeaders(answer, "x-request-id"), [id]);
    assert.deepEqual(allHeaders(await upstream.request(), "x-request-id"), [id]);
  });
}

const REPLACED: readonly (readonly [string, readonly string[]])[] = [
  ["no request id", []],
  ["an empty request id", ["X-Request-Id:"]],
  ["a request id with blanks", ["X-Request-Id: a b"]],
  ["a request id with quotes", ['X-Request-Id: "a"']],
  ["a request id with bytes above 0x7F", ["X-Request-Id: caf\xe9"]],
  ["a request id of 1 000 characters", [`X-Request-Id: ${"a".repeat(1_000)}`]],
  ["two request ids", ["X-Request-Id: one", "X-Request-Id: two"]],
];

for (const [what, fields] of REPLACED) {
  test(`${what} is replaced by a new one, the same in both directions`, async (t) => {
    upstream.forget();
    const answer = await exchangeOnce(t, sidecar.port, requestText("GET", "/served", fields));
    const id = header(answer, "x-request-id") ?? "";
    assert.match(id, /^[A-Za-z0-9._:-]{8,128}$/);
    assert.ok(fields.every((field) => !field.endsWith(` ${id}`)));
    assert.deepEqual(allHeaders(await upstream.request(), "x-request-id"), [id]);
  });
}

test("two requests without an id get two ids", async (t) => {
  const one = await exchangeOnce(t, sidecar.port, requestText("GET", "/served"));
  const two = await exchangeOnce(t, sidecar.port, requestText("GET", "/served"));
  assert.notEqual(header(one, "x-request-id"), header(two, "x-request-id"));
});

test("a local reply carries the client's id in its header and its body", async (t) => {
  const answer = await exchangeOnce(t, sidecar.port, requestText("GET", "/nowhere", ["X-Request-Id: mine-1"]));
  assert.equal(assertLocalReply(answer, 404, "no_route").requestId, "mine-1");
});

test("the upstream's own request id does not replace the one that the client knows", async (t) => {
  upstream.onRequest = answering(okText("hello", ["X-Request-Id: theirs"]));
  const answer = await exchangeOnce(t, sidecar.port, requestText("GET", "/served", ["X-Request-Id: mine-2"]));
  upstream.onRequest = answering(OK_ANSWER);
  assert.deepEqual(allHeaders(answer, "x-request-id"), ["mine-2"]);
});
