import assert from "node:assert/strict";
import test from "node:test";
import { proxyTo } from "../support/configs.ts";
import { assertLocalReply } from "../support/local-reply.ts";
import { allHeaders } from "../support/message-reader.ts";
import { connectRaw, exchangeOnce } from "../support/raw-client.ts";
import { startRawUpstream } from "../support/raw-upstream.ts";
import { fileScope } from "../support/scope.ts";
import { useSidecar } from "../support/sidecar.ts";

const upstream = await startRawUpstream(fileScope);
const sidecar = await useSidecar(fileScope, proxyTo(upstream.url));

const REFUSED: readonly (readonly [string, string])[] = [
  ["two different Hosts", "GET / HTTP/1.1\r\nHost: a.test\r\nHost: b.test\r\n\r\n"],
  ["two equal Hosts", "GET / HTTP/1.1\r\nHost: a.test\r\nhost: a.test\r\n\r\n"],
  ["no Host", "GET / HTTP/1.1\r\nX-A: b\r\n\r\n"],
  ["a list of Hosts", "GET / HTTP/1.1\r\nHost: a.test, b.test\r\n\r\n"],
  ["user info in Host", "GET / HTTP/1.1\r\nHost: u:p@a.test\r\n\r\n"],
  ["a path in Host", "GET / HTTP/1.1\r\nHost: a.test/b\r\n\r\n"],
  ["a bad port in Host", "GET / HTTP/1.1\r\nHost: a.test:80x\r\n\r\n"],
  ["a blank in Host", "GET / HTTP/1.1\r\nHost: a test\r\n\r\n"],
];

for (const [what, text] of REFUSED) {
  test(`a request with ${what} is refused and unseen upstream`, async (t) => {
    upstream.forget();
    const client = await connectRaw(t, sidecar.port);
    assertLocalReply(await client.exchange(text), 400);
    assert.equal(upstream.text(), "");
  });
}

const PASSED: readonly (readonly [string, string])[] = [
  ["a.test", "a.test"],
  ["a.test:8080", "a.test:8080"],
  ["A.Test", "A.Test"],
  ["[::1]:8080", "[::1]:8080"],
  ["127.0.0.1", "127.0.0.1"],
];

for (const [host, forwarded] of PASSED) {
  test(`Host "${host}" reaches the upstream unchanged`, async (t) => {
    upstream.forget();
    const answer = await exchangeOnce(t, sidecar.port, `GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
    assert.equal(answer.status, 200);
    assert.deepEqual(allHeaders(await upstream.request(), "host"), [forwarded]);
  });
}

test("the authority of an absolute target replaces Host, and the target goes on in origin form", async (t) => {
  upstream.forget();
  const answer = await exchangeOnce(
    t,
    sidecar.port,
    "GET http://b.test:81/p?q=1 HTTP/1.1\r\nHost: a.test\r\nX-Seen: 1\r\n\r\n",
  );
  assert.equal(answer.status, 200);
  const seen = await upstream.request();
  assert.equal(seen.target, "/p?q=1");
  assert.deepEqual(allHeaders(seen, "host"), ["b.test:81"]);
  assert.deepEqual(allHeaders(seen, "x-forwarded-host"), ["b.test:81"]);
});

test("a refused Host does not keep the connection for what follows it", async (t) => {
  upstream.forget();
  const client = await connectRaw(t, sidecar.port);
  client.request("POST / HTTP/1.1\r\nHost: a.test\r\nHost: b.test\r\nContent-Length: 40\r\n\r\n");
  client.send("GET /smuggled HTTP/1.1\r\nHost: a.test\r\n\r\n");
  assertLocalReply(await client.answer(), 400);
  await client.closed();
  assert.equal(upstream.text(), "");
});
