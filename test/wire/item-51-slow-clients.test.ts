import assert from "node:assert/strict";
import test from "node:test";
import { proxyTo } from "../support/configs.ts";
import { openSockets, untilSockets } from "../support/faults.ts";
import { startHttpUpstream, type HttpHandler } from "../support/http-upstream.ts";
import { assertLocalReply } from "../support/local-reply.ts";
import { connectRaw, exchangeOnce, requestText, type RawClient } from "../support/raw-client.ts";
import { answering, OK_ANSWER, startRawUpstream } from "../support/raw-upstream.ts";
import { fileScope, type Scope } from "../support/scope.ts";
import { scrape, scrapeUntil } from "../support/scrape.ts";
import { useSidecar } from "../support/sidecar.ts";
import { until } from "../support/until.ts";

const HEADER_TIMEOUT_MS = 800;
const WINDOW_MS = 800;
const MIB = 1_048_576;
const upstream = await startRawUpstream(fileScope);
const sidecar = await useSidecar(
  fileScope,
  proxyTo(upstream.url, {
    downstream: { headerTimeout: `${HEADER_TIMEOUT_MS}ms`, bodyIdleTimeout: `${WINDOW_MS}ms`, maxConnections: 1_500 },
  }),
);

function serve(): void {
  upstream.forget();
  upstream.onRequest = answering(OK_ANSWER);
}

/** Sends `bytes` every `everyMs` until the sidecar has ended the connection; gives how long that took. */
async function trickle(scope: Scope, client: RawClient, bytes: string, everyMs: number): Promise<number> {
  const sinceMs = performance.now();
  const timer = setInterval(() => client.send(bytes), everyMs);
  scope.after(() => clearInterval(timer));
  await client.closed(8_000);
  clearInterval(timer);
  return performance.now() - sinceMs;
}

function assertAbout(tookMs: number, limitMs: number): void {
  assert.ok(tookMs >= limitMs * 0.9, `ended after ${Math.round(tookMs)} ms, too early for ${limitMs} ms`);
  // A coarse timer, a second window at most, and a busy machine.
  assert.ok(tookMs < limitMs * 2 + 1_500, `ended after ${Math.round(tookMs)} ms`);
}

test("a head that comes a byte at a time is cut off by the header timeout", async (t) => {
  serve();
  const client = await connectRaw(t, sidecar.port);
  client.send("GET / HTTP/1.1\r\nHost: a.test\r\nX-Slow: ");
  const tookMs = await trickle(t, client, "x", 50);
  t.diagnostic(`ended after ${Math.round(tookMs)} ms`);
  assertAbout(tookMs, HEADER_TIMEOUT_MS);
  assertLocalReply(await client.answer(), 408, "request_timeout");
  assert.equal(upstream.text(), "");
});

test("so is a connection on which nothing ever comes", async (t) => {
  const client = await connectRaw(t, sidecar.port);
  const sinceMs = performance.now();
  await client.closed();
  assertAbout(performance.now() - sinceMs, HEADER_TIMEOUT_MS);
});

test("so is a second head on a connection that has served", async (t) => {
  serve();
  const client = await connectRaw(t, sidecar.port);
  assert.equal((await client.exchange(requestText("GET", "/"))).status, 200);
  upstream.forget();
  client.send("GET /second HTTP/1.1\r\nX-Slow: ");
  assertAbout(await trickle(t, client, "x", 50), HEADER_TIMEOUT_MS);
  assert.equal(upstream.text(), "");
});

for (const [how, bytes, everyMs] of [
  ["stops coming", "", 1_000],
  ["comes at ten bytes a second", "x", 100],
] as const) {
  test(`a body that ${how} is cut off, and the upstream is let go`, async (t) => {
    serve();
    upstream.onRequest = null;
    const client = await connectRaw(t, sidecar.port);
    client.request(requestText("POST", "/", ["Content-Length: 100000"]));
    client.send("hello");
    const { connection } = await upstream.request();
    const tookMs = await trickle(t, client, bytes, everyMs);
    t.diagnostic(`ended after ${Math.round(tookMs)} ms`);
    assertAbout(tookMs, WINDOW_MS);
    assertLocalReply(await client.answer(), 408, "request_timeout");
    await connection.ended();
  });
}

test("a body that comes slowly but steadily is taken, however long it lasts", async (t) => {
  serve();
  const client = await connectRaw(t, sidecar.port);
  client.request(requestText("POST", "/", ["Content-Length: 3000"]));
  let sent = 0;
  const timer = setInterval(() => {
    client.send("x".repeat(50));
    sent += 50;
    if (sent === 3_000) clearInterval(timer);
  }, 40);
  t.after(() => clearInterval(timer));
  assert.equal((await client.answer(8_000)).status, 200);
  assert.equal(sent, 3_000);
});

