import assert from "node:assert/strict";
import test from "node:test";
import { proxyTo } from "../support/configs.ts";
import { allHeaders, header } from "../support/message-reader.ts";
import { connectRaw, requestText } from "../support/raw-client.ts";
import { answering, okText, startRawUpstream } from "../support/raw-upstream.ts";
import { fileScope } from "../support/scope.ts";
import { useSidecar } from "../support/sidecar.ts";

const upstream = await startRawUpstream(fileScope);
const sidecar = await useSidecar(fileScope, proxyTo(upstream.url));

test("103 reaches the client before the final answer exists", async (t) => {
  upstream.forget();
  upstream.onRequest = null;
  const client = await connectRaw(t, sidecar.port);
  client.request(requestText("GET", "/"));
  const { connection } = await upstream.request();
  connection.send("HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\nLink: </b.css>\r\n\r\n");
  const hint = await client.interim();
  assert.equal(hint.status, 103);
  // One list on two lines or on one: the same (RFC 9110 §5.3).
  assert.match(allHeaders(hint, "link").join(), /^<\/a\.css>, ?<\/b\.css>$/);
  connection.send(okText("hello"));
  const answer = await client.answer();
  assert.equal(answer.status, 200);
  assert.equal(answer.text, "hello");
  assert.equal(header(answer, "link"), null);
});

test("several interim answers come in order", async (t) => {
  const interim = "HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\n";
  upstream.onRequest = answering(`${interim}HTTP/1.1 103 Early Hints\r\nLink: <b>\r\n\r\n${okText("hello")}`);
  const client = await connectRaw(t, sidecar.port);
  const answer = await client.exchange(requestText("GET", "/"));
  assert.deepEqual(
    answer.interim.map(({ status }) => status),
    [102, 103, 103],
  );
  assert.equal(answer.text, "hello");
});

test("hop-by-hop fields of an interim answer stay here", async (t) => {
  const fields = "Connection: x-hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=9\r\nLink: <a>";
  upstream.onRequest = answering(`HTTP/1.1 103 Early Hints\r\n${fields}\r\n\r\n${okText("hello")}`);
  const client = await connectRaw(t, sidecar.port);
  const [hint] = (await client.exchange(requestText("GET", "/"))).interim;
  assert.ok(hint !== undefined);
  assert.equal(header(hint, "link"), "<a>");
  assert.equal(header(hint, "x-hop"), null);
  assert.equal(header(hint, "keep-alive"), null);
});

test("an HTTP/1.0 client gets the final answer only", async (t) => {
  upstream.onRequest = answering(`HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\n${okText("hello")}`);
  const client = await connectRaw(t, sidecar.port);
  const answer = await client.exchange("GET / HTTP/1.0\r\nHost: a.test\r\n\r\n");
  assert.deepEqual(answer.interim, []);
  assert.equal(answer.text, "hello");
});

test("a 100 that nobody asked for does no harm", async (t) => {
  upstream.onRequest = answering(`HTTP/1.1 100 Continue\r\n\r\n${okText("hello")}`);
  const client = await connectRaw(t, sidecar.port);
  assert.equal((await client.exchange(requestText("POST", "/", [], "x"))).text, "hello");
  assert.equal((await client.exchange(requestText("GET", "/"))).text, "hello");
});
