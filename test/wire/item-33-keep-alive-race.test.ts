import assert from "node:assert/strict";
import test from "node:test";
import { proxyTo } from "../support/configs.ts";
import { assertLocalReply } from "../support/local-reply.ts";
import { exchangeOnce, requestText } from "../support/raw-client.ts";
import { okText, startRawUpstream, type SeenRequest, type UpstreamConnection } from "../support/raw-upstream.ts";
import type { Scope } from "../support/scope.ts";
import { fileScope } from "../support/scope.ts";
import { useSidecar } from "../support/sidecar.ts";

const upstream = await startRawUpstream(fileScope);
const sidecar = await useSidecar(
  fileScope,
  proxyTo(upstream.url, { upstreams: { v1: { pool: { minConnections: 0, maxConnections: 1 } } } }),
);

type End = (connection: UpstreamConnection) => void;
const ENDS: Readonly<Record<string, End>> = {
  closed: (connection) => connection.close(),
  reset: (connection) => connection.reset(),
};

/** Every connection serves one request and ends as the second one arrives. */
function endAtSecondRequest(end: End): void {
  const served = new Set<UpstreamConnection>();
  upstream.onHead = null;
  upstream.onRequest = ({ connection, target }: SeenRequest) => {
    if (served.has(connection)) return end(connection);
    served.add(connection);
    connection.send(okText(`for ${target}`));
  };
}

/** Leaves one idle connection that has served and is about to end. */
async function primed(t: Scope, end: End): Promise<UpstreamConnection> {
  await upstream.dropConnections();
  upstream.forget();
  endAtSecondRequest(end);
  assert.equal((await exchangeOnce(t, sidecar.port, requestText("GET", "/warm"))).text, "for /warm");
  return (await upstream.request()).connection;
}

for (const [how, end] of Object.entries(ENDS)) {
  for (const method of ["GET", "HEAD", "OPTIONS", "DELETE"]) {
    test(`${method} on a reused connection that is ${how} as it arrives is sent once more, on a new one`, async (t) => {
      const stale = await primed(t, end);
      const answer = await exchangeOnce(t, sidecar.port, requestText(method, "/again"));
      assert.equal(answer.status, 200, answer.text);
      assert.deepEqual(
        upstream.requests.map(({ target }) => target),
        ["/warm", "/again", "/again"],
      );
      assert.equal(upstream.requests[1]?.connection, stale);
      assert.notEqual(upstream.requests[2]?.connection, stale);
    });
  }

  for (const [what, text] of [
    ["POST with a body", requestText("POST", "/again", [], "hello")],
    ["POST with an empty body", requestText("POST", "/again", ["Content-Length: 0"])],
    ["PATCH with a body", requestText("PATCH", "/again", [], "hello")],
  ] as const) {
    test(`${what} on a reused connection that is ${how} as it arrives is 502, and sent only once`, async (t) => {
      await primed(t, end);
      assertLocalReply(await exchangeOnce(t, sidecar.port, text), 502, "upstream_reset");
      assert.deepEqual(
        upstream.requests.map(({ target }) => target),
        ["/warm", "/again"],
      );
    });
  }

  test(`a GET whose second try is ${how} too is 502: one retry, no more`, async (t) => {
    await primed(t, end);
    upstream.onRequest = ({ connection }) => end(connection);
    assertLocalReply(await exchangeOnce(t, sidecar.port, requestText("GET", "/again")), 502, "upstream_reset");
    assert.equal(upstream.requests.length, 3);
  });
}

test("an answer that has begun on a reused connection is not asked for again", async (t) => {
  await primed(t, (connection) => connection.answer("HTTP/1.1 200 OK\r\nContent-Le", "close"));
  assertLocalReply(await exchangeOnce(t, sidecar.port, requestText("GET", "/again")), 502);
  assert.equal(upstream.requests.length, 2);
});

test("a POST is sent on a new connection when the idle one was seen to close before", async (t) => {
  const stale = await primed(t, (connection) => connection.close());
  stale.close();
  await stale.ended();
  const answer = await exchangeOnce(t, sidecar.port, requestText("POST", "/unsent", [], "hello"));
  assert.equal(answer.text, "for /unsent");
  assert.notEqual(upstream.requests[1]?.connection, stale);
});
