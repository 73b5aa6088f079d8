import assert from "node:assert/strict";
import test from "node:test";
import { connectRaw, requestText } from "../support/raw-client.ts";
import { answering, okText, startRawUpstream, type RawUpstream } from "../support/raw-upstream.ts";
import { fileScope, type Scope } from "../support/scope.ts";
import { scrape, scrapeUntil } from "../support/scrape.ts";
import { useSidecar, type Sidecar } from "../support/sidecar.ts";
import { until } from "../support/until.ts";

const stays = await startRawUpstream(fileScope);
const leaves = await startRawUpstream(fileScope);

/** `/stays` goes to an upstream that is always there, `/leaves` to one that `over` may change or remove. */
function configOf(leaving: object | null): object {
  const routes = [{ name: "stays", match: { pathPrefix: "/stays" }, split: { baseline: "stays" } }];
  const gone = { name: "leaves", match: { pathPrefix: "/leaves" }, split: { baseline: "leaves" } };
  return {
    upstreams: {
      stays: { endpoints: [stays.url] },
      ...(leaving !== null && { leaves: { endpoints: [leaves.url], ...leaving } }),
    },
    routes: leaving === null ? routes : [...routes, gone],
  };
}

async function start(scope: Scope, leaving: object = {}): Promise<Sidecar> {
  for (const upstream of [stays, leaves]) {
    await upstream.dropConnections();
    upstream.forget();
    upstream.onRequest = answering(okText("served"));
  }
  return useSidecar(scope, configOf(leaving));
}

async function rewrite(sidecar: Sidecar, leaving: object | null): Promise<void> {
  const seen = sidecar.logs.length;
  sidecar.writeConfig(configOf(leaving));
  await sidecar.log("config applied", seen);
}

function open(upstream: RawUpstream): number {
  return upstream.connections.filter(({ state }) => state === "open").length;
}

test("an answer that has begun goes on to its end when its route and upstream are removed", async (t) => {
  const sidecar = await start(t);
  leaves.onRequest = null;
  const client = await connectRaw(t, sidecar.port);
  client.request(requestText("GET", "/leaves"));
  const { connection } = await leaves.request();
  connection.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n");
  await client.bodyBytes(3);
  await rewrite(sidecar, null);
  const other = await connectRaw(t, sidecar.port);
  assert.equal((await other.exchange(requestText("GET", "/leaves"))).status, 404);
  connection.send("3\r\ntwo\r\n0\r\n\r\n");
  const answer = await client.answer();
  assert.equal(answer.text, "onetwo");
  assert.equal(answer.complete, true);
  await connection.ended();
  assert.equal((await client.exchange(requestText("GET", "/stays"))).text, "served", "and its client stays connected");
});

test("a request that waits for a connection is served though its upstream was removed meanwhile", async (t) => {
  const sidecar = await start(t, { pool: { maxConnections: 1, minConnections: 0, acquireTimeout: "4s" } });
  leaves.onRequest = null;
  const first = await connectRaw(t, sidecar.port);
  first.request(requestText("GET", "/leaves/first"));
  const { connection } = await leaves.request();
  const second = await connectRaw(t, sidecar.port);
  second.request(requestText("GET", "/leaves/second"));
  await scrapeUntil(sidecar, "one to wait", (now) => now.sum("crossfade_pool_pending", { upstream: "leaves" }) === 1);
  await rewrite(sidecar, null);
  leaves.onRequest = answering(okText("late"));
  connection.send(okText("first"));
  assert.equal((await first.answer()).text, "first");
  assert.equal((await second.answer()).text, "late");
  await until(() => open(leaves) === 0, "the removed upstream's connections to end");
});

test("idle connections to an upstream that is removed are closed at once", async (t) => {
  const sidecar = await start(t);
  const client = await connectRaw(t, sidecar.port);
  assert.equal((await client.exchange(requestText("GET", "/leaves"))).text, "served");
  assert.ok(open(leaves) > 0);
  await rewrite(sidecar, null);
  await until(() => open(leaves) === 0, "the removed upstream's connections to end");
  await scrapeUntil(
    sidecar,
    "no connection to it",
    (now) => now.sum("crossfade_pool_connections", { upstream: "leaves" }) === 0,
  );
});

test("an upstream that a reload does not touch keeps its connections", async (t) => {
  const sidecar = await start(t);
  const client = await connectRaw(t, sidecar.port);
  assert.equal((await client.exchange(requestText("GET", "/stays"))).text, "served");
  const { connection } = await stays.request();
  for (const leaving of [null, {}, { timeouts: { idle: "5s" } }]) {
    await rewrite(sidecar, leaving);
    stays.forget();
    assert.equal((await client.exchange(requestText("GET", "/stays"))).text, "served");
    assert.equal((await stays.request()).connection, connection, "the same connection as before");
  }
  assert.equal((await scrape(sidecar)).sum("crossfade_pool_opened_total", { upstream: "stays" }), open(stays));
});

test("an upstream whose settings change obeys the new ones from the next request on", async (t) => {
  const sidecar = await start(t);
  leaves.onRequest = null;
  await rewrite(sidecar, { timeouts: { responseHead: "200ms" } });
  const client = await connectRaw(t, sidecar.port);
  assert.equal((await client.exchange(requestText("GET", "/leaves"))).status, 504);
  await rewrite(sidecar, {});
  leaves.onRequest = answering(okText("served"));
  assert.equal((await client.exchange(requestText("GET", "/leaves"))).text, "served");
});

test("an upstream that comes back under its old name counts on where it was", async (t) => {
  const sidecar = await start(t);
  const client = await connectRaw(t, sidecar.port);
  await client.exchange(requestText("GET", "/leaves"));
  await rewrite(sidecar, null);
  await rewrite(sidecar, {});
  await client.exchange(requestText("GET", "/leaves"));
  const now = await scrape(sidecar);
  assert.equal(now.sum("crossfade_requests_total", { route: "leaves", code: "200" }), 2);
});
