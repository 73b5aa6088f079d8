import assert from "node:assert/strict";
import test from "node:test";
import { proxyTo } from "../support/configs.ts";
import { connectRaw, exchangeOnce, requestText } from "../support/raw-client.ts";
import { answering, okText, startRawUpstream } from "../support/raw-upstream.ts";
import { fileScope } from "../support/scope.ts";
import { useSidecar } from "../support/sidecar.ts";

// A client that has sent FIN is taken to have gone: a FIN is what a closed client looks like, and work for nobody
// must end. The price is that a client which only half-closes gets no answer that was not on its way already.
const upstream = await startRawUpstream(fileScope);
const sidecar = await useSidecar(fileScope, proxyTo(upstream.url));

test("a half-closed client that waits counts as gone: the upstream's work ends, and so does the connection", async (t) => {
  upstream.forget();
  upstream.onRequest = null;
  const client = await connectRaw(t, sidecar.port);
  client.request(requestText("GET", "/"));
  const { connection } = await upstream.request();
  client.halfClose();
  await connection.ended();
  await client.closed();
  assert.equal(client.text(), "");
});

test("a client that half-closes inside its upload counts as gone", async (t) => {
  upstream.forget();
  upstream.onRequest = null;
  const client = await connectRaw(t, sidecar.port);
  client.request(requestText("POST", "/", ["Content-Length: 100"]));
  client.send("hello");
  const { connection } = await upstream.request();
  client.halfClose();
  await connection.ended();
  await client.closed();
  assert.equal(upstream.requests[0]?.message.complete, false);
});

test("a client that half-closes an idle connection is simply closed", async (t) => {
  upstream.onRequest = answering(okText("served"));
  const client = await connectRaw(t, sidecar.port);
  assert.equal((await client.exchange(requestText("GET", "/"))).text, "served");
  client.halfClose();
  assert.equal(await client.closed(), "fin");
  assert.equal((await exchangeOnce(t, sidecar.port, requestText("GET", "/"))).text, "served");
});
