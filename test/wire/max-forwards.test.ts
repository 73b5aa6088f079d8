import assert from "node:assert/strict";
import test from "node:test";
import { proxyTo } from "../support/configs.ts";
import { allHeaders, header } from "../support/message-reader.ts";
import { exchangeOnce, requestText } from "../support/raw-client.ts";
import { startRawUpstream } from "../support/raw-upstream.ts";
import { fileScope } from "../support/scope.ts";
import { useSidecar } from "../support/sidecar.ts";

// RFC 9110 §7.6.2.
const upstream = await startRawUpstream(fileScope);
const sidecar = await useSidecar(fileScope, proxyTo(upstream.url));

for (const method of ["OPTIONS", "TRACE"]) {
  test(`Max-Forwards of ${method} is one less upstream`, async (t) => {
    upstream.forget();
    const answer = await exchangeOnce(t, sidecar.port, requestText(method, "/", ["Max-Forwards: 5"]));
    if (answer.status === 200) assert.deepEqual(allHeaders(await upstream.request(), "max-forwards"), ["4"]);
    else assert.ok(answer.status === 405 || answer.status === 501, `status ${answer.status}`);
  });

  test(`${method} with Max-Forwards: 0 ends here`, async (t) => {
    upstream.forget();
    const answer = await exchangeOnce(t, sidecar.port, requestText(method, "/", ["Max-Forwards: 0"]));
    assert.ok([200, 204, 405, 501].includes(answer.status), `status ${answer.status}`);
    assert.equal(header(answer, "x-crossfade-upstream"), null);
    assert.equal(upstream.text(), "");
  });
}

test("Max-Forwards means nothing to other methods and passes as it is", async (t) => {
  upstream.forget();
  assert.equal((await exchangeOnce(t, sidecar.port, requestText("GET", "/", ["Max-Forwards: 0"]))).status, 200);
  assert.equal(header(await upstream.request(), "max-forwards"), "0");
});
