import assert from "node:assert/strict";
import net from "node:net";
import test from "node:test";
import { assertLocalReply } from "../support/local-reply.ts";
import { header } from "../support/message-reader.ts";
import { connectRaw, exchangeOnce, keepsConnection, requestText } from "../support/raw-client.ts";
import { answering, startRawUpstream } from "../support/raw-upstream.ts";
import { fileScope } from "../support/scope.ts";
import { useSidecar } from "../support/sidecar.ts";

const upstream = await startRawUpstream(fileScope);
const narrow = await startRawUpstream(fileScope);
const refusing = await closedPort();
const timeouts = { connect: "1s", responseHead: "150ms", idle: "150ms", request: "2s" };
const sidecar = await useSidecar(fileScope, {
  upstreams: {
    v1: { endpoints: [upstream.url], timeouts },
    narrow: {
      endpoints: [narrow.url],
      pool: { minConnections: 0, maxConnections: 1, maxPending: 1, acquireTimeout: "150ms" },
    },
    slow: { endpoints: [upstream.url], timeouts: { responseHead: "5s", request: "150ms" } },
    gone: { endpoints: [`http://127.0.0.1:${refusing}`] },
  },
  routes: [
    { name: "served", match: { pathPrefix: "/served" }, split: { baseline: "v1" } },
    { name: "narrow", match: { pathPrefix: "/narrow" }, split: { baseline: "narrow" } },
    { name: "slow", match: { pathPrefix: "/slow" }, split: { baseline: "slow" } },
    { name: "gone", match: { pathPrefix: "/gone" }, split: { baseline: "gone" } },
  ],
});

/** A port that refuses connections: one that was free a moment ago. */
async function closedPort(): Promise<number> {
  const server = net.createServer();
  const listening = Promise.withResolvers<void>();
  server.listen(0, "127.0.0.1", () => listening.resolve());
  await listening.promise;
  const { port } = server.address() as net.AddressInfo;
  const closed = Promise.withResolvers<void>();
  server.close(() => closed.resolve());
  await closed.promise;
  return port;
}

test("no route: 404, and the connection stays", async (t) => {
  const client = await connectRaw(t, sidecar.port);
  assertLocalReply(await client.exchange(requestText("GET", "/nowhere")), 404, "no_route");
  assert.equal((await client.exchange(requestText("GET", "/served"))).status, 200);
});

test("no route for a request with a body: 404, and the body is not taken for a request", async (t) => {
  const client = await connectRaw(t, sidecar.port);
  const inner = requestText("GET", "/served/smuggled");
  client.request(requestText("POST", "/nowhere", [], inner));
  const answer = await client.answer();
  assertLocalReply(answer, 404, "no_route");
  if (keepsConnection(answer)) {
    client.request(requestText("GET", "/nowhere/2"));
    assertLocalReply(await client.answer(), 404, "no_route");
  }
  assert.equal(
    upstream.requests.some(({ target }) => target.includes("smuggled")),
    false,
  );
});

test("the upstream refuses the connection: 502 connect_failure", async (t) => {
  assertLocalReply(await exchangeOnce(t, sidecar.port, requestText("GET", "/gone")), 502, "connect_failure");
});

test("the upstream refuses the connection of an upload: 502 connect_failure", async (t) => {
  const answer = await exchangeOnce(t, sidecar.port, requestText("POST", "/gone", [], "x".repeat(100_000)));
  assertLocalReply(answer, 502, "connect_failure");
});

test("the upstream speaks something else: 502 bad_answer", async (t) => {
  upstream.onRequest = answering("SSH-2.0-OpenSSH_9.2\r\n\r\n", "close");
  assertLocalReply(await exchangeOnce(t, sidecar.port, requestText("GET", "/served")), 502, "bad_answer");
});

test("the upstream does not answer in time: 504 head_timeout", async (t) => {
  upstream.onRequest = null;
  upstream.forget();
  assertLocalReply(await exchangeOnce(t, sidecar.port, requestText("GET", "/served")), 504, "head_timeout");
  await (await upstream.request()).connection.ended();
});

test("the whole exchange takes longer than allowed: 504 total_timeout", async (t) => {
  upstream.onRequest = null;
  upstream.forget();
  assertLocalReply(await exchangeOnce(t, sidecar.port, requestText("GET", "/slow")), 504, "total_timeout");
  await (await upstream.request()).connection.ended();
});

test("no connection comes free in time: 503 acquire_timeout with Retry-After", async (t) => {
  narrow.onRequest = null;
  narrow.forget();
  const first = await connectRaw(t, sidecar.port);
  first.request(requestText("GET", "/narrow/1"));
  const { connection } = await narrow.request();
  const answer = await exchangeOnce(t, sidecar.port, requestText("GET", "/narrow/2"));
  assertLocalReply(answer, 503, "acquire_timeout");
  assert.match(header(answer, "retry-after") ?? "", /^[1-9]\d*$/);
  connection.answer("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfirst", "keep");
  assert.equal((await first.answer()).text, "first");
  assert.equal(narrow.requests.length, 1);
});

test("too many requests wait: 503 overflow with Retry-After, at once", async (t) => {
  narrow.onRequest = null;
  narrow.forget();
  const first = await connectRaw(t, sidecar.port);
  first.request(requestText("GET", "/narrow/1"));
  await narrow.request();
  const others = [await connectRaw(t, sidecar.port), await connectRaw(t, sidecar.port)];
  for (const client of others) client.request(requestText("GET", "/narrow/waits"));
  const answers = await Promise.all(others.map((client) => client.answer()));
  const codes = answers.map((answer) => assertLocalReply(answer, 503).code).toSorted();
  assert.deepEqual(codes, ["acquire_timeout", "overflow"]);
  for (const answer of answers) assert.match(header(answer, "retry-after") ?? "", /^[1-9]\d*$/);
});

test("a malformed request: 400 with the same shape as any local reply", async (t) => {
  const client = await connectRaw(t, sidecar.port);
  assertLocalReply(await client.exchange("GET / HTTP/1.1\r\nHost : a.test\r\n\r\n"), 400);
});

test("a local reply to HEAD has no body but its header", async (t) => {
  const client = await connectRaw(t, sidecar.port);
  const answer = await client.exchange(requestText("HEAD", "/nowhere"));
  assert.equal(answer.status, 404);
  assert.equal(header(answer, "x-crossfade-error"), "no_route");
  assert.equal(answer.text, "");
  assertLocalReply(await client.exchange(requestText("GET", "/nowhere")), 404);
});

test("a local reply does not say where the upstream is or why it failed", async (t) => {
  const client = await connectRaw(t, sidecar.port);
  await client.exchange(requestText("GET", "/gone"));
  assert.doesNotMatch(client.text(), /ECONNREFUSED|127\.0\.0\.1/);
  assert.ok(!client.text().includes(String(refusing)));
});
