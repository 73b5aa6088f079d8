import assert from "node:assert/strict";
import test from "node:test";
import { proxyTo } from "../support/configs.ts";
import { allHeaders, header } from "../support/message-reader.ts";
import { connectRaw, exchangeOnce, requestText } from "../support/raw-client.ts";
import { answering, okText, OK_ANSWER, startRawUpstream } from "../support/raw-upstream.ts";
import { fileScope } from "../support/scope.ts";
import { useSidecar } from "../support/sidecar.ts";

const upstream = await startRawUpstream(fileScope);
const sidecar = await useSidecar(fileScope, proxyTo(upstream.url));

const BOTH_WAYS: readonly (readonly [string, string])[] = [
  ["Keep-Alive", "timeout=77"],
  ["Proxy-Connection", "keep-alive"],
  ["Proxy-Authenticate", "Basic"],
  ["Proxy-Authorization", "Basic c2VjcmV0"],
  ["Trailer", "X-Sum"],
  ["Upgrade", "foo/2"],
  ["HTTP2-Settings", "AAMAAABkAAQAAP__"],
  ["Alt-Svc", 'h2=":443"'],
];

for (const [name, value] of BOTH_WAYS) {
  test(`${name} of a request stays here`, async (t) => {
    upstream.forget();
    const fields = [`${name}: ${value}`, "X-End: to-end"];
    assert.equal((await exchangeOnce(t, sidecar.port, requestText("GET", "/", fields))).status, 200);
    const seen = await upstream.request();
    assert.ok(!allHeaders(seen, name).includes(value));
    assert.equal(header(seen, "x-end"), "to-end");
  });

  test(`${name} of an answer stays here`, async (t) => {
    upstream.onRequest = answering(okText("hello", [`${name}: ${value}`, "X-End: to-end"]));
    const answer = await exchangeOnce(t, sidecar.port, requestText("GET", "/"));
    upstream.onRequest = answering(OK_ANSWER);
    assert.ok(!allHeaders(answer, name).includes(value));
    assert.equal(header(answer, "x-end"), "to-end");
    assert.equal(answer.text, "hello");
  });
}

test("fields that the client's Connection names stay here, on several lines and in any case", async (t) => {
  upstream.forget();
  const fields = [
    "Connection: x-one , X-TWO",
    "X-One: 1",
    "connection: x-three",
    "x-two: 2",
    "X-THREE: 3",
    "X-Four: 4",
  ];
  await exchangeOnce(t, sidecar.port, requestText("GET", "/", fields));
  const seen = await upstream.request();
  for (const name of ["x-one", "x-two", "x-three"]) assert.equal(header(seen, name), null, name);
  assert.equal(header(seen, "x-four"), "4");
});

test("fields that the upstream's Connection names stay here, on several lines and in any case", async (t) => {
  const fields = [
    "Connection: x-one , X-TWO",
    "X-One: 1",
    "connection: x-three",
    "x-two: 2",
    "X-THREE: 3",
    "X-Four: 4",
  ];
  upstream.onRequest = answering(okText("hello", fields));
  const answer = await exchangeOnce(t, sidecar.port, requestText("GET", "/"));
  upstream.onRequest = answering(OK_ANSWER);
  for (const name of ["x-one", "x-two", "x-three"]) assert.equal(header(answer, name), null, name);
  assert.equal(header(answer, "x-four"), "4");
});

test("TE keeps trailers and loses everything else", async (t) => {
  upstream.forget();
  await exchangeOnce(t, sidecar.port, requestText("GET", "/", ["TE: gzip;q=0.5, trailers", "Connection: TE"]));
  assert.deepEqual(allHeaders(await upstream.request(), "te"), ["trailers"]);
  upstream.forget();
  await exchangeOnce(t, sidecar.port, requestText("GET", "/", ["TE: gzip", "Connection: TE"]));
  assert.deepEqual(allHeaders(await upstream.request(), "te"), []);
});

test("Connection: close from the client closes the client's connection only", async (t) => {
  upstream.forget();
  const client = await connectRaw(t, sidecar.port);
  const answer = await client.exchange(requestText("GET", "/1", ["Connection: close"]));
  assert.equal(header(answer, "connection"), "close");
  await client.closed();
  const { connection } = await upstream.request();
  await exchangeOnce(t, sidecar.port, requestText("GET", "/2"));
  assert.equal((await upstream.request(1)).connection, connection);
});

test("Connection: close from the upstream closes the upstream's connection only", async (t) => {
  upstream.forget();
  upstream.onRequest = answering(okText("hello", ["Connection: close"]), "close");
  const client = await connectRaw(t, sidecar.port);
  const first = await client.exchange(requestText("GET", "/1"));
  assert.notEqual(header(first, "connection"), "close");
  upstream.onRequest = answering(OK_ANSWER);
  assert.equal((await client.exchange(requestText("GET", "/2"))).status, 200);
  assert.notEqual((await upstream.request(1)).connection, (await upstream.request(0)).connection);
});
