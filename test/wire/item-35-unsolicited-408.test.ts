import assert from "node:assert/strict";
import test from "node:test";
import { proxyTo } from "../support/configs.ts";
import { exchangeOnce, requestText } from "../support/raw-client.ts";
import { answering, okText, startRawUpstream } from "../support/raw-upstream.ts";
import { fileScope } from "../support/scope.ts";
import { useSidecar } from "../support/sidecar.ts";

const upstream = await startRawUpstream(fileScope);
const sidecar = await useSidecar(
  fileScope,
  proxyTo(upstream.url, { upstreams: { v1: { pool: { minConnections: 0, maxConnections: 1 } } } }),
);
const TIMED_OUT = "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";

async function primed(t: Parameters<typeof exchangeOnce>[0]): Promise<void> {
  await upstream.dropConnections();
  upstream.forget();
  upstream.onRequest = answering(okText("served"));
  assert.equal((await exchangeOnce(t, sidecar.port, requestText("GET", "/warm"))).text, "served");
}

test("a 408 on an idle connection ends the connection and is given to nobody", async (t) => {
  await primed(t);
  const { connection } = await upstream.request();
  connection.answer(TIMED_OUT, "close");
  await connection.ended();
  const answer = await exchangeOnce(t, sidecar.port, requestText("GET", "/next"));
  assert.equal(answer.status, 200);
  assert.equal(answer.text, "served");
});

test("a 408 that crosses with the next request is not taken for its answer", async (t) => {
  await primed(t);
  const { connection } = await upstream.request();
  connection.answer(TIMED_OUT, "close");
  const answer = await exchangeOnce(t, sidecar.port, requestText("GET", "/next"));
  assert.equal(answer.status, 200, answer.text);
  assert.equal(answer.text, "served");
});

test("a 408 with which a reused connection greets a request and closes is not given to it", async (t) => {
  await primed(t);
  const { connection } = await upstream.request();
  upstream.onRequest = (request) =>
    request.connection === connection
      ? connection.answer(TIMED_OUT, "close")
      : request.connection.send(okText("served"));
  const answer = await exchangeOnce(t, sidecar.port, requestText("GET", "/next"));
  assert.equal(answer.status, 200, answer.text);
});

test("a 408 on a new connection is an answer like any other", async (t) => {
  await upstream.dropConnections();
  upstream.onRequest = answering(TIMED_OUT, "close");
  assert.equal((await exchangeOnce(t, sidecar.port, requestText("GET", "/"))).status, 408);
});
