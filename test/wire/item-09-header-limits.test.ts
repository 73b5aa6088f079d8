import assert from "node:assert/strict";
import test from "node:test";
import { proxyTo } from "../support/configs.ts";
import { assertLocalReply } from "../support/local-reply.ts";
import { header } from "../support/message-reader.ts";
import { connectRaw, exchangeOnce, requestText } from "../support/raw-client.ts";
import { answering, OK_ANSWER, startRawUpstream } from "../support/raw-upstream.ts";
import { fileScope } from "../support/scope.ts";
import { useSidecar } from "../support/sidecar.ts";

const upstream = await startRawUpstream(fileScope);
const sidecar = await useSidecar(fileScope, proxyTo(upstream.url));

const TOO_LARGE: readonly (readonly [string, string])[] = [
  ["one field of 200 KB", requestText("GET", "/", [`X-A: ${"a".repeat(200_000)}`])],
  ["a field name of 200 KB", requestText("GET", "/", [`${"a".repeat(200_000)}: b`])],
  [
    "20 000 small fields",
    requestText(
      "GET",
      "/",
      Array.from({ length: 20_000 }, (_, index) => `X-${index}: b`),
    ),
  ],
  ["a target of 200 KB", requestText("GET", `/${"a".repeat(200_000)}`)],
];

for (const [what, text] of TOO_LARGE) {
  test(`a request with ${what} gets 431, is closed, and unseen upstream`, async (t) => {
    upstream.forget();
    const client = await connectRaw(t, sidecar.port);
    assertLocalReply(await client.exchange(text), 431, "header_too_large");
    await client.closed();
    assert.equal(upstream.text(), "");
  });
}

test("too many fields are 431 even when they are small in bytes", async (t) => {
  upstream.forget();
  const client = await connectRaw(t, sidecar.port);
  const fields = Array.from({ length: 2_000 }, () => "a:b");
  assertLocalReply(await client.exchange(requestText("GET", "/", fields)), 431, "header_too_large");
  assert.equal(upstream.text(), "");
});

test("no field of a request with many fields is lost without a word", async (t) => {
  upstream.forget();
  const fields = Array.from({ length: 90 }, (_, index) => `X-Field-${index}: ${index}`);
  assert.equal((await exchangeOnce(t, sidecar.port, requestText("GET", "/", fields))).status, 200);
  const seen = await upstream.request();
  for (let index = 0; index < 90; index++) assert.equal(header(seen, `x-field-${index}`), String(index));
});

test("a target of 8000 bytes passes", async (t) => {
  upstream.forget();
  const target = `/${"a".repeat(7_999)}`;
  assert.equal((await exchangeOnce(t, sidecar.port, requestText("GET", target))).status, 200);
  assert.equal((await upstream.request()).target, target);
});

test("an answer with an oversized head becomes 502, its connection is dropped, and the next request is served", async (t) => {
  upstream.forget();
  upstream.onRequest = answering(`HTTP/1.1 200 OK\r\nX-A: ${"a".repeat(300_000)}\r\nContent-Length: 2\r\n\r\nok`);
  assertLocalReply(await exchangeOnce(t, sidecar.port, requestText("GET", "/")), 502, "answer_too_large");
  await (await upstream.request()).connection.ended();
  upstream.onRequest = answering(OK_ANSWER);
  assert.equal((await exchangeOnce(t, sidecar.port, requestText("GET", "/"))).status, 200);
});
