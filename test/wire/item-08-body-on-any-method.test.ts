import assert from "node:assert/strict";
import test from "node:test";
import { proxyTo } from "../support/configs.ts";
import { header } from "../support/message-reader.ts";
import { connectRaw, exchangeOnce, requestText } from "../support/raw-client.ts";
import { startRawUpstream } from "../support/raw-upstream.ts";
import { fileScope } from "../support/scope.ts";
import { useSidecar } from "../support/sidecar.ts";

const upstream = await startRawUpstream(fileScope);
const sidecar = await useSidecar(fileScope, proxyTo(upstream.url));
const METHODS = ["GET", "DELETE", "OPTIONS", "PUT", "PATCH", "POST", "PROPFIND"];

for (const method of METHODS) {
  test(`a chunked body of ${method} arrives intact and chunked`, async (t) => {
    upstream.forget();
    const text = `${requestText(method, "/", ["Transfer-Encoding: chunked"])}5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n`;
    assert.equal((await exchangeOnce(t, sidecar.port, text)).status, 200);
    const seen = await upstream.whole();
    assert.equal(seen.method, method);
    assert.equal(header(seen, "transfer-encoding"), "chunked");
    assert.equal(header(seen, "content-length"), null);
    assert.equal(Buffer.concat(seen.message.pieces).toString(), "hello world");
  });

  test(`a body of ${method} with a length arrives intact with that length`, async (t) => {
    upstream.forget();
    assert.equal((await exchangeOnce(t, sidecar.port, requestText(method, "/", [], "hello"))).status, 200);
    const seen = await upstream.whole();
    assert.equal(header(seen, "content-length"), "5");
    assert.equal(header(seen, "transfer-encoding"), null);
    assert.equal(Buffer.concat(seen.message.pieces).toString(), "hello");
  });
}

test("an empty chunked body does not become a request without a body that leaves its last chunk behind", async (t) => {
  upstream.forget();
  const client = await connectRaw(t, sidecar.port);
  const first = await client.exchange(`${requestText("DELETE", "/1", ["Transfer-Encoding: chunked"])}0\r\n\r\n`);
  assert.equal(first.status, 200);
  assert.equal((await client.exchange(requestText("GET", "/2"))).status, 200);
  await upstream.whole(1);
  assert.deepEqual(
    upstream.connections.map(({ reader }) => reader.malformed),
    upstream.connections.map(() => null),
  );
  assert.equal(upstream.requests.length, 2);
});

for (const method of ["GET", "HEAD", "DELETE", "OPTIONS"]) {
  test(`${method} without a body gets no framing fields on its way`, async (t) => {
    upstream.forget();
    assert.equal((await exchangeOnce(t, sidecar.port, requestText(method, "/"))).status, 200);
    const seen = await upstream.whole();
    assert.equal(header(seen, "content-length"), null);
    assert.equal(header(seen, "transfer-encoding"), null);
  });
}

test("POST without framing fields means an empty body upstream too", async (t) => {
  upstream.forget();
  assert.equal((await exchangeOnce(t, sidecar.port, requestText("POST", "/"))).status, 200);
  const seen = await upstream.whole();
  assert.equal(header(seen, "content-length") ?? "0", "0");
  assert.equal(header(seen, "transfer-encoding"), null);
});

test("Content-Length: 0 stays", async (t) => {
  upstream.forget();
  assert.equal((await exchangeOnce(t, sidecar.port, requestText("PUT", "/", ["Content-Length: 0"]))).status, 200);
  assert.equal(header(await upstream.whole(), "content-length"), "0");
});

test("the body of a GET never comes back as a request of its own", async (t) => {
  upstream.forget();
  const client = await connectRaw(t, sidecar.port);
  const inner = requestText("GET", "/smuggled");
  assert.equal((await client.exchange(requestText("GET", "/outer", [], inner))).status, 200);
  assert.equal((await client.exchange(requestText("GET", "/next"))).status, 200);
  await upstream.whole(1);
  assert.deepEqual(
    upstream.requests.map(({ target }) => target),
    ["/outer", "/next"],
  );
});
