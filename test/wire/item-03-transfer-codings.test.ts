import assert from "node:assert/strict";
import test from "node:test";
import { proxyTo } from "../support/configs.ts";
import { assertLocalReply } from "../support/local-reply.ts";
import { header } from "../support/message-reader.ts";
import { connectRaw, exchangeOnce, requestText } from "../support/raw-client.ts";
import { startRawUpstream } from "../support/raw-upstream.ts";
import { fileScope } from "../support/scope.ts";
import { useSidecar } from "../support/sidecar.ts";

const upstream = await startRawUpstream(fileScope);
const sidecar = await useSidecar(fileScope, proxyTo(upstream.url));
const CHUNKS = "5\r\nhello\r\n0\r\n\r\n";

const REFUSED: readonly (readonly string[])[] = [
  ["gzip, chunked"],
  ["gzip", "chunked"],
  ["xchunked"],
  ["chunked, identity"],
  ["chunked, gzip"],
  ["chunked,"],
  ["chunked, chunked"],
  ["chunked", "chunked"],
  ["identity"],
  ["chunked;q=1"],
  ["x\tchunked"],
  [""],
];

for (const codings of REFUSED) {
  test(`a request coded ${JSON.stringify(codings)} is refused, closed, and unseen upstream`, async (t) => {
    upstream.forget();
    const client = await connectRaw(t, sidecar.port);
    const fields = codings.map((coding) => `Transfer-Encoding: ${coding}`);
    const answer = await client.exchange(requestText("POST", "/", fields) + CHUNKS);
    assert.ok(answer.status === 400 || answer.status === 501, `status ${answer.status}`);
    assertLocalReply(answer, answer.status);
    await client.closed();
    assert.equal(client.finalCount(), 1);
    assert.equal(upstream.text(), "");
  });
}

for (const coding of ["chunked", "Chunked", "CHUNKED"]) {
  test(`a request coded "${coding}" passes, chunked`, async (t) => {
    upstream.forget();
    const fields = [`Transfer-Encoding: ${coding}`];
    const answer = await exchangeOnce(t, sidecar.port, requestText("POST", "/", fields) + CHUNKS);
    assert.equal(answer.status, 200);
    const seen = await upstream.whole();
    assert.equal(header(seen, "transfer-encoding"), "chunked");
    assert.equal(header(seen, "content-length"), null);
    assert.equal(Buffer.concat(seen.message.pieces).toString(), "hello");
  });
}
