import assert from "node:assert/strict";
import test from "node:test";
import { routesTo } from "../support/configs.ts";
import { exchangeOnce, requestText } from "../support/raw-client.ts";
import { answering, okText, startRawUpstream } from "../support/raw-upstream.ts";
import { fileScope } from "../support/scope.ts";
import { useSidecar } from "../support/sidecar.ts";

const patient = await startRawUpstream(fileScope);
const short = await startRawUpstream(fileScope);
const pool = (idleTimeout: string): object => ({ pool: { minConnections: 0, idleTimeout } });
const sidecar = await useSidecar(
  fileScope,
  routesTo(
    { "/patient": patient.url, "/short": short.url },
    { upstreams: { patient: pool("60s"), short: pool("300ms") } },
  ),
);

async function idleMs(upstream: typeof patient, path: string, fields: readonly string[]): Promise<number> {
  await upstream.dropConnections();
  upstream.forget();
  upstream.onRequest = answering(okText("hello", fields));
  await exchangeOnce(fileScopeless, sidecar.port, requestText("GET", path));
  const startMs = performance.now();
  await (await upstream.request()).connection.ended();
  return performance.now() - startMs;
}

/** Connections of `idleMs` are over when it returns. */
const fileScopeless = { after: () => {} };

test("an idle connection is closed after the configured time", async () => {
  await idleMs(short, "/short", []);
});

test("an idle connection is closed a second before the upstream's announced timeout", async (t) => {
  const ms = await idleMs(patient, "/patient", ["Keep-Alive: timeout=2, max=100"]);
  t.diagnostic(`closed after ${Math.round(ms)} ms`);
  assert.ok(ms < 2_000, `closed after ${ms} ms; the upstream said 2 s`);
});

test("an upstream that announces one second gets no second request on that connection", async () => {
  const ms = await idleMs(patient, "/patient", ["Keep-Alive: timeout=1"]);
  assert.ok(ms < 1_000, `closed after ${ms} ms; the upstream said 1 s`);
});

test("an announced timeout longer than the configured one changes nothing", async () => {
  const ms = await idleMs(short, "/short", ["Keep-Alive: timeout=60"]);
  assert.ok(ms < 5_000);
});

test("connections are used again within their idle time, the last one first", async (t) => {
  patient.forget();
  patient.onRequest = answering(okText("hello"));
  for (let i = 0; i < 5; i++) await exchangeOnce(t, sidecar.port, requestText("GET", "/patient"));
  const used = new Set(patient.requests.map(({ connection }) => connection));
  assert.equal(used.size, 1);
});
