import assert from "node:assert/strict";
import test from "node:test";
import { proxyTo } from "../support/configs.ts";
import { connectRaw, exchangeOnce, requestText } from "../support/raw-client.ts";
import { answering, okText, startRawUpstream } from "../support/raw-upstream.ts";
import { fileScope } from "../support/scope.ts";
import { useSidecar } from "../support/sidecar.ts";

const upstream = await startRawUpstream(fileScope);
// One connection at most: the next request would get whatever was left on it.
const sidecar = await useSidecar(
  fileScope,
  proxyTo(upstream.url, { upstreams: { v1: { pool: { minConnections: 0, maxConnections: 1 } } } }),
);
const POISON = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nPOISON";

/** Answers the first request with `first`, the others with what belongs to them. */
function answerFirstWith(first: string): void {
  upstream.forget();
  let count = 0;
  upstream.onRequest = ({ connection, target }) =>
    connection.answer(count++ === 0 ? first : okText(`for ${target}`), "keep");
}

test("an answer that is shorter than its length, then the next answer's bytes: neither is believed", async (t) => {
  answerFirstWith("HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello");
  const client = await connectRaw(t, sidecar.port);
  client.request(requestText("GET", "/short"));
  await client.bodyBytes(5);
  upstream.requests[0]?.connection.close();
  await client.closed();
  assert.equal((await client.answer()).complete, false);
  const next = await exchangeOnce(t, sidecar.port, requestText("GET", "/next"));
  assert.equal(next.text, "for /next");
});

const SURPLUS: readonly (readonly [string, string])[] = [
  ["a second answer behind one with a length", okText("hello") + POISON],
  [
    "a second answer behind a chunked one",
    `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n${POISON}`,
  ],
  ["bytes behind an empty body", `HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nX-Poison: POISON\r\n\r\n`],
  ["a body on 204", "HTTP/1.1 204 No Content\r\n\r\nPOISON"],
  ["a body on 304", "HTTP/1.1 304 Not Modified\r\nContent-Length: 6\r\n\r\nPOISON"],
];

for (const [what, first] of SURPLUS) {
  test(`${what}: discarded with its connection, never given to the next client`, async (t) => {
    answerFirstWith(first);
    const client = await connectRaw(t, sidecar.port);
    const answer = await client.exchange(requestText("GET", "/first"));
    assert.ok([200, 204, 304, 502].includes(answer.status), `status ${answer.status}`);
    const next = await exchangeOnce(t, sidecar.port, requestText("GET", "/next"));
    assert.equal(next.status, 200, next.text);
    assert.equal(next.text, "for /next");
    assert.doesNotMatch(client.text(), /POISON/);
    assert.notEqual(upstream.requests[0]?.connection, upstream.requests.at(-1)?.connection);
  });
}

test("a body on the answer to HEAD: discarded with its connection", async (t) => {
  answerFirstWith("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nPOISON");
  const client = await connectRaw(t, sidecar.port);
  await client.exchange(requestText("HEAD", "/first"));
  const next = await exchangeOnce(t, sidecar.port, requestText("GET", "/next"));
  assert.equal(next.text, "for /next");
  assert.doesNotMatch(client.text(), /POISON/);
});

test("a second answer that comes while the connection is idle ends the connection", async (t) => {
  answerFirstWith(okText("hello"));
  assert.equal((await exchangeOnce(t, sidecar.port, requestText("GET", "/first"))).text, "hello");
  const { connection } = await upstream.request();
  connection.send(POISON);
  await connection.ended();
  const next = await exchangeOnce(t, sidecar.port, requestText("GET", "/next"));
  assert.equal(next.text, "for /next");
  assert.notEqual((await upstream.request(1)).connection, connection);
});

test("a client's second request on one connection never gets the surplus of its first", async (t) => {
  answerFirstWith(okText("hello") + POISON);
  const client = await connectRaw(t, sidecar.port);
  assert.equal((await client.exchange(requestText("GET", "/first"))).text, "hello");
  assert.equal((await client.exchange(requestText("GET", "/second"))).text, "for /second");
});

test("an answer that is as long as it says keeps its connection", async (t) => {
  answerFirstWith(okText("hello"));
  upstream.onRequest = answering(okText("hello"));
  await exchangeOnce(t, sidecar.port, requestText("GET", "/1"));
  await exchangeOnce(t, sidecar.port, requestText("GET", "/2"));
  assert.equal((await upstream.request(0)).connection, (await upstream.request(1)).connection);
});
