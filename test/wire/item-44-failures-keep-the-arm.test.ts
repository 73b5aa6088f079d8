import assert from "node:assert/strict";
import test from "node:test";
import { bucketOfKey } from "../../src/model/split.ts";
import { servedBy, userKeys } from "../support/arms.ts";
import { assertLocalReply } from "../support/local-reply.ts";
import { allHeaders } from "../support/message-reader.ts";
import { connectRaw, requestText } from "../support/raw-client.ts";
import { answering, okText, startRawUpstream } from "../support/raw-upstream.ts";
import { fileScope } from "../support/scope.ts";
import { scrape } from "../support/scrape.ts";
import { useSidecar } from "../support/sidecar.ts";

const v1 = await startRawUpstream(fileScope);
const v2 = await startRawUpstream(fileScope);
const sidecar = await useSidecar(fileScope, {
  upstreams: {
    v1: { endpoints: [v1.url] },
    v2: { endpoints: [v2.url], timeouts: { responseHead: "300ms" }, pool: { minConnections: 0 } },
  },
  routes: [
    {
      name: "api",
      match: { pathPrefix: "/" },
      split: {
        baseline: "v1",
        candidate: "v2",
        share: "50%",
        sticky: [{ header: "x-user-id" }],
        onMissingKey: { setCookie: { name: "cf" } },
      },
    },
  ],
});
/** A caller whose bucket is on v2. */
const KEY = userKeys(100).find((key) => bucketOfKey("api", key) < 500_000) ?? "";
const ASK = requestText("GET", "/", [`x-user-id: ${KEY}`]);

function serveBoth(): void {
  v1.forget();
  v2.forget();
  v1.onRequest = answering(okText("from v1"));
  v2.onRequest = answering(okText("from v2"));
}

test("a retry on a fresh connection goes to the same arm, and the answer names it", async (t) => {
  serveBoth();
  const client = await connectRaw(t, sidecar.port);
  assert.equal((await client.exchange(ASK)).text, "from v2");
  const retriesBefore = (await scrape(sidecar)).sum("crossfade_retries_total");
  // The upstream closes the idle connection in the very moment in which it is used again.
  const [first] = v2.connections;
  v2.onRequest = (request) => {
    if (request.connection === first) request.connection.reset();
    else request.connection.send(okText("from v2 again"));
  };
  const answer = await client.exchange(ASK);
  assert.equal(answer.text, "from v2 again");
  assert.equal(servedBy(answer), "v2");
  assert.deepEqual(allHeaders(answer, "set-cookie"), []);
  assert.equal(v1.requests.length, 0);
  assert.equal((await scrape(sidecar)).sum("crossfade_retries_total"), retriesBefore + 1);
});

const FAILURES: Readonly<Record<string, { readonly fail: () => void; readonly status: number }>> = {
  "resets every connection": {
    fail: () => {
      v2.onRequest = ({ connection }) => connection.reset();
    },
    status: 502,
  },
  "answers with what is not HTTP": {
    fail: () => {
      v2.onRequest = answering("what?\r\n\r\n");
    },
    status: 502,
  },
  "does not answer": {
    fail: () => {
      v2.onRequest = null;
    },
    status: 504,
  },
};

for (const [what, { fail, status }] of Object.entries(FAILURES)) {
  test(`while v2 ${what} its callers are not moved, and afterwards they are where they were`, async (t) => {
    serveBoth();
    fail();
    const client = await connectRaw(t, sidecar.port);
    for (let i = 0; i < 3; i++) {
      const answer = await client.exchange(ASK);
      assertLocalReply(answer, status);
      assert.deepEqual(allHeaders(answer, "set-cookie"), []);
    }
    assert.equal(v1.requests.length, 0, "nobody was sent to v1 instead");
    serveBoth();
    assert.equal((await client.exchange(ASK)).text, "from v2");
  });
}

test("an error of the upstream's own is an answer: it is passed on and moves nobody", async (t) => {
  serveBoth();
  v2.onRequest = answering("HTTP/1.1 500 Internal Server Error\r\nContent-Length: 4\r\n\r\noops");
  const client = await connectRaw(t, sidecar.port);
  for (let i = 0; i < 3; i++) {
    const answer = await client.exchange(ASK);
    assert.equal(answer.status, 500);
    assert.equal(answer.text, "oops");
    assert.equal(servedBy(answer), "v2");
  }
  assert.equal(v1.requests.length, 0);
});

test("an answer that we made ourselves pins no caller", async (t) => {
  serveBoth();
  v1.onRequest = ({ connection }) => connection.reset();
  v2.onRequest = v1.onRequest;
  const client = await connectRaw(t, sidecar.port);
  for (let i = 0; i < 4; i++) {
    const answer = await client.exchange(requestText("GET", "/"));
    assertLocalReply(answer, 502);
    assert.deepEqual(allHeaders(answer, "set-cookie"), []);
  }
});

test("failed exchanges are counted for the arm that failed them", async () => {
  const now = await scrape(sidecar);
  assert.ok(now.sum("crossfade_requests_total", { route: "api", arm: "candidate", upstream: "v2", code: "502" }) > 0);
  assert.ok(now.sum("crossfade_upstream_failures_total", { upstream: "v2" }) > 0);
});
