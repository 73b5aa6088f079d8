import assert from "node:assert/strict";
import test from "node:test";
import { proxyTo } from "../support/configs.ts";
import { header } from "../support/message-reader.ts";
import { connectRaw, requestText } from "../support/raw-client.ts";
import { okText, startRawUpstream } from "../support/raw-upstream.ts";
import { fileScope } from "../support/scope.ts";
import { useSidecar } from "../support/sidecar.ts";

const upstream = await startRawUpstream(fileScope);
const sidecar = await useSidecar(fileScope, proxyTo(upstream.url));
const forTarget = ({ connection, target }: Parameters<NonNullable<typeof upstream.onRequest>>[0]): void => {
  connection.send(okText(`for ${target}`));
};
upstream.onRequest = forTarget;

test("a connection carries one exchange after another", async (t) => {
  const client = await connectRaw(t, sidecar.port);
  for (let i = 0; i < 20; i++) {
    assert.equal((await client.exchange(requestText("GET", `/${i}`))).text, `for /${i}`);
  }
});

test("pipelined requests are answered in their order", async (t) => {
  const client = await connectRaw(t, sidecar.port);
  const bodies = [requestText("GET", "/1"), requestText("POST", "/2", [], "hello"), requestText("GET", "/3")];
  client.request(bodies.join(""));
  for (const target of ["/1", "/2", "/3"]) assert.equal((await client.answer()).text, `for ${target}`);
});

test("a pipelined request whose answer is there first waits for the one before it", async (t) => {
  upstream.forget();
  upstream.onRequest = null;
  const client = await connectRaw(t, sidecar.port);
  client.request(requestText("GET", "/1") + requestText("GET", "/2"));
  const first = await upstream.request();
  upstream.onRequest = forTarget;
  for (const { connection, target } of upstream.requests.slice(1)) connection.send(okText(`for ${target}`));
  first.connection.send(okText("for /1"));
  assert.equal((await client.answer()).text, "for /1");
  assert.equal((await client.answer()).text, "for /2");
});

test("nothing behind Connection: close is served", async (t) => {
  upstream.forget();
  const client = await connectRaw(t, sidecar.port);
  client.request(requestText("GET", "/last", ["Connection: close"]) + requestText("GET", "/after"));
  assert.equal((await client.answer()).text, "for /last");
  await client.closed();
  assert.equal(client.finalCount(), 1);
  assert.ok(upstream.requests.every(({ target }) => target !== "/after"));
});

test("an HTTP/1.0 connection ends with its answer", async (t) => {
  const client = await connectRaw(t, sidecar.port);
  const answer = await client.exchange("GET /old HTTP/1.0\r\nHost: a.test\r\n\r\n");
  assert.equal(answer.text, "for /old");
  await client.closed();
});

test("an HTTP/1.1 answer does not talk of Connection: close when the connection stays", async (t) => {
  const client = await connectRaw(t, sidecar.port);
  const answer = await client.exchange(requestText("GET", "/"));
  assert.notEqual(header(answer, "connection"), "close");
  assert.equal((await client.exchange(requestText("GET", "/again"))).status, 200);
});

test("empty lines before a request do no harm", async (t) => {
  const client = await connectRaw(t, sidecar.port);
  assert.equal((await client.exchange(requestText("GET", "/1"))).text, "for /1");
  client.send("\r\n");
  assert.equal((await client.exchange(requestText("GET", "/2"))).text, "for /2");
});

test("half a head is not served", async (t) => {
  upstream.forget();
  const client = await connectRaw(t, sidecar.port);
  client.send("GET /half HTTP/1.1\r\nHost: a.test\r\n");
  client.halfClose();
  await client.closed();
  assert.equal(upstream.text(), "");
});