const sourceHandler: HttpHandler = (_request, response) => {
  response.end(Buffer.alloc(32 * MIB));
};

test("a client that stops reading its answer is cut off, and the upstream is let go", async (t) => {
  const source = await startHttpUpstream(t, { handler: sourceHandler });
  const slow = await useSidecar(t, proxyTo(source.url, { downstream: { bodyIdleTimeout: `${WINDOW_MS}ms` } }));
  const client = await connectRaw(t, slow.port);
  client.socket.pause();
  client.request(requestText("GET", "/"));
  await scrapeUntil(slow, "the request in flight", (now) => now.sum("crossfade_requests_in_flight") === 1);
  const sinceMs = performance.now();
  await scrapeUntil(slow, "nothing in flight", (now) => now.sum("crossfade_requests_in_flight") === 0);
  assertAbout(performance.now() - sinceMs, WINDOW_MS);
  client.socket.resume();
  const answer = await client.answer();
  assert.equal(answer.complete, false, "the client can tell that it has not got everything");
  await scrapeUntil(slow, "no upstream connection in use", (now) => {
    return now.sum("crossfade_pool_connections", { state: "active" }) === 0;
  });
});

test("a client that reads slowly but steadily gets everything", async (t) => {
  const source = await startHttpUpstream(t, { handler: sourceHandler });
  const slow = await useSidecar(t, proxyTo(source.url, { downstream: { bodyIdleTimeout: `${WINDOW_MS}ms` } }));
  const client = await connectRaw(t, slow.port);
  const sinceMs = performance.now();
  client.socket.pause();
  client.request(requestText("GET", "/"));
  const timer = setInterval(() => {
    client.socket.resume();
    setImmediate(() => client.socket.pause());
  }, 20);
  t.after(() => clearInterval(timer));
  await until(() => performance.now() - sinceMs > 3 * WINDOW_MS, "three windows");
  clearInterval(timer);
  client.socket.resume();
  const answer = await client.answer(10_000);
  assert.equal(answer.complete, true);
  assert.equal(answer.body.length, 32 * MIB);
});

test("two hundred slow clients keep nobody else waiting, and none of them is held", async (t) => {
  serve();
  const before = openSockets(sidecar.pid);
  const slow = await Promise.all(Array.from({ length: 200 }, () => connectRaw(t, sidecar.port)));
  for (const client of slow) client.send("GET / HTTP/1.1\r\nX-Slow: ");
  const timer = setInterval(() => {
    for (const client of slow) if (client.state === "open") client.send("x");
  }, 100);
  t.after(() => clearInterval(timer));
  const askedMs = performance.now();
  assert.equal((await exchangeOnce(t, sidecar.port, requestText("GET", "/"))).status, 200);
  t.diagnostic(`another client was served in ${Math.round(performance.now() - askedMs)} ms`);
  await Promise.all(slow.map((client) => client.closed(8_000)));
  clearInterval(timer);
  for (const client of slow) client.destroy();
  // What pools keep for a while, and the scrape.
  await untilSockets(sidecar.pid, before + 4, 8_000);
});

test("a thousand idle connections cost little memory each", async (t) => {
  serve();
  const idle = await useSidecar(t, proxyTo(upstream.url));
  const ask = async (): Promise<RawClient> => {
    const client = await connectRaw(t, idle.port);
    await client.exchange(requestText("GET", "/"));
    return client;
  };
  // The first hundred also pay for compiled code and pools.
  for (let i = 0; i < 100; i++) await ask();
  const before = idle.residentBytes();
  for (let i = 0; i < 1_000; i++) await ask();
  const each = (idle.residentBytes() - before) / 1_000;
  t.diagnostic(`${Math.round(each / 1024)} KiB each`);
  assert.equal((await scrape(idle)).sum("crossfade_downstream_connections"), 1_100);
  assert.ok(each < 64 * 1024, `${Math.round(each / 1024)} KiB each`);
});

test("a connection above the limit is refused, and those below it are served", async (t) => {
  serve();
  const narrow = await useSidecar(t, proxyTo(upstream.url, { downstream: { maxConnections: 5 } }));
  const clients = await Promise.all(Array.from({ length: 5 }, () => connectRaw(t, narrow.port)));
  for (const client of clients) assert.equal((await client.exchange(requestText("GET", "/"))).status, 200);
  const sixth = await connectRaw(t, narrow.port);
  await sixth.closed();
  assert.equal(sixth.text(), "");
  for (const client of clients) assert.equal((await client.exchange(requestText("GET", "/"))).status, 200);
  clients[0]?.destroy();
  await scrapeUntil(narrow, "a place to come free", (now) => now.sum("crossfade_downstream_connections") === 4);
  assert.equal((await exchangeOnce(t, narrow.port, requestText("GET", "/"))).status, 200);
});
