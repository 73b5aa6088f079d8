import assert from "node:assert/strict";
import test from "node:test";
import { proxyTo } from "../support/configs.ts";
import { header } from "../support/message-reader.ts";
import { exchangeOnce, requestText } from "../support/raw-client.ts";
import { answering, OK_ANSWER, startRawUpstream } from "../support/raw-upstream.ts";
import { fileScope } from "../support/scope.ts";
import { useSidecar } from "../support/sidecar.ts";

const upstream = await startRawUpstream(fileScope);
const sidecar = await useSidecar(fileScope, proxyTo(upstream.url));

const OURS = [
  "x-forwarded-for",
  "x-forwarded-proto",
  "x-forwarded-host",
  "x-forwarded-port",
  "x-request-id",
  "traceparent",
  "via",
  "host",
];

for (const name of OURS) {
  test(`Connection: ${name} does not take our ${name} away`, async (t) => {
    upstream.forget();
    const answer = await exchangeOnce(t, sidecar.port, requestText("GET", "/", [`Connection: ${name}, close`]));
    assert.equal(answer.status, 200);
    assert.notEqual(header(await upstream.request(), name), null);
  });
}

test("all of ours in one Connection header stay too, whatever its case", async (t) => {
  upstream.forget();
  await exchangeOnce(t, sidecar.port, requestText("GET", "/", [`Connection: ${OURS.join(", ").toUpperCase()}`]));
  const seen = await upstream.request();
  for (const name of OURS) assert.notEqual(header(seen, name), null, name);
});

test("Connection: content-length does not take the length of a body away", async (t) => {
  upstream.forget();
  const text = requestText("POST", "/", ["Connection: content-length"], "hello");
  assert.equal((await exchangeOnce(t, sidecar.port, text)).status, 200);
  const seen = await upstream.whole();
  assert.equal(Buffer.concat(seen.message.pieces).toString(), "hello");
});

test("Connection: transfer-encoding does not take the chunks of a body away", async (t) => {
  upstream.forget();
  const fields = ["Connection: transfer-encoding", "Transfer-Encoding: chunked"];
  const text = `${requestText("POST", "/", fields)}5\r\nhello\r\n0\r\n\r\n`;
  assert.equal((await exchangeOnce(t, sidecar.port, text)).status, 200);
  const seen = await upstream.whole();
  assert.equal(Buffer.concat(seen.message.pieces).toString(), "hello");
});

test("Connection in an answer does not take our headers or its framing away", async (t) => {
  const named = "Connection: x-request-id, x-crossfade-upstream, content-length";
  upstream.onRequest = answering(`HTTP/1.1 200 OK\r\n${named}\r\nContent-Length: 5\r\n\r\nhello`);
  const answer = await exchangeOnce(t, sidecar.port, requestText("GET", "/"));
  upstream.onRequest = answering(OK_ANSWER);
  assert.equal(answer.text, "hello");
  assert.equal(answer.complete, true);
  assert.notEqual(header(answer, "x-request-id"), null);
  assert.equal(header(answer, "x-crossfade-upstream"), "v1");
});
