import assert from "node:assert/strict";
import test from "node:test";
import { connectRaw, requestText, type RawClient } from "../support/raw-client.ts";
import { okText, startRawUpstream, type SeenRequest, type UpstreamConnection } from "../support/raw-upstream.ts";
import { ask, AT_ONCE, untilAllOver, useRoutes } from "../support/recovery-bench.ts";
import { fresh } from "../support/scripts.ts";
import { fileScope, type Scope } from "../support/scope.ts";
import { until } from "../support/until.ts";

const upstream = await startRawUpstream(fileScope);
const pool = { pipelining: 4, maxConnections: 1, minConnections: 0 };
const circuitBreaker = { consecutiveFailures: 3, minRequests: 1_000_000, openFor: "1h" };
const retry = { on: ["5xx", "timeout"], attempts: 2, backoff: AT_ONCE, budget: "100%" };
const sidecar = await useRoutes(
  fileScope,
  "native",
  { v1: { endpoints: [upstream.url], pool, circuitBreaker }, v2: { endpoints: [upstream.url], pool } },
  { retry: { split: "v1", retry }, try: { split: "v2", retry: { ...retry, perTryTimeout: "50ms" } } },
);
const BAD = "HTTP/1.1 503 No\r\nContent-Length: 4\r\n\r\nnope";
const echo = ({ connection, target }: SeenRequest): void => void connection.send(okText(target));

/** Four callers stand in line on one connection; whoever is asked for again is answered at once. */
async function inLine(t: Scope, route: string): Promise<{ line: UpstreamConnection; clients: RawClient[] }> {
  await fresh(upstream);
  upstream.onRequest = echo;
  await ask(t, sidecar, `/${route}/warm`);
  upstream.onRequest = null;
  const line = upstream.requests[0]?.connection ?? assert.fail();
  upstream.requests = [];
  const clients: RawClient[] = [];
  for (let nth = 1; nth <= 4; nth++) {
    const client = await connectRaw(t, sidecar.port);
    client.request(requestText("GET", `/${route}/${nth}`));
    await until(() => upstream.requests.length === nth, `request ${nth}`);
    clients.push(client);
  }
  upstream.onRequest = echo;
  return { line, clients };
}

async function texts(clients: readonly RawClient[]): Promise<string[]> {
  return Promise.all(clients.map(async (client) => (await client.answer()).text));
}

test("an answer in a shared line that is not wanted passes, those behind it get theirs, and its caller a second try", async (t) => {
  const { line, clients } = await inLine(t, "retry");
  line.send(okText("/1") + BAD + okText("/3") + okText("/4"));
  assert.deepEqual(await texts(clients), ["/1", "/retry/2", "/3", "/4"]);
  await untilAllOver(sidecar);
});

test("the same when it comes in pieces", async (t) => {
  const { line, clients } = await inLine(t, "retry");
  // Whoever asks on the same connection meanwhile is answered in its turn.
  const later: SeenRequest[] = [];
  upstream.onRequest = (request) => (request.connection === line ? void later.push(request) : echo(request));
  for (const byte of okText("/1") + BAD + okText("/3") + okText("/4")) {
    await new Promise<void>((sent) => void line.socket.write(byte, () => setImmediate(sent)));
  }
  upstream.onRequest = echo;
  later.forEach(echo);
  assert.deepEqual(await texts(clients), ["/1", "/retry/2", "/3", "/4"]);
});

test("failures and successes of one line are counted in their order", async (t) => {
  const { line, clients } = await inLine(t, "retry");
  line.send(BAD + BAD + okText("/3") + BAD);
  assert.deepEqual(await texts(clients), ["/retry/1", "/retry/2", "/3", "/retry/4"]);
  assert.equal((await ask(t, sidecar, "/retry/5")).status, 200, "never three in a row");
});

test("a try in line that takes too long takes the line with it, and everybody is asked for again", async (t) => {
  const { line, clients } = await inLine(t, "try");
  assert.deepEqual(await texts(clients), ["/try/1", "/try/2", "/try/3", "/try/4"]);
  await line.ended();
  await untilAllOver(sidecar);
});
