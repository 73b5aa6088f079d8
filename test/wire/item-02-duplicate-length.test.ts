import assert from "node:assert/strict";
import test from "node:test";
import { proxyTo } from "../support/configs.ts";
import { assertLocalReply } from "../support/local-reply.ts";
import { connectRaw, requestText } from "../support/raw-client.ts";
import { startRawUpstream } from "../support/raw-upstream.ts";
import { fileScope } from "../support/scope.ts";
import { useSidecar } from "../support/sidecar.ts";

const upstream = await startRawUpstream(fileScope);
const sidecar = await useSidecar(fileScope, proxyTo(upstream.url));

const REPEATS = [
  ["Content-Length: 5", "Content-Length: 5"],
  ["Content-Length: 5", "Content-Length: 6"],
  ["Content-Length: 5", "content-length: 5"],
  ["Content-Length: 5, 5"],
  ["Content-Length: 5,6"],
];

for (const fields of REPEATS) {
  test(`a request with "${fields.join('" and "')}" is refused, closed, and unseen upstream`, async (t) => {
    upstream.forget();
    const client = await connectRaw(t, sidecar.port);
    const answer = await client.exchange(`${requestText("POST", "/", fields)}hello!`);
    assertLocalReply(answer, 400);
    await client.closed();
    assert.equal(client.finalCount(), 1);
    assert.equal(upstream.text(), "");
  });
}
