import assert from "node:assert/strict";
import test from "node:test";
import { proxyTo } from "../support/configs.ts";
import { assertLocalReply } from "../support/local-reply.ts";
import { connectRaw, exchangeOnce, requestText } from "../support/raw-client.ts";
import { answering, startRawUpstream } from "../support/raw-upstream.ts";
import { fileScope } from "../support/scope.ts";
import { useSidecar } from "../support/sidecar.ts";

const upstream = await startRawUpstream(fileScope);
const sidecar = await useSidecar(fileScope, proxyTo(upstream.url));

const BOTH_WAYS_ROUND = [
  ["Content-Length: 5", "Transfer-Encoding: chunked"],
  ["Transfer-Encoding: chunked", "Content-Length: 5"],
];

for (const fields of BOTH_WAYS_ROUND) {
  test(`a request with "${fields.join('" then "')}" is refused, closed, and unseen upstream`, async (t) => {
    upstream.forget();
    const client = await connectRaw(t, sidecar.port);
    const answer = await client.exchange(`${requestText("POST", "/", fields)}5\r\nhello\r\n0\r\n\r\n`);
    assertLocalReply(answer, 400);
    await client.closed();
    assert.equal(upstream.text(), "");
  });

  test(`an answer with "${fields.join('" then "')}" becomes 502 and its connection is dropped`, async (t) => {
    upstream.forget();
    const framing = fields.join("\r\n");
    upstream.onRequest = answering(`HTTP/1.1 200 OK\r\n${framing}\r\n\r\n5\r\nhello\r\n0\r\n\r\n`);
    const answer = await exchangeOnce(t, sidecar.port, requestText("GET", "/"));
    assertLocalReply(answer, 502);
    const { connection } = await upstream.request(0);
    await connection.ended();
  });
}

test("the bytes behind a refused request are not taken for a second one", async (t) => {
  upstream.forget();
  const client = await connectRaw(t, sidecar.port);
  const fields = ["Content-Length: 4", "Transfer-Encoding: chunked"];
  client.request(`${requestText("POST", "/", fields)}0\r\n\r\n${requestText("GET", "/smuggled")}`);
  await client.closed();
  assert.equal(client.finalCount(), 1);
  assert.equal(upstream.text(), "");
});
