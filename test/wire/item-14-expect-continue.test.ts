import assert from "node:assert/strict";
import test from "node:test";
import { proxyTo } from "../support/configs.ts";
import { assertLocalReply } from "../support/local-reply.ts";
import { header } from "../support/message-reader.ts";
import { connectRaw, exchangeOnce, requestText } from "../support/raw-client.ts";
import { answering, okText, OK_ANSWER, startRawUpstream } from "../support/raw-upstream.ts";
import { fileScope } from "../support/scope.ts";
import { useSidecar } from "../support/sidecar.ts";

const upstream = await startRawUpstream(fileScope);
const sidecar = await useSidecar(fileScope, proxyTo(upstream.url));
const EXPECTING = requestText("PUT", "/", ["Expect: 100-continue", "Content-Length: 5"]);

test("the expectation goes upstream, and only the upstream's 100 lets the client send", async (t) => {
  upstream.forget();
  upstream.onRequest = answering(OK_ANSWER);
  const client = await connectRaw(t, sidecar.port);
  client.request(EXPECTING);
  const seen = await upstream.request();
  assert.equal(header(seen, "expect")?.toLowerCase(), "100-continue");
  assert.equal(client.text(), "", "no 100 before the upstream gave one");
  seen.connection.send("HTTP/1.1 100 Continue\r\n\r\n");
  assert.equal((await client.interim()).status, 100);
  client.send("hello");
  const answer = await client.answer();
  assert.equal(answer.status, 200);
  assert.deepEqual(
    answer.interim.map(({ status }) => status),
    [100],
  );
  assert.equal(Buffer.concat((await upstream.whole()).message.pieces).toString(), "hello");
});

test("a final answer before the body is relayed, and both connections end with it", async (t) => {
  upstream.forget();
  upstream.onHead = answering("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
  const client = await connectRaw(t, sidecar.port);
  const answer = await client.exchange(EXPECTING);
  upstream.onHead = null;
  assert.equal(answer.status, 403);
  assert.equal(answer.text, "no");
  assert.deepEqual(answer.interim, []);
  assert.equal(header(answer, "connection"), "close");
  await client.closed();
  await (await upstream.request()).connection.ended();
});

test("a client that does not wait for the 100 is served", async (t) => {
  upstream.forget();
  upstream.onHead = ({ connection }) => connection.answer("HTTP/1.1 100 Continue\r\n\r\n", "keep");
  const answer = await exchangeOnce(t, sidecar.port, `${EXPECTING}hello`);
  upstream.onHead = null;
  assert.equal(answer.status, 200);
  assert.equal(Buffer.concat((await upstream.whole()).message.pieces).toString(), "hello");
});

test("an upstream that ignores the expectation and answers after the body is served by a client that sends anyway", async (t) => {
  upstream.forget();
  const client = await connectRaw(t, sidecar.port);
  client.request(EXPECTING);
  await upstream.request();
  client.send("hello");
  assert.equal((await client.answer()).status, 200);
});

test("a chunked body behind an expectation arrives whole", async (t) => {
  upstream.forget();
  const client = await connectRaw(t, sidecar.port);
  client.request(requestText("POST", "/", ["Expect: 100-continue", "Transfer-Encoding: chunked"]));
  (await upstream.request()).connection.send("HTTP/1.1 100 Continue\r\n\r\n");
  await client.interim();
  client.send("5\r\nhello\r\n0\r\n\r\n");
  assert.equal((await client.answer()).status, 200);
  assert.equal(Buffer.concat((await upstream.whole()).message.pieces).toString(), "hello");
});

test("an unknown expectation is 417 and unseen upstream", async (t) => {
  upstream.forget();
  const fields = ["Expect: 200-ok", "Content-Length: 0"];
  assertLocalReply(await exchangeOnce(t, sidecar.port, requestText("POST", "/", fields)), 417, "expectation_failed");
  assert.equal(upstream.text(), "");
});

test("the connection stays good after an exchange with an expectation", async (t) => {
  upstream.forget();
  upstream.onRequest = answering(okText("done"));
  upstream.onHead = ({ connection, rawHeaders }) => {
    if (rawHeaders.some((name) => name.toLowerCase() === "expect")) connection.send("HTTP/1.1 100 Continue\r\n\r\n");
  };
  const client = await connectRaw(t, sidecar.port);
  client.request(EXPECTING);
  await client.interim();
  client.send("hello");
  assert.equal((await client.answer()).text, "done");
  assert.equal((await client.exchange(requestText("GET", "/next"))).text, "done");
});
