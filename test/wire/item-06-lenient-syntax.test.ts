import assert from "node:assert/strict";
import test from "node:test";
import { proxyTo } from "../support/configs.ts";
import { assertLocalReply } from "../support/local-reply.ts";
import { connectRaw } from "../support/raw-client.ts";
import { startRawUpstream } from "../support/raw-upstream.ts";
import { fileScope } from "../support/scope.ts";
import { useSidecar } from "../support/sidecar.ts";

const upstream = await startRawUpstream(fileScope);
const sidecar = await useSidecar(fileScope, proxyTo(upstream.url));

const REFUSED: readonly (readonly [string, string])[] = [
  ["a blank before a colon", "GET / HTTP/1.1\r\nHost: a.test\r\nX-A : b\r\n\r\n"],
  ["a tab before a colon", "GET / HTTP/1.1\r\nHost: a.test\r\nX-A\t: b\r\n\r\n"],
  ["a folded line", "GET / HTTP/1.1\r\nHost: a.test\r\nX-A: a\r\n b\r\n\r\n"],
  ["a bare LF between lines", "GET / HTTP/1.1\r\nHost: a.test\r\nX-A: a\nX-B: b\r\n\r\n"],
  ["bare LFs everywhere", "GET / HTTP/1.1\nHost: a.test\n\n"],
  ["a bare CR in a value", "GET / HTTP/1.1\r\nHost: a.test\r\nX-A: a\rb\r\n\r\n"],
  ["a NUL in a value", "GET / HTTP/1.1\r\nHost: a.test\r\nX-A: a\0b\r\n\r\n"],
  ["a NUL in a name", "GET / HTTP/1.1\r\nHost: a.test\r\nX\0A: b\r\n\r\n"],
  ["a NUL in the target", "GET /\0 HTTP/1.1\r\nHost: a.test\r\n\r\n"],
  ["an empty name", "GET / HTTP/1.1\r\nHost: a.test\r\n: b\r\n\r\n"],
];

for (const [what, text] of REFUSED) {
  test(`a request with ${what} is refused, closed, and unseen upstream`, async (t) => {
    upstream.forget();
    const client = await connectRaw(t, sidecar.port);
    assertLocalReply(await client.exchange(text), 400);
    await client.closed();
    assert.equal(upstream.text(), "");
  });
}

test("a malformed second request on a connection is refused after the first was served", async (t) => {
  upstream.forget();
  const client = await connectRaw(t, sidecar.port);
  client.request("GET /first HTTP/1.1\r\nHost: a.test\r\n\r\nGET /second HTTP/1.1\r\nHost : a.test\r\n\r\n");
  assert.equal((await client.answer()).status, 200);
  assertLocalReply(await client.answer(), 400);
  await client.closed();
  assert.deepEqual(
    upstream.requests.map(({ target }) => target),
    ["/first"],
  );
});

test("a request that arrives byte by byte is served like any other", async (t) => {
  upstream.forget();
  const client = await connectRaw(t, sidecar.port);
  await client.sendByteByByte("POST /slow HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n");
  await client.sendByteByByte("5\r\nhello\r\n0\r\n\r\n");
  assert.equal((await client.answer()).status, 200);
  assert.equal(Buffer.concat((await upstream.whole()).message.pieces).toString(), "hello");
});
