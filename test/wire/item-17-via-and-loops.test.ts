import assert from "node:assert/strict";
import test from "node:test";
import { proxyTo } from "../support/configs.ts";
import { assertLocalReply } from "../support/local-reply.ts";
import { allHeaders } from "../support/message-reader.ts";
import { exchangeOnce, requestText } from "../support/raw-client.ts";
import { startRawUpstream } from "../support/raw-upstream.ts";
import { fileScope } from "../support/scope.ts";
import { useSidecar } from "../support/sidecar.ts";

const upstream = await startRawUpstream(fileScope);
const sidecar = await useSidecar(fileScope, proxyTo(upstream.url));

test("one Via of ours is added", async (t) => {
  upstream.forget();
  await exchangeOnce(t, sidecar.port, requestText("GET", "/"));
  assert.deepEqual(allHeaders(await upstream.request(), "via"), ["1.1 crossfade"]);
});

test("ours comes last behind the hops before us", async (t) => {
  upstream.forget();
  const fields = ["Via: 1.0 fred, 1.1 p.example.net (Apache/1.1)", "Via: 2 edge"];
  await exchangeOnce(t, sidecar.port, requestText("GET", "/", fields));
  const via = allHeaders(await upstream.request(), "via").join(", ");
  assert.equal(via, "1.0 fred, 1.1 p.example.net (Apache/1.1), 2 edge, 1.1 crossfade");
});

const LOOPS = [
  "Via: 1.1 crossfade",
  "Via: 1.0 fred, 1.1 crossfade",
  "Via: 1.1 crossfade (sidecar), 1.1 other",
  "via: HTTP/1.1 crossfade",
  "Via: 1.1 a\r\nVia: 1.1 crossfade",
];

for (const via of LOOPS) {
  test(`${JSON.stringify(via)} is a loop: 508, unseen upstream`, async (t) => {
    upstream.forget();
    assertLocalReply(await exchangeOnce(t, sidecar.port, requestText("GET", "/", [via])), 508, "loop");
    assert.equal(upstream.text(), "");
  });
}

for (const via of ["1.1 crossfade-2", "1.1 notcrossfade", "1.1 other (crossfade)", "1.1 crossfade.example.org"]) {
  test(`Via: ${via} is somebody else`, async (t) => {
    assert.equal((await exchangeOnce(t, sidecar.port, requestText("GET", "/", [`Via: ${via}`]))).status, 200);
  });
}
