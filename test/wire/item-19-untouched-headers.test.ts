import assert from "node:assert/strict";
import test from "node:test";
import { proxyTo } from "../support/configs.ts";
import { allHeaders, header } from "../support/message-reader.ts";
import { exchangeOnce, requestText } from "../support/raw-client.ts";
import { answering, okText, startRawUpstream } from "../support/raw-upstream.ts";
import { fileScope } from "../support/scope.ts";
import { useSidecar } from "../support/sidecar.ts";

const upstream = await startRawUpstream(fileScope);
const sidecar = await useSidecar(fileScope, proxyTo(upstream.url));

const FIELDS = [
  ["Date", "Tue, 15 Nov 1994 08:12:31 GMT"],
  ["Server", "upstream/9.9 (test)"],
  ["Location", "http://127.0.0.1:9/elsewhere?x=%2F"],
  ["Content-Location", "/other"],
  ["Set-Cookie", "a=1; Domain=other.test; Path=/deep"],
  ["Cache-Control", "public, max-age=60"],
  ["Content-Type", "text/html;charset=UTF-8"],
  ["Via", "1.1 inner"],
  ["Warning", '110 - "stale"'],
] as const;

for (const status of ["200 OK", "302 Found", "404 Not Found", "503 Service Unavailable"]) {
  test(`an upstream's ${status} passes with its fields as they are`, async (t) => {
    const lines = FIELDS.map(([name, value]) => `${name}: ${value}`);
    upstream.onRequest = answering(okText("hello", lines).replace("200 OK", status));
    const answer = await exchangeOnce(t, sidecar.port, requestText("GET", "/"));
    assert.equal(`${answer.status} ${answer.reason}`, status);
    for (const [name, value] of FIELDS) assert.deepEqual(allHeaders(answer, name), [value], name);
    assert.equal(header(answer, "x-crossfade-error"), null);
    assert.equal(answer.text, "hello");
  });
}

test("no Server, content type or powered-by is invented", async (t) => {
  upstream.onRequest = answering(okText("hello"));
  const answer = await exchangeOnce(t, sidecar.port, requestText("GET", "/"));
  for (const name of ["server", "content-type", "x-powered-by"]) assert.equal(header(answer, name), null, name);
});

test("an unusual status and reason pass", async (t) => {
  upstream.onRequest = answering("HTTP/1.1 299 Rather fine, (really)\r\nContent-Length: 0\r\n\r\n");
  const answer = await exchangeOnce(t, sidecar.port, requestText("GET", "/"));
  assert.equal(answer.status, 299);
  assert.equal(answer.reason, "Rather fine, (really)");
});

test("the body of a request is not touched, whatever its type and coding", async (t) => {
  upstream.forget();
  const body = String.fromCharCode(...Array.from({ length: 256 }, (_, index) => index));
  const fields = ["Content-Type: application/x-bin", "Content-Encoding: x-none", "Content-MD5: x"];
  await exchangeOnce(t, sidecar.port, requestText("POST", "/", fields, body));
  const seen = await upstream.whole();
  assert.equal(Buffer.concat(seen.message.pieces).toString("latin1"), body);
  assert.equal(header(seen, "content-type"), "application/x-bin");
  assert.equal(header(seen, "content-encoding"), "x-none");
});
