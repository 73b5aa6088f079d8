import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { servedBy } from "../support/arms.ts";
import { header } from "../support/message-reader.ts";
import { connectRaw, requestText, type Answer } from "../support/raw-client.ts";
import { answering, okText, startRawUpstream } from "../support/raw-upstream.ts";
import { ask, assertAnswer, counting, untilAllOver, useEngines } from "../support/recovery-bench.ts";
import { fresh, ok, plan, resets, silent, status } from "../support/scripts.ts";
import { fileScope, type Scope } from "../support/scope.ts";
import { until } from "../support/until.ts";

const v1 = await startRawUpstream(fileScope);
const v2 = await startRawUpstream(fileScope);
const pool = { minConnections: 0 };
const sticky = [{ header: "x-user-id" }];
const upstreams = {
  v1: { endpoints: [v1.url], pool },
  v2: { endpoints: [v2.url], pool },
  broken: { endpoints: [v1.url], pool, circuitBreaker: { consecutiveFailures: 1, openFor: "1h" } },
};
const routes = {
  own: { split: { baseline: "v1", sticky }, fallback: [{ stale: {} }] },
  shared: { split: { baseline: "v1", sticky }, fallback: [{ stale: { shared: true } }] },
  small: { split: { baseline: "v1", sticky }, fallback: [{ stale: { shared: true, maxEntryBytes: "1KiB" } }] },
  open: { split: "broken", fallback: [{ stale: { shared: true } }] },
  arms: {
    split: { baseline: "v1", candidate: "v2", share: "100%", sticky },
    fallback: ["arm", { stale: {} }, { static: { status: 299, body: "static" } }],
  },
};
let fresher = 0;
/** A path that no other test has asked for. */
function path(route: string): string {
  return `/${route}/${fresher++}`;
}

function fallbackOf(answer: Answer): string | null {
  return header(answer, "x-crossfade-fallback");
}

