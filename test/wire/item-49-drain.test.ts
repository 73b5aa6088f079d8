import assert from "node:assert/strict";
import net from "node:net";
import test from "node:test";
import { view } from "../support/admin-calls.ts";
import { proxyTo } from "../support/configs.ts";
import { header } from "../support/message-reader.ts";
import { connectRaw, exchangeOnce, requestText, type RawClient } from "../support/raw-client.ts";
import { answering, okText, startRawUpstream } from "../support/raw-upstream.ts";
import { fileScope, type Scope } from "../support/scope.ts";
import { scrapeUntil, type Scrape } from "../support/scrape.ts";
import { useSidecar, type Sidecar } from "../support/sidecar.ts";
import { until } from "../support/until.ts";

const upstream = await startRawUpstream(fileScope);
upstream.onRequest = answering(okText("served"));

function startDraining(scope: Scope, lameDuck: string, over: object = {}): Promise<Sidecar> {
  return useSidecar(scope, proxyTo(upstream.url, { runtime: { drain: { lameDuck, deadline: "10s" } }, ...over }));
}

async function signalled(sidecar: Sidecar, signal: NodeJS.Signals = "SIGTERM"): Promise<void> {
  sidecar.signal(signal);
  await sidecar.log("drain started");
}

async function statusOf(sidecar: Sidecar, path: string): Promise<number> {
  const answer = await fetch(`${sidecar.metricsUrl}${path}`, { signal: AbortSignal.timeout(2_000) });
  await answer.text();
  return answer.status;
}

/** Waits until a new connection is refused. */
async function untilRefused(port: number): Promise<void> {
  let refused = false;
  const knock = (): void => {
    const socket = net.connect({ port, host: "127.0.0.1" });
    socket.once("connect", () => socket.destroy());
    socket.once("error", () => {
      refused = true;
    });
  };
  const knocking = setInterval(knock, 20);
  await until(() => refused, "the listener to close");
  clearInterval(knocking);
}

test("from the signal on readiness says no, and liveness and metrics go on", async (t) => {
  const sidecar = await startDraining(t, "5s");
  assert.equal(await statusOf(sidecar, "/readyz"), 200);
  await signalled(sidecar);
  assert.equal(await statusOf(sidecar, "/readyz"), 503);
  assert.equal(await statusOf(sidecar, "/livez"), 200);
  assert.equal(await statusOf(sidecar, "/metrics"), 200);
  const { draining, ready } = await view(sidecar, "status");
  assert.deepEqual({ draining, ready }, { draining: true, ready: false });
});

test("a lame duck takes new connections, and every answer of any kind ends its connection", async (t) => {
  const sidecar = await startDraining(t, "5s", {
    routes: [{ name: "a", match: { path: "/a" }, split: { baseline: "v1" } }],
  });
  const early = await connectRaw(t, sidecar.port);
  assert.notEqual(header(await early.exchange(requestText("GET", "/a")), "connection"), "close");
  await signalled(sidecar);
  for (const client of [early, await connectRaw(t, sidecar.port)]) {
    const answer = await client.exchange(requestText("GET", "/a"));
    assert.equal(answer.status, 200);
    assert.equal(header(answer, "connection"), "close");
    assert.equal(await client.closed(), "fin");
  }
  const lost = await connectRaw(t, sidecar.port);
  const answer = await lost.exchange(requestText("GET", "/nowhere"));
  assert.equal(answer.status, 404);
  assert.equal(header(answer, "connection"), "close");
  await lost.closed();
});

test("after the lame duck nothing new is taken, idle connections end, and what is under way is finished", async (t) => {
  const sidecar = await startDraining(t, "400ms");
  const idle = await connectRaw(t, sidecar.port);
  await idle.exchange(requestText("GET", "/"));
  upstream.forget();
  upstream.onRequest = null;
  const busy = await connectRaw(t, sidecar.port);
  busy.request(requestText("GET", "/stream"));
  const { connection } = await upstream.request();
  connection.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n");
  await busy.bodyBytes(3);
  upstream.onRequest = answering(okText("served"));
  await signalled(sidecar);
  assert.equal(await idle.closed(), "fin");
  await untilRefused(sidecar.port);
  connection.send("3\r\ntwo\r\n");
  await busy.bodyBytes(6);
  connection.send("0\r\n\r\n");
  const answer = await busy.answer();
  assert.equal(answer.text, "onetwo");
  assert.equal(answer.complete, true);
  assert.equal(await busy.closed(), "fin");
  // Nothing is left, so the deadline of 10 s is not waited for.
  const { code } = await until(() => exitOf(sidecar), "the exit", { deadlineMs: 3_000 });
  assert.equal(code, 0);
});

/** Where an answer to a client that does not read has come to. */
type Whereabouts = "in the kernel" | "in the sidecar" | "in the upstream";

