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
const CHUNKED = requestText("POST", "/", ["Transfer-Encoding: chunked"]);

const REFUSED: readonly (readonly [string, string])[] = [
  ["a size of 0x5", "0x5\r\nhello\r\n0\r\n\r\n"],
  ["a negative size", "-5\r\nhello\r\n0\r\n\r\n"],
  ["a size of 65 bits", "10000000000000005\r\nhello\r\n0\r\n\r\n"],
  ["no line end behind the data", "5\r\nhelloX\r\n0\r\n\r\n"],
  ["20 KB of extension", `5;x=${"y".repeat(20_000)}\r\nhello\r\n0\r\n\r\n`],
];

for (const [what, body] of REFUSED) {
  test(`a chunk with ${what} ends the exchange with 400 and never a whole request upstream`, async (t) => {
    upstream.forget();
    const client = await connectRaw(t, sidecar.port);
    const answer = await client.exchange(CHUNKED + body);
    assertLocalReply(answer, 400);
    await client.closed();
    assert.equal(client.finalCount(), 1);
    assert.ok(upstream.requests.every(({ message }) => !message.complete));
  });
}

test("chunk extensions of a request stay here", async (t) => {
  upstream.forget();
  await exchangeOnce(t, sidecar.port, `${CHUNKED}5;secret=1\r\nhello\r\n0;end="x"\r\n\r\n`);
  const seen = await upstream.whole();
  assert.equal(Buffer.concat(seen.message.pieces).toString(), "hello");
  assert.doesNotMatch(upstream.text(), /secret|end=/);
});

test("chunk extensions of an answer stay here", async (t) => {
  upstream.forget();
  upstream.onRequest = answering(
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;secret=1\r\nhello\r\n0;end=x\r\n\r\n",
  );
  const client = await connectRaw(t, sidecar.port);
  const answer = await client.exchange(requestText("GET", "/"));
  assert.equal(answer.text, "hello");
  assert.doesNotMatch(client.text(), /secret|end=/);
});