for (const [engine, sidecar] of await useEngines(fileScope, upstreams, routes)) {
  const get = (
    t: Scope,
    target: string,
    user: string,
    method = "GET",
    fields: readonly string[] = [],
  ): Promise<Answer> => ask(t, sidecar, target, method, [`x-user-id: ${user}`, ...fields]);

  /** Asks once while the upstream is well, and again when it is not. */
  async function keptAndTold(
    t: Scope,
    target: string,
    answer: string,
    users: readonly [string, string] = ["a", "a"],
    fields: readonly string[] = [],
  ): Promise<Answer> {
    await plan(v1, answering(answer), resets);
    await get(t, target, users[0], "GET", fields);
    return get(t, target, users[1]);
  }

  describe(`last good answers with the ${engine} engine`, () => {
    for (const [what, fail] of [
      ["resets", resets],
      ["answers 503", status(503)],
    ] as const) {
      test(`are told again when the upstream ${what}, with their fields, their age and who served`, async (t) => {
        await plan(v1, answering(okText("good", ["X-A: 1", 'ETag: "1"', "Age: 7"])), fail);
        const target = path("own");
        const first = await get(t, target, "a");
        const since = await counting(sidecar);
        const again = await get(t, target, "a");
        assertAnswer(again, 200, "good");
        assert.deepEqual(
          ["x-a", "etag", "x-crossfade-fallback", "x-crossfade-upstream"].map((name) => header(again, name)),
          ["1", '"1"', "stale", "v1"],
        );
        assert.match(header(again, "age") ?? "", /^[78]$/);
        assert.ok(header(again, "date"));
        assert.notEqual(header(again, "x-request-id"), header(first, "x-request-id"));
        assert.equal(await since("crossfade_fallbacks_total", { route: "own", kind: "stale" }), 1);
      });
    }

    test("a chunked answer is told again whole, with its length", async (t) => {
      const text = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n";
      const again = await keptAndTold(t, path("own"), text);
      assertAnswer(again, 200, "abcdef");
      assert.equal(header(again, "content-length"), "6");
    });

    test("a HEAD gets the head of what a GET was told, and the connection stays usable", async (t) => {
      await plan(v1, ok("good"), status(503), ok("other"));
      const target = path("own");
      await get(t, target, "a");
      const client = await connectRaw(t, sidecar.port);
      const answer = await client.exchange(requestText("HEAD", target, ["x-user-id: a"]));
      assert.deepEqual([answer.status, answer.text, header(answer, "content-length")], [200, "", "4"]);
      assert.equal((await client.exchange(requestText("GET", path("own"), ["x-user-id: a"]))).text, "other");
    });

    test("are told while the circuit is open, without asking", async (t) => {
      await plan(v1, ok("good"), status(503));
      const target = path("open");
      await ask(t, sidecar, target);
      assertAnswer(await ask(t, sidecar, target), 200, "good");
      assertAnswer(await ask(t, sidecar, target), 200, "good");
      assert.equal(v1.requests.length, 2);
    });

    test("come after the other arm and before a static answer", async (t) => {
      await plan(v1, resets);
      await plan(v2, ok("from v2"), resets);
      const target = path("arms");
      await get(t, target, "a");
      const again = await get(t, target, "a");
      assertAnswer(again, 200, "from v2");
      assert.deepEqual([servedBy(again), fallbackOf(again), v1.requests.length], ["v2", "stale", 1]);
      assertAnswer(await get(t, path("arms"), "a"), 299, "static");
    });

    test("never go to another caller, nor to one without a key", async (t) => {
      const target = path("own");
      const other = await keptAndTold(t, target, okText("of a"), ["a", "b"]);
      assert.equal(other.status, 503);
      assert.equal((await ask(t, sidecar, target)).status, 503);
      assertAnswer(await get(t, target, "a"), 200, "of a");
    });

    test("go to another caller where they are shared, unless they were private", async (t) => {
      assertAnswer(await keptAndTold(t, path("shared"), okText("for all"), ["a", "b"]), 200, "for all");
      const secret = okText("secret", ["Cache-Control: private"]);
      assert.equal((await keptAndTold(t, path("shared"), secret, ["a", "b"])).status, 503);
    });

    for (const [what, target, answer, fields] of [
      ["no-store", "own", okText("x", ["Cache-Control: no-store"]), []],
      ["a request with no-store", "own", okText("x"), ["Cache-Control: no-store"]],
      ["Set-Cookie", "own", okText("x", ["Set-Cookie: a=b"]), []],
      ["must-revalidate", "own", okText("x", ["Cache-Control: must-revalidate"]), []],
      ["Vary: *", "own", okText("x", ["Vary: *"]), []],
      ["a request for a range", "own", okText("x"), ["Range: bytes=0-1"]],
      ["too large", "small", okText("x".repeat(1_025)), []],
      ["an authorized request, shared", "shared", okText("x"), ["Authorization: Basic x"]],
      ["a 404", "own", okText("x").replace("200 OK", "404 No"), []],
    ] as const) {
      test(`an answer is not kept: ${what}`, async (t) => {
        const again = await keptAndTold(t, path(target), answer, ["a", "a"], fields);
        assert.deepEqual([again.status, fallbackOf(again)], [503, null]);
      });
    }

    test("an answer that varies is told to a like request only", async (t) => {
      await plan(v1, ok("deutsch", ["Vary: Accept-Language"]), resets);
      const target = path("own");
      await get(t, target, "a", "GET", ["Accept-Language: de"]);
      assert.equal((await get(t, target, "a", "GET", ["Accept-Language: en"])).status, 503);
      assert.equal((await get(t, target, "a", "GET", ["Accept-Language: de"])).text, "deutsch");
    });

    test("an answer that broke off is not told again", async (t) => {
      await plan(v1, answering("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npart", "close"), resets);
      const target = path("own");
      assert.equal((await get(t, target, "a")).complete, false);
      assert.equal((await get(t, target, "a")).status, 503);
    });

    test("an answer whose client left before its end is not told again, or whole", async (t) => {
      await plan(v1, ({ connection }) => connection.send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npart"));
      const target = path("own");
      const client = await connectRaw(t, sidecar.port);
      client.request(requestText("GET", target, ["x-user-id: a"]));
      await client.bodyBytes(4);
      client.reset();
      await untilAllOver(sidecar);
      await plan(v1, resets);
      assert.equal((await get(t, target, "a")).status, 503);
    });

    test("a write that succeeds makes what was kept of its target obsolete", async (t) => {
      await plan(v1, ok("before"), ok("done"), resets);
      const target = path("own");
      await get(t, target, "a");
      await ask(t, sidecar, target, "PUT", ["x-user-id: a"], "new");
      assert.equal((await get(t, target, "a")).status, 503);
    });

    test("a POST is never answered with what was kept", async (t) => {
      await plan(v1, ok("good"), resets);
      const target = path("own");
      await get(t, target, "a");
      assert.equal((await ask(t, sidecar, target, "POST", ["x-user-id: a"], "x")).status, 502);
    });

    test("while one caller is told what was kept, another gets the upstream's own answer again", async (t) => {
      await plan(v1, ok("good"), silent);
      const target = path("own");
      await get(t, target, "a");
      const waiting = await connectRaw(t, sidecar.port);
      waiting.request(requestText("GET", target, ["x-user-id: a"]));
      await upstreamHas(2);
      v1.requests[1]?.connection.send("HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n");
      assert.equal((await waiting.answer()).text, "good");
      v1.onRequest = ok("new");
      const now = await get(t, target, "a");
      assert.deepEqual([now.text, fallbackOf(now)], ["new", null]);
      await fresh(v1);
      await untilAllOver(sidecar);
    });
  });
}

async function upstreamHas(count: number): Promise<void> {
  await until(() => v1.requests.length === count, `${count} requests`);
}
