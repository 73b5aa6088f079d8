import assert from "node:assert/strict";
import test from "node:test";
import { proxyTo } from "../support/configs.ts";
import { connectRaw, exchangeOnce, requestText } from "../support/raw-client.ts";
import { answering, okText, startRawUpstream } from "../support/raw-upstream.ts";
import { fileScope } from "../support/scope.ts";
import { useSidecar } from "../support/sidecar.ts";

const upstream = await startRawUpstream(fileScope);
const sidecar = await useSidecar(
  fileScope,
  proxyTo(upstream.url, { upstreams: { v1: { pool: { minConnections: 0, maxConnections: 1 } } } }),
);

test("a connection with an answer that the client did not wait for is not used again", async (t) => {
  upstream.forget();
  upstream.onRequest = null;
  const client = await connectRaw(t, sidecar.port);
  client.request(requestText("GET", "/left"));
  const { connection } = await upstream.request();
  connection.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nhello");
  await client.bodyBytes(5);
  client.destroy();
  await connection.ended();
  upstream.onRequest = answering(okText("mine"));
  assert.equal((await exchangeOnce(t, sidecar.port, requestText("GET", "/next"))).text, "mine");
  assert.notEqual((await upstream.request(1)).connection, connection);
});

test("a connection with a request body that was not sent to its end is not used again", async (t) => {
  upstream.forget();
  upstream.onHead = answering(okText("early"));
  upstream.onRequest = null;
  const answer = await exchangeOnce(t, sidecar.port, `${requestText("POST", "/left", ["Content-Length: 100"])}begin`);
  assert.equal(answer.text, "early");
  const { connection } = await upstream.request();
  await connection.ended();
  upstream.onHead = null;
  upstream.onRequest = answering(okText("mine"));
  assert.equal((await exchangeOnce(t, sidecar.port, requestText("GET", "/next"))).text, "mine");
  assert.notEqual((await upstream.request(1)).connection, connection);
});

test("a client connection whose request body was refused unread does not carry another request out of it", async (t) => {
  upstream.forget();
  upstream.onHead = null;
  upstream.onRequest = answering(okText("mine"));
  const client = await connectRaw(t, sidecar.port);
  const inner = requestText("GET", "/smuggled");
  client.request(requestText("POST", "/", ["Expect: nothing-we-know", `Content-Length: ${inner.length}`]));
  const answer = await client.answer();
  assert.equal(answer.status, 417);
  client.request(inner);
  if (answer.rawHeaders.includes("close")) await client.closed();
  const next = await exchangeOnce(t, sidecar.port, requestText("GET", "/next"));
  assert.equal(next.text, "mine");
  assert.ok(upstream.requests.every(({ target }) => target !== "/smuggled"));
});
