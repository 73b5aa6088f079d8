import assert from "node:assert/strict";
import test from "node:test";
import { proxyTo, routesTo } from "../support/configs.ts";
import { connectRaw, exchangeOnce, requestText, type RawClient } from "../support/raw-client.ts";
import { answering, okText, startRawUpstream, type UpstreamConnection } from "../support/raw-upstream.ts";
import type { Scope } from "../support/scope.ts";
import { fileScope } from "../support/scope.ts";
import { useSidecar } from "../support/sidecar.ts";

const upstream = await startRawUpstream(fileScope);
const sidecar = await useSidecar(fileScope, proxyTo(upstream.url));

interface Moment {
  readonly client: RawClient;
  readonly connection: UpstreamConnection;
}

const MOMENTS: Readonly<Record<string, (t: Scope) => Promise<Moment>>> = {
  "while the upstream thinks": async (t) => {
    const client = await connectRaw(t, sidecar.port);
    client.request(requestText("GET", "/"));
    return { client, connection: (await upstream.request()).connection };
  },
  "inside an answer": async (t) => {
    const client = await connectRaw(t, sidecar.port);
    client.request(requestText("GET", "/"));
    const { connection } = await upstream.request();
    connection.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
    await client.bodyBytes(5);
    return { client, connection };
  },
  "inside an upload": async (t) => {
    const client = await connectRaw(t, sidecar.port);
    client.request(requestText("POST", "/", ["Content-Length: 1000"]));
    client.send("hello");
    return { client, connection: (await upstream.request()).connection };
  },
  "inside a chunked upload": async (t) => {
    const client = await connectRaw(t, sidecar.port);
    client.request(requestText("POST", "/", ["Transfer-Encoding: chunked"]));
    client.send("5\r\nhello\r\n");
    return { client, connection: (await upstream.request()).connection };
  },
  "while it waits for a 100": async (t) => {
    const client = await connectRaw(t, sidecar.port);
    client.request(requestText("POST", "/", ["Expect: 100-continue", "Content-Length: 5"]));
    return { client, connection: (await upstream.request()).connection };
  },
};

const WAYS: Readonly<Record<string, (client: RawClient) => void>> = {
  closes: (client) => client.destroy(),
  resets: (client) => client.reset(),
};

for (const [moment, reach] of Object.entries(MOMENTS)) {
  for (const [way, leave] of Object.entries(WAYS)) {
    test(`a client that ${way} ${moment} ends the upstream's work`, async (t) => {
      upstream.forget();
      upstream.onRequest = null;
      const { client, connection } = await reach(t);
      const leftMs = performance.now();
      leave(client);
      await connection.ended();
      // Expected under 100 ms; a loaded machine is no fault of the sidecar, so the limit here is the wait's deadline.
      t.diagnostic(`ended ${Math.round(performance.now() - leftMs)} ms after the client left`);
    });
  }
}

test("a request that still waits for a connection is never sent once its client is gone", async (t) => {
  upstream.forget();
  upstream.onRequest = null;
  const pool = { minConnections: 0, maxConnections: 1, acquireTimeout: "5s" };
  const narrow = await useSidecar(t, routesTo({ "/narrow": upstream.url }, { upstreams: { narrow: { pool } } }));
  const first = await connectRaw(t, narrow.port);
  first.request(requestText("GET", "/narrow/first"));
  const { connection } = await upstream.request();
  const second = await connectRaw(t, narrow.port);
  second.request(requestText("GET", "/narrow/second"));
  await roundTrip(t, narrow.port);
  second.reset();
  await roundTrip(t, narrow.port);
  upstream.onRequest = answering(okText("served"));
  connection.send(okText("first"));
  assert.equal((await first.answer()).text, "first");
  assert.equal((await exchangeOnce(t, narrow.port, requestText("GET", "/narrow/third"))).text, "served");
  assert.deepEqual(
    upstream.requests.map(({ target }) => target),
    ["/narrow/first", "/narrow/third"],
  );
});

/** Two exchanges that the sidecar answers alone: what was sent to it before them, it has seen when they are over. */
async function roundTrip(t: Scope, port: number): Promise<void> {
  for (let i = 0; i < 2; i++) assert.equal((await exchangeOnce(t, port, requestText("GET", "/nowhere"))).status, 404);
}

test("others are served during and after aborts", async (t) => {
  upstream.forget();
  upstream.onRequest = answering(okText("served"));
  assert.equal((await exchangeOnce(t, sidecar.port, requestText("GET", "/"))).text, "served");
});
