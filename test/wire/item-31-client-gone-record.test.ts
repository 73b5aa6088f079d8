import assert from "node:assert/strict";
import test from "node:test";
import { proxyTo } from "../support/configs.ts";
import { connectRaw, requestText } from "../support/raw-client.ts";
import { startRawUpstream } from "../support/raw-upstream.ts";
import { fileScope } from "../support/scope.ts";
import { useSidecar, type LogRecord } from "../support/sidecar.ts";
import { until } from "../support/until.ts";

const upstream = await startRawUpstream(fileScope);
upstream.onRequest = null;
const sidecar = await useSidecar(fileScope, proxyTo(upstream.url, { log: { access: "all" } }));

/** Waits for the access log line of a request. */
function lineOf(requestId: string): Promise<LogRecord> {
  return until(() => sidecar.logs.find((record) => record["requestId"] === requestId), `access log line ${requestId}`);
}

async function metrics(): Promise<string> {
  return (await fetch(`${sidecar.metricsUrl}/metrics`)).text();
}

test("a client that left before the answer is 499 in the log and in the counters, and no fault of the upstream", async (t) => {
  upstream.forget();
  const client = await connectRaw(t, sidecar.port);
  client.request(requestText("GET", "/", ["X-Request-Id: gone-early"]));
  const { connection } = await upstream.request();
  client.reset();
  await connection.ended();
  const line = await lineOf("gone-early");
  assert.equal(line["status"], 499);
  assert.equal(line["failure"], "client_gone");
  assert.equal(line["endedBy"], "client");
  assert.match(await metrics(), /^crossfade_requests_total\{[^}]*code="499"[^}]*\} 1$/m);
});

test("a client that left inside the answer keeps the status it saw, and the line says who ended it", async (t) => {
  upstream.forget();
  const client = await connectRaw(t, sidecar.port);
  client.request(requestText("GET", "/", ["X-Request-Id: gone-late"]));
  const { connection } = await upstream.request();
  connection.send("HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello");
  await client.bodyBytes(5);
  client.reset();
  await connection.ended();
  const line = await lineOf("gone-late");
  assert.equal(line["status"], 200);
  assert.equal(line["failure"], "client_gone");
  assert.equal(line["endedBy"], "client");
});

test("an upstream that dies inside its answer is the upstream's end in the log", async (t) => {
  upstream.forget();
  const client = await connectRaw(t, sidecar.port);
  client.request(requestText("GET", "/", ["X-Request-Id: died-late"]));
  const { connection } = await upstream.request();
  connection.send("HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello");
  await client.bodyBytes(5);
  connection.reset();
  const line = await lineOf("died-late");
  assert.equal(line["status"], 200);
  assert.equal(line["failure"], "truncated_answer");
  assert.equal(line["endedBy"], "upstream");
});

test("a whole exchange is logged with what moved and no failure", async (t) => {
  upstream.forget();
  const client = await connectRaw(t, sidecar.port);
  client.request(requestText("POST", "/path?secret=1", ["X-Request-Id: whole"], "hello"));
  (await upstream.whole()).connection.send("HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\nok");
  await client.answer();
  const line = await lineOf("whole");
  const { status, failure, method, target, upstream: served, bytesIn, bytesOut, attempts } = line;
  assert.deepEqual(
    { status, failure, method, target, served, bytesIn, bytesOut, attempts },
    { status: 201, failure: null, method: "POST", target: "/path", served: "v1", bytesIn: 5, bytesOut: 2, attempts: 1 },
  );
});
