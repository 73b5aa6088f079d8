import assert from "node:assert/strict";
import test from "node:test";
import { proxyTo } from "../support/configs.ts";
import { header, valuesOf } from "../support/message-reader.ts";
import { connectRaw, exchangeOnce, requestText } from "../support/raw-client.ts";
import { answering, okText, OK_ANSWER, startRawUpstream } from "../support/raw-upstream.ts";
import { fileScope } from "../support/scope.ts";
import { useSidecar } from "../support/sidecar.ts";

const upstream = await startRawUpstream(fileScope);
const sidecar = await useSidecar(fileScope, proxyTo(upstream.url));

const TRAILED = "5\r\nhello\r\n0\r\nX-Sum: abc\r\nX-Two: 1\r\nx-two: 2\r\n\r\n";
const ANNOUNCED = `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum, X-Two\r\n\r\n${TRAILED}`;

test("trailers of an answer reach a client that said TE: trailers, in order and with repeats", async (t) => {
  upstream.onRequest = answering(ANNOUNCED);
  const fields = ["TE: trailers", "Connection: TE"];
  const answer = await exchangeOnce(t, sidecar.port, requestText("GET", "/", fields));
  assert.equal(answer.text, "hello");
  assert.deepEqual(valuesOf(answer.trailers, "x-sum"), ["abc"]);
  assert.deepEqual(valuesOf(answer.trailers, "x-two"), ["1", "2"]);
  assert.equal(header(answer, "x-sum"), null, "never merged into the header section");
});

test("trailers that were not announced reach such a client too", async (t) => {
  upstream.onRequest = answering(`HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${TRAILED}`);
  const answer = await exchangeOnce(t, sidecar.port, requestText("GET", "/", ["TE: trailers", "Connection: TE"]));
  assert.deepEqual(valuesOf(answer.trailers, "x-sum"), ["abc"]);
});

test("trailers that nobody announced are dropped for a client that did not ask for any", async (t) => {
  upstream.onRequest = answering(`HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${TRAILED}`);
  const client = await connectRaw(t, sidecar.port);
  const answer = await client.exchange(requestText("GET", "/"));
  assert.equal(answer.text, "hello");
  assert.equal(answer.complete, true);
  assert.doesNotMatch(client.text(), /x-sum: abc/i);
  upstream.onRequest = answering(okText("next"));
  assert.equal((await client.exchange(requestText("GET", "/"))).text, "next");
});

test("trailers that the upstream announced leave such a client in step", async (t) => {
  upstream.onRequest = answering(ANNOUNCED);
  const client = await connectRaw(t, sidecar.port);
  const answer = await client.exchange(requestText("GET", "/"));
  assert.equal(answer.text, "hello");
  assert.equal(answer.complete, true);
  upstream.onRequest = answering(okText("next"));
  assert.equal((await client.exchange(requestText("GET", "/"))).text, "next");
});

test("trailers are dropped for an HTTP/1.0 client", async (t) => {
  upstream.onRequest = answering(ANNOUNCED);
  const client = await connectRaw(t, sidecar.port);
  const answer = await client.exchange("GET / HTTP/1.0\r\nHost: a.test\r\nTE: trailers\r\n\r\n");
  assert.equal(answer.text, "hello");
  assert.doesNotMatch(client.text(), /x-sum: abc/i);
});

test("trailers of a request reach the upstream", async (t) => {
  upstream.forget();
  upstream.onRequest = answering(OK_ANSWER);
  const fields = ["Transfer-Encoding: chunked", "Trailer: X-Sum, X-Two"];
  assert.equal((await exchangeOnce(t, sidecar.port, requestText("POST", "/", fields) + TRAILED)).status, 200);
  const { message } = await upstream.whole();
  assert.equal(Buffer.concat(message.pieces).toString(), "hello");
  assert.deepEqual(valuesOf(message.trailers, "x-sum"), ["abc"]);
  assert.equal(valuesOf(message.rawHeaders, "x-sum").length, 0, "never merged into the header section");
});

const FORBIDDEN = ["Content-Length: 50", "Transfer-Encoding: chunked", "Host: evil.test", "X-Crossfade-Force: v2"];

for (const trailer of FORBIDDEN) {
  test(`the trailer "${trailer}" of a request does not become a field of it`, async (t) => {
    upstream.forget();
    upstream.onRequest = answering(OK_ANSWER);
    const fields = ["Transfer-Encoding: chunked", `Trailer: ${trailer.split(":")[0]}`];
    const text = `${requestText("POST", "/", fields)}5\r\nhello\r\n0\r\n${trailer}\r\n\r\n`;
    const answer = await exchangeOnce(t, sidecar.port, text);
    assert.ok(answer.status === 200 || answer.status === 400, `status ${answer.status}`);
    for (const { rawHeaders, message } of upstream.requests) {
      const [name = "", value = ""] = trailer.split(": ");
      assert.ok(!valuesOf(rawHeaders, name).includes(value) || name === "Transfer-Encoding");
      assert.deepEqual(valuesOf(message.trailers, name), []);
    }
  });
}

test("framing fields in the trailers of an answer do not reach the client", async (t) => {
  const tail = "5\r\nhello\r\n0\r\nContent-Length: 50\r\nX-Sum: abc\r\n\r\n";
  upstream.onRequest = answering(`HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${tail}`);
  const client = await connectRaw(t, sidecar.port);
  const answer = await client.exchange(requestText("GET", "/", ["TE: trailers", "Connection: TE"]));
  if (answer.status === 200) {
    assert.equal(answer.text, "hello");
    assert.deepEqual(valuesOf(answer.trailers, "content-length"), []);
    assert.equal(header(answer, "content-length"), null);
  } else assert.equal(answer.status, 502);
});
