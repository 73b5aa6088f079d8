import assert from "node:assert/strict";
import { once } from "node:events";
import http from "node:http";
import net from "node:net";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { createLogger } from "../../src/telemetry/log.ts";
import { createMetrics } from "../../src/telemetry/metrics.ts";
import { startMetricsServer } from "../../src/telemetry/metrics-server.ts";
import type { MetricsServer, MetricsServerOptions, Readiness } from "../../src/telemetry/metrics-server.ts";
import { countingSource } from "../support/metrics-source.ts";

const READY: Readiness = {
  ready: true,
  reason: "taking traffic",
  listen: ["http://127.0.0.1:8080"],
  admin: null,
  metrics: "http://127.0.0.1:9464",
  generation: 3,
};

async function start(t: TestContext, options: Partial<MetricsServerOptions> = {}): Promise<MetricsServer> {
  const server = await startMetricsServer({
    host: "127.0.0.1",
    port: 0,
    metrics: createMetrics(countingSource([]), { version: "0", bucketsPerDoubling: 1 }),
    readiness: () => READY,
    alive: () => true,
    log: createLogger({ level: "silent" }),
    ...options,
  });
  t.after(() => server.close());
  return server;
}

test("a scrape answers with the exposition and its content type", async (t) => {
  const { url } = await start(t);
  const answer = await fetch(`${url}/metrics`);
  assert.equal(answer.status, 200);
  assert.equal(answer.headers.get("content-type"), "text/plain; version=0.0.4; charset=utf-8");
  assert.match(await answer.text(), /^crossfade_config_generation 1$/m);
});

test("a query after the path changes nothing", async (t) => {
  const { url } = await start(t);
  assert.equal((await fetch(`${url}/livez?verbose`)).status, 200);
});

test("readiness says who is where, and is a 503 with the reason while not ready", async (t) => {
  const now = { readiness: READY };
  const { url } = await start(t, { readiness: () => now.readiness });
  const ready = await fetch(`${url}/readyz`);
  assert.equal(ready.status, 200);
  assert.equal(ready.headers.get("content-type"), "application/json");
  assert.deepEqual(await ready.json(), READY);
  for (const reason of ["starting", "draining"]) {
    now.readiness = { ...READY, ready: false, reason };
    const refused = await fetch(`${url}/readyz`);
    assert.equal(refused.status, 503);
    assert.deepEqual(await refused.json(), { ...READY, ready: false, reason });
  }
});

test("liveness is a 200 while a data thread lives and a 503 when none does, ready or not", async (t) => {
  const now = { alive: true };
  const { url } = await start(t, { alive: () => now.alive, readiness: () => ({ ...READY, ready: false }) });
  assert.equal((await fetch(`${url}/livez`)).status, 200);
  now.alive = false;
  assert.equal((await fetch(`${url}/livez`)).status, 503);
});

test("HEAD gives the head that GET would, without the body", async (t) => {
  const { url } = await start(t);
  for (const path of ["/livez", "/readyz"]) {
    const get = await fetch(url + path);
    const head = await fetch(url + path, { method: "HEAD" });
    assert.equal(head.status, get.status);
    assert.equal(head.headers.get("content-length"), get.headers.get("content-length"));
    assert.equal(await head.text(), "");
  }
  assert.equal((await fetch(`${url}/metrics`, { method: "HEAD" })).status, 200);
});

test("other methods are refused, and the answer says which are not", async (t) => {
  const { url } = await start(t);
  for (const method of ["POST", "PUT", "DELETE", "OPTIONS"]) {
    const answer = await fetch(`${url}/metrics`, { method });
    assert.equal(answer.status, 405, method);
    assert.equal(answer.headers.get("allow"), "GET, HEAD");
  }
});

test("other paths are not found", async (t) => {
  const { url } = await start(t);
  for (const path of ["/", "/metrics/", "/api/v1/status"]) assert.equal((await fetch(url + path)).status, 404, path);
});

test("a scrape that fails is a 500 and a line in the log; the server goes on", async (t) => {
  const lines: string[] = [];
  const { url } = await start(t, {
    metrics: { contentType: "text/plain", scrape: () => Promise.reject(new Error("torn page")) },
    log: createLogger({ level: "info", destination: { write: (line) => void lines.push(line) } }),
  });
  const answer = await fetch(`${url}/metrics`);
  assert.equal(answer.status, 500);
  assert.ok(!(await answer.text()).includes("torn page"));
  assert.match(lines.join(""), /torn page.*scrape failed/);
  assert.equal((await fetch(`${url}/livez`)).status, 200);
});

test("bytes that are not HTTP are refused and the connection ends", async (t) => {
  const { url } = await start(t);
  const socket = net.connect(Number(new URL(url).port), "127.0.0.1");
  socket.end("\u0016\u0003\u0001 not http\r\n\r\n");
  const chunks: Buffer[] = [];
  socket.on("data", (chunk: Buffer) => chunks.push(chunk));
  await once(socket, "close");
  assert.match(Buffer.concat(chunks).toString("latin1"), /^HTTP\/1\.1 400 /);
});

test("the port is one that can be asked for, and a port in use is refused with its reason", async (t) => {
  const first = await start(t);
  await assert.rejects(
    startMetricsServer({
      host: "127.0.0.1",
      port: Number(new URL(first.url).port),
      metrics: { contentType: "", scrape: () => Promise.resolve("") },
      readiness: () => READY,
      alive: () => true,
      log: createLogger({ level: "silent" }),
    }),
    { code: "EADDRINUSE" },
  );
});

test("an IPv6 address is printed as a URL that can be opened", async (t) => {
  const server = await start(t, { host: "::1" }).catch(() => null);
  if (server === null) return t.skip("no IPv6 here");
  assert.match(server.url, /^http:\/\/\[::1\]:\d+$/);
  assert.equal((await fetch(`${server.url}/livez`)).status, 200);
});

test("closing ends idle and stalled connections, frees the port, and may be done twice", async (t) => {
  const server = await start(t);
  const port = Number(new URL(server.url).port);
  const agent = new http.Agent({ keepAlive: true });
  t.after(() => agent.destroy());
  const [answer] = (await once(http.get(`${server.url}/livez`, { agent }), "response")) as [http.IncomingMessage];
  answer.resume();
  await once(answer, "end");
  const stalled = net.connect(port, "127.0.0.1");
  await once(stalled, "connect");
  stalled.write("GET /metrics HTTP/1.1\r\n");
  const ended = new Promise((resolve) => stalled.once("close", resolve));
  stalled.resume().on("error", () => {});
  await Promise.all([server.close(), server.close()]);
  await ended;
  const again = net.connect(port, "127.0.0.1");
  const [error] = (await once(again, "error")) as [NodeJS.ErrnoException];
  assert.equal(error.code, "ECONNREFUSED");
});
