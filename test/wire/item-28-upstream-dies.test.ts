import assert from "node:assert/strict";
import test from "node:test";
import { proxyTo } from "../support/configs.ts";
import { assertLocalReply } from "../support/local-reply.ts";
import { connectRaw, exchangeOnce, requestText } from "../support/raw-client.ts";
import { answering, OK_ANSWER, startRawUpstream, type Then } from "../support/raw-upstream.ts";
import { fileScope } from "../support/scope.ts";
import { useSidecar } from "../support/sidecar.ts";

const upstream = await startRawUpstream(fileScope);
const sidecar = await useSidecar(fileScope, proxyTo(upstream.url));
const ENDS: readonly Then[] = ["close", "reset"];

for (const end of ENDS) {
  for (const method of ["GET", "POST"]) {
    test(`${method}: ${end} on a new connection before any byte is 502 upstream_reset`, async (t) => {
      upstream.forget();
      upstream.onRequest = answering("", end);
      const body = method === "POST" ? "hello" : "";
      const answer = await exchangeOnce(t, sidecar.port, requestText(method, "/", [], body));
      assertLocalReply(answer, 502, "upstream_reset");
      assert.equal(upstream.requests.length, 1, "not tried again");
    });
  }

  test(`${end} inside the head is 502`, async (t) => {
    upstream.onRequest = answering("HTTP/1.1 200 OK\r\nContent-Le", end);
    assertLocalReply(await exchangeOnce(t, sidecar.port, requestText("GET", "/")), 502);
  });

  test(`${end} inside a chunked answer cuts the client off without a last chunk`, async (t) => {
    upstream.onRequest = null;
    upstream.forget();
    const client = await connectRaw(t, sidecar.port);
    client.request(requestText("GET", "/"));
    const { connection } = await upstream.request();
    connection.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
    await client.bodyBytes(5);
    connection.answer("", end);
    await client.closed();
    const answer = await client.answer();
    assert.equal(answer.complete, false);
    assert.equal(answer.text, "hello");
    assert.doesNotMatch(client.text(), /\r\n0\r\n/);
  });

  test(`${end} inside an answer with a length cuts the client off`, async (t) => {
    upstream.onRequest = null;
    upstream.forget();
    const client = await connectRaw(t, sidecar.port);
    client.request(requestText("GET", "/"));
    const { connection } = await upstream.request();
    connection.send("HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello");
    await client.bodyBytes(5);
    connection.answer("", end);
    await client.closed();
    const answer = await client.answer();
    assert.equal(answer.complete, false);
    assert.equal(answer.text, "hello");
  });

  test(`${end} inside a chunked answer resets an HTTP/1.0 client, whose body ends with the connection`, async (t) => {
    upstream.onRequest = null;
    upstream.forget();
    const client = await connectRaw(t, sidecar.port);
    client.request("GET / HTTP/1.0\r\nHost: a.test\r\n\r\n");
    const { connection } = await upstream.request();
    connection.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
    await client.bodyBytes(5);
    connection.answer("", end);
    assert.equal(await client.closed(), "reset");
  });
}

test("a reset inside an answer that ends with the connection cuts the client off", async (t) => {
  upstream.onRequest = null;
  upstream.forget();
  const client = await connectRaw(t, sidecar.port);
  client.request(requestText("GET", "/"));
  const { connection } = await upstream.request();
  connection.send("HTTP/1.1 200 OK\r\n\r\nhello");
  await client.bodyBytes(5);
  connection.reset();
  await client.closed();
  assert.equal((await client.answer()).complete, false);
});

test("an upstream that dies in the middle of an upload is 502, and the client is told", async (t) => {
  upstream.forget();
  upstream.onRequest = null;
  const client = await connectRaw(t, sidecar.port);
  client.request(requestText("POST", "/", ["Content-Length: 1000000"]));
  client.send(Buffer.alloc(1_000, "x"));
  (await upstream.request()).connection.reset();
  assertLocalReply(await client.answer(), 502, "upstream_reset");
  await client.closed();
});

test("the sidecar serves on after each of these deaths", async (t) => {
  upstream.onRequest = answering(OK_ANSWER);
  assert.equal((await exchangeOnce(t, sidecar.port, requestText("GET", "/"))).status, 200);
});
