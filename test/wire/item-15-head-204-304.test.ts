import assert from "node:assert/strict";
import test from "node:test";
import { proxyTo } from "../support/configs.ts";
import { header } from "../support/message-reader.ts";
import { connectRaw, requestText, type RawClient } from "../support/raw-client.ts";
import { answering, okText, startRawUpstream } from "../support/raw-upstream.ts";
import { fileScope } from "../support/scope.ts";
import { useSidecar } from "../support/sidecar.ts";

const upstream = await startRawUpstream(fileScope);
const sidecar = await useSidecar(fileScope, proxyTo(upstream.url));

/** The client's connection is in step: the next request on it gets its own answer. */
async function assertInStep(client: RawClient): Promise<void> {
  upstream.onRequest = answering(okText("in step"));
  const next = await client.exchange(requestText("GET", "/next"));
  assert.equal(next.text, "in step");
}

test("the answer to HEAD keeps the length that GET would have, and has no body", async (t) => {
  upstream.onRequest = answering("HTTP/1.1 200 OK\r\nContent-Length: 12345\r\n\r\n");
  const client = await connectRaw(t, sidecar.port);
  const answer = await client.exchange(requestText("HEAD", "/"));
  assert.equal(answer.status, 200);
  assert.equal(header(answer, "content-length"), "12345");
  assert.equal(answer.text, "");
  await assertInStep(client);
});

test("the answer to HEAD without a length gets none invented and has no body", async (t) => {
  upstream.onRequest = answering("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
  const client = await connectRaw(t, sidecar.port);
  const answer = await client.exchange(requestText("HEAD", "/"));
  assert.equal(answer.status, 200);
  assert.equal(header(answer, "content-length"), null);
  await assertInStep(client);
});

test("the connection to the upstream is used again after HEAD", async (t) => {
  upstream.forget();
  upstream.onRequest = answering("HTTP/1.1 200 OK\r\nContent-Length: 12345\r\n\r\n");
  const client = await connectRaw(t, sidecar.port);
  await client.exchange(requestText("HEAD", "/"));
  await assertInStep(client);
  assert.equal(upstream.requests[0]?.connection, upstream.requests[1]?.connection);
});

for (const framing of ["Content-Length: 5", "Content-Length: 0", "Transfer-Encoding: chunked"]) {
  test(`204 with "${framing}" goes to the client without framing fields`, async (t) => {
    upstream.onRequest = answering(`HTTP/1.1 204 No Content\r\n${framing}\r\nX-A: b\r\n\r\n`);
    const client = await connectRaw(t, sidecar.port);
    const answer = await client.exchange(requestText("GET", "/"));
    assert.equal(answer.status, 204);
    assert.equal(header(answer, "content-length"), null);
    assert.equal(header(answer, "transfer-encoding"), null);
    assert.equal(header(answer, "x-a"), "b");
    await assertInStep(client);
  });
}

test("204 without framing fields passes", async (t) => {
  upstream.onRequest = answering("HTTP/1.1 204 No Content\r\n\r\n");
  const client = await connectRaw(t, sidecar.port);
  assert.equal((await client.exchange(requestText("DELETE", "/"))).status, 204);
  await assertInStep(client);
});

test("304 keeps its length and validators and has no body", async (t) => {
  upstream.onRequest = answering('HTTP/1.1 304 Not Modified\r\nETag: "v"\r\nContent-Length: 12345\r\n\r\n');
  const client = await connectRaw(t, sidecar.port);
  const answer = await client.exchange(requestText("GET", "/", ['If-None-Match: "v"']));
  assert.equal(answer.status, 304);
  assert.equal(header(answer, "content-length"), "12345");
  assert.equal(header(answer, "etag"), '"v"');
  await assertInStep(client);
});

test("304 without a length gets none, and no chunks", async (t) => {
  upstream.onRequest = answering('HTTP/1.1 304 Not Modified\r\nETag: "v"\r\n\r\n');
  const client = await connectRaw(t, sidecar.port);
  const answer = await client.exchange(requestText("GET", "/", ['If-None-Match: "v"']));
  assert.equal(answer.status, 304);
  assert.equal(header(answer, "transfer-encoding"), null);
  await assertInStep(client);
});

for (const framing of ["Content-Length: 0", "Transfer-Encoding: chunked\r\n\r\n0"]) {
  test(`205 with "${framing.split("\r")[0]}" goes to the client with Content-Length: 0`, async (t) => {
    upstream.onRequest = answering(`HTTP/1.1 205 Reset Content\r\n${framing}\r\n\r\n`);
    const client = await connectRaw(t, sidecar.port);
    const answer = await client.exchange(requestText("POST", "/", ["Content-Length: 0"]));
    assert.equal(answer.status, 205);
    assert.equal(header(answer, "content-length"), "0");
    assert.equal(answer.text, "");
    await assertInStep(client);
  });
}
