import assert from "node:assert/strict";
import test from "node:test";
import { proxyTo } from "../support/configs.ts";
import { assertLocalReply } from "../support/local-reply.ts";
import { header } from "../support/message-reader.ts";
import { connectRaw } from "../support/raw-client.ts";
import { answering, startRawUpstream } from "../support/raw-upstream.ts";
import { fileScope } from "../support/scope.ts";
import { useSidecar } from "../support/sidecar.ts";

const upstream = await startRawUpstream(fileScope);
const sidecar = await useSidecar(fileScope, proxyTo(upstream.url));

test("an HTTP/1.0 request with Transfer-Encoding is refused, closed, and unseen upstream", async (t) => {
  const client = await connectRaw(t, sidecar.port);
  const answer = await client.exchange(
    "POST / HTTP/1.0\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
  );
  assertLocalReply(answer, 400);
  await client.closed();
  assert.equal(upstream.text(), "");
});

test("an HTTP/1.0 client gets a chunked answer unchunked, ended by the close", async (t) => {
  upstream.forget();
  upstream.onRequest = answering("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
  const client = await connectRaw(t, sidecar.port);
  const answer = await client.exchange("GET / HTTP/1.0\r\nHost: a.test\r\n\r\n");
  assert.equal(answer.status, 200);
  assert.equal(header(answer, "transfer-encoding"), null);
  assert.equal(answer.text, "hello");
  assert.equal(await client.closed(), "fin");
});

test("an HTTP/1.0 request goes upstream as HTTP/1.1", async (t) => {
  upstream.forget();
  const client = await connectRaw(t, sidecar.port);
  await client.exchange("GET /old HTTP/1.0\r\nHost: a.test\r\n\r\n");
  const seen = await upstream.request();
  assert.equal(seen.message.startLine, "GET /old HTTP/1.1");
  assert.match(header(seen, "via") ?? "", /^1\.[01] crossfade$/);
});