async function whereIs(size: number, client: RawClient, sidecar: Sidecar): Promise<Whereabouts> {
  upstream.forget();
  upstream.onRequest = answering(okText("a".repeat(size)));
  client.socket.pause();
  client.request(requestText("GET", "/"));
  await upstream.request();
  const look = (now: Scrape): Whereabouts => {
    if (now.sum("crossfade_requests_in_flight") === 0) return "in the kernel";
    return now.sum("crossfade_pool_connections", { state: "active" }) === 0 ? "in the sidecar" : "in the upstream";
  };
  let same = 0;
  let last: Whereabouts = "in the upstream";
  await scrapeUntil(sidecar, "the answer to stand still", (now) => {
    const next = look(now);
    same = next === last ? same + 1 : 0;
    last = next;
    return next === "in the kernel" || same > 10;
  });
  return last;
}

/**
 * A client that does not read, and an answer that is larger than all buffers of the kernel by less than the sidecar
 * holds before it stops the upstream: its last part waits in the sidecar. Found by trying sizes.
 */
async function answerInTheSidecar(
  scope: Scope,
  sidecar: Sidecar,
): Promise<{ readonly client: RawClient; readonly size: number }> {
  let size = 0;
  for (const step of [512, 64, 8]) {
    for (;;) {
      const client = await connectRaw(scope, sidecar.port);
      const where = await whereIs(size + step * 1024, client, sidecar);
      if (where === "in the sidecar") return { client, size: size + step * 1024 };
      client.destroy();
      await scrapeUntil(sidecar, "nothing in flight", (now) => now.sum("crossfade_requests_in_flight") === 0);
      if (where === "in the upstream") break;
      size += step * 1024;
    }
  }
  throw new Error(`above ${size} bytes every answer waits in the upstream`);
}

test("an answer that a slow client is still reading when the listener closes is not cut", async (t) => {
  const sidecar = await startDraining(t, "100ms");
  const { client, size } = await answerInTheSidecar(t, sidecar);
  t.diagnostic(`an answer of ${size} bytes`);
  await signalled(sidecar);
  await untilRefused(sidecar.port);
  upstream.onRequest = answering(okText("served"));
  client.socket.resume();
  const answer = await client.answer();
  assert.equal(answer.complete, true);
  assert.equal(answer.body.length, size);
});

const exits = new WeakMap<Sidecar, { readonly code: number | null }>();

function exitOf(sidecar: Sidecar): { readonly code: number | null } | null {
  void sidecar.exited.then((exit) => exits.set(sidecar, exit));
  return exits.get(sidecar) ?? null;
}

test("a pipelined request behind an answer that ends the connection is not half served", async (t) => {
  const sidecar = await startDraining(t, "5s");
  const client = await connectRaw(t, sidecar.port);
  await client.exchange(requestText("GET", "/"));
  await signalled(sidecar);
  client.request(requestText("GET", "/1") + requestText("GET", "/2"));
  assert.equal((await client.answer()).text, "served");
  await client.closed();
  assert.equal(client.finalCount(), 2, "the first of the two is the last answer");
});

test("SIGINT drains as SIGTERM does, and SIGHUP changes nothing any more", async (t) => {
  const sidecar = await startDraining(t, "300ms");
  await signalled(sidecar, "SIGINT");
  sidecar.signal("SIGHUP");
  assert.equal((await sidecar.exited).code, 0);
  assert.equal(
    sidecar.logs.some(({ event }) => String(event).startsWith("config-")),
    false,
  );
});

test("the records of the last requests are written before the exit", async (t) => {
  const over = { log: { access: "all" } };
  for (const threads of ["inline", 1] as const) {
    const runtime = { threads, drain: { lameDuck: "0s", deadline: "5s" } };
    const sidecar = await useSidecar(t, proxyTo(upstream.url, { ...over, runtime }));
    upstream.forget();
    upstream.onRequest = null;
    const client = await connectRaw(t, sidecar.port);
    client.request(requestText("GET", "/last-words"));
    const { connection } = await upstream.request();
    await signalled(sidecar);
    connection.send(okText("served"));
    assert.equal((await client.answer()).text, "served");
    assert.equal((await sidecar.exited).code, 0);
    assert.ok(
      sidecar.logs.some(({ target }) => target === "/last-words"),
      `threads: ${threads}`,
    );
    upstream.onRequest = answering(okText("served"));
  }
});

test("a request that comes on a new connection in the lame duck is a request like any other", async (t) => {
  const sidecar = await startDraining(t, "5s");
  await signalled(sidecar);
  for (let i = 0; i < 5; i++) {
    assert.equal((await exchangeOnce(t, sidecar.port, requestText("POST", "/", [], "hello"))).status, 200);
  }
});
