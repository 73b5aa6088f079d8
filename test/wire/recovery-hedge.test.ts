import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { bucketOfKey } from "../../src/model/split.ts";
import { kill, setSplit, unkill, view } from "../support/admin-calls.ts";
import { servedBy, userKeys } from "../support/arms.ts";
import { assertLocalReply } from "../support/local-reply.ts";
import { connectRaw, requestText } from "../support/raw-client.ts";
import { answering, okText, startRawUpstream, type Handler, type SeenRequest } from "../support/raw-upstream.ts";
import { ask, assertAnswer, AT_ONCE, counting, untilAllOver, useEngines } from "../support/recovery-bench.ts";
import { ok, plan, resets, silent, status } from "../support/scripts.ts";
import { fileScope } from "../support/scope.ts";
import { until, untilQuiet } from "../support/until.ts";

const v1 = await startRawUpstream(fileScope);
const v2 = await startRawUpstream(fileScope);
const pool = { minConnections: 0 };
const circuitBreaker = { consecutiveFailures: 3, minRequests: 1_000, openFor: "1h" };
const upstreams = {
  v1: { endpoints: [v1.url], pool },
  v2: { endpoints: [v2.url], pool },
  two: { endpoints: [v1.url, v2.url], pool },
  guarded1: { endpoints: [v1.url], pool, circuitBreaker },
  guarded2: { endpoints: [v2.url], pool, circuitBreaker },
};
const split = { baseline: "v1", candidate: "v2", share: "50%", sticky: [{ header: "x-user-id" }], salt: "s" };
const routes = {
  fastest: { split, readPreference: "fastest" },
  retried: { split, readPreference: "fastest", retry: { on: ["reset", "5xx"], attempts: 2, backoff: AT_ONCE } },
  later: { split, hedge: { delay: "120ms", to: "other" } },
  same: { split: "two", hedge: { delay: "30ms" } },
  guarded: { split: { ...split, baseline: "guarded1", candidate: "guarded2" }, readPreference: "fastest" },
};
const keys = userKeys(200);
const users = {
  v1: `x-user-id: ${keys.find((key) => bucketOfKey("s", key) >= 500_000)}`,
  v2: `x-user-id: ${keys.find((key) => bucketOfKey("s", key) < 500_000)}`,
};
const bench = { v1, v2 };

async function serve(one: Handler, two: Handler): Promise<void> {
  await plan(v1, one);
  await plan(v2, two);
}

function asked(): number {
  return v1.requests.length + v2.requests.length;
}

for (const [engine, sidecar] of await useEngines(fileScope, upstreams, routes)) {
  describe(`reads that go to both arms at once with the ${engine} engine`, () => {
    for (const [own, other] of [
      ["v1", "v2"],
      ["v2", "v1"],
    ] as const) {
      test(`of a caller of ${own} are answered by ${other} when that is faster, and ${own} can stop`, async (t) => {
        await serve(silent, silent);
        bench[other].onRequest = ok(`from ${other}`);
        const since = await counting(sidecar);
        const answer = await ask(t, sidecar, "/fastest", "GET", [users[own]]);
        assertAnswer(answer, 200, `from ${other}`);
        assert.equal(servedBy(answer), other);
        await bench[own].request(0);
        await bench[own].requests[0]?.connection.ended(1_000);
        assert.equal(await since("crossfade_hedges_total", { route: "fastest" }), 2, "one started, one won");
        assert.equal(await since("crossfade_requests_total", { route: "fastest" }), 1);
        assert.equal(await since("crossfade_requests_total", { route: "fastest", upstream: other }), 1);
        await untilAllOver(sidecar);
      });

      test(`of a caller of ${own} are answered by ${own} when that is faster`, async (t) => {
        await serve(silent, silent);
        bench[own].onRequest = ok(`from ${own}`);
        const answer = await ask(t, sidecar, "/fastest", "GET", [users[own]]);
        assert.deepEqual([answer.text, servedBy(answer)], [`from ${own}`, own]);
        await bench[other].request(0);
        await bench[other].requests[0]?.connection.ended(1_000);
      });

      for (const [what, fail] of [
        ["resets", resets],
        ["answers 503", status(503)],
        ["talks rubbish", answering("rubbish\r\n\r\n")],
      ] as const) {
        test(`hide it when ${other} ${what} at once and ${own} answers later`, async (t) => {
          let slow: SeenRequest | null = null;
          await serve(silent, silent);
          bench[other].onRequest = fail;
          bench[own].onRequest = (request) => void (slow = request);
          const client = await connectRaw(t, sidecar.port);
          client.request(requestText("GET", "/fastest", [users[own]]));
          await until(() => asked() === 2 && slow, "both to be asked");
          await bench[other].requests[0]?.connection.ended();
          (slow as unknown as SeenRequest).connection.send(okText("late but good"));
          const answer = await client.answer();
          assertAnswer(answer, 200, "late but good");
          assert.equal(servedBy(answer), own);
        });
      }
    }

    test("fail once when both fail, and then the usual rules hold", async (t) => {
      await serve(resets, resets);
      assertLocalReply(await ask(t, sidecar, "/fastest"), 502, "upstream_reset");
      assert.equal(asked(), 2);
      await serve(resets, resets);
      assertLocalReply(await ask(t, sidecar, "/retried"), 502, "upstream_reset");
      assert.ok(asked() >= 3, "the retry comes behind the race");
      await serve(status(503), status(503));
      assert.equal((await ask(t, sidecar, "/fastest")).status, 503);
      await untilAllOver(sidecar);
    });

    for (const [what, method, body] of [
      ["POST", "POST", "hello"],
      ["POST without a body", "POST", ""],
      ["PUT", "PUT", "hello"],
      ["DELETE", "DELETE", ""],
      ["GET with a body", "GET", "hello"],
    ] as const) {
      test(`not for ${what}`, async (t) => {
        await serve(ok("from v1"), ok("from v2"));
        assertAnswer(await ask(t, sidecar, "/fastest", method, [users.v2], body), 200, "from v2");
        await untilQuiet(asked, 60);
        assert.deepEqual([v1.requests.length, v2.requests.length], [0, 1]);
      });
    }

    test("a HEAD that wins keeps both connections in order", async (t) => {
      await serve(silent, answering("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"));
      const client = await connectRaw(t, sidecar.port);
      const answer = await client.exchange(requestText("HEAD", "/fastest", [users.v1]));
      assert.deepEqual([answer.status, answer.text, servedBy(answer)], [200, "", "v2"]);
      v2.onRequest = ok("next");
      assert.equal((await client.exchange(requestText("GET", "/fastest", [users.v1]))).text, "next");
    });

    test("not candidate-wards while v2 is killed, nor at share 0", async (t) => {
      await serve(ok("from v1"), ok("from v2"));
      await kill(sidecar, ["fastest"]);
      t.after(() => unkill(sidecar, ["fastest"]));
      assert.equal((await ask(t, sidecar, "/fastest", "GET", [users.v2])).text, "from v1");
      await unkill(sidecar, ["fastest"]);
      await setSplit(sidecar, "fastest", "0%");
      t.after(() => setSplit(sidecar, "fastest", "50%"));
      assert.equal((await ask(t, sidecar, "/fastest", "GET", [users.v2])).text, "from v1");
      await untilQuiet(asked, 60);
      assert.equal(v2.requests.length, 0);
    });

    test("a client that leaves takes both with it", async (t) => {
      await serve(silent, silent);
      const client = await connectRaw(t, sidecar.port);
      client.request(requestText("GET", "/fastest"));
      await until(() => asked() === 2, "both to be asked");
      client.reset();
      await v1.requests[0]?.connection.ended(1_000);
      await v2.requests[0]?.connection.ended(1_000);
      await untilAllOver(sidecar);
    });

    test("a large answer of the winner arrives whole, whatever the client's pace", async (t) => {
      const large = "0123456789".repeat(300_000);
      await serve(silent, ok(large));
      const client = await connectRaw(t, sidecar.port);
      client.socket.pause();
      client.request(requestText("GET", "/fastest", [users.v1]));
      await v2.whole(0);
      await untilQuiet(() => v2.connections[0]?.socket.writableLength ?? 0, 60);
      client.socket.resume();
      assert.ok((await client.answer()).text === large);
    });

    test("a hundred lost races open no circuit", async (t) => {
      await serve(ok("from v1"), silent);
      for (let i = 0; i < 100; i++) {
        assert.equal((await ask(t, sidecar, "/guarded", "GET", [i % 2 === 0 ? users.v1 : users.v2])).text, "from v1");
      }
      const { upstreams: seen } = (await view(sidecar, "status")) as unknown as {
        readonly upstreams: readonly { readonly name: string; readonly circuit: { readonly state: string } | null }[];
      };
      assert.equal(seen.find(({ name }) => name === "guarded2")?.circuit?.state, "closed");
      v2.onRequest = silent;
      await untilAllOver(sidecar);
    });

    test("an arm whose circuit is open is not asked beside the other", async (t) => {
      await serve(silent, status(503));
      for (let i = 0; i < 3; i++) {
        v1.onRequest = ({ connection }) => setTimeout(() => connection.send(okText("from v1")), 30);
        await ask(t, sidecar, "/guarded", "GET", [users.v1]);
      }
      const before = v2.requests.length;
      assert.equal(before, 3);
      assert.equal((await ask(t, sidecar, "/guarded", "GET", [users.v1])).text, "from v1");
      assert.equal((await ask(t, sidecar, "/guarded", "GET", [users.v2])).text, "from v1");
      assert.equal(v2.requests.length, before);
    });
  });

  describe(`a second request after a while with the ${engine} engine`, () => {
    test("is not sent when the first is answered before", async (t) => {
      await serve(ok("from v1"), ok("from v2"));
      assert.equal((await ask(t, sidecar, "/later", "GET", [users.v1])).text, "from v1");
      await untilQuiet(asked, 250);
      assert.equal(asked(), 1);
    });

    test("is sent when the first takes longer, and not sooner", async (t) => {
      await serve(silent, ok("from v2"));
      const startedMs = performance.now();
      const answer = await ask(t, sidecar, "/later", "GET", [users.v1]);
      assert.ok(performance.now() - startedMs >= 119);
      assert.deepEqual([answer.text, servedBy(answer)], ["from v2", "v2"]);
      await v1.requests[0]?.connection.ended(1_000);
    });

    test("is sent at once when the first fails without an answer", async (t) => {
      await serve(resets, ok("from v2"));
      const startedMs = performance.now();
      assert.equal((await ask(t, sidecar, "/later", "GET", [users.v1])).text, "from v2");
      assert.ok(performance.now() - startedMs < 110);
    });

    test("is not sent when the client has left", async (t) => {
      await serve(silent, ok("from v2"));
      const client = await connectRaw(t, sidecar.port);
      client.request(requestText("GET", "/later", [users.v1]));
      await v1.request(0);
      client.reset();
      await untilAllOver(sidecar);
      await untilQuiet(asked, 250);
      assert.equal(asked(), 1);
    });

    test("goes to another endpoint of the same upstream where there is one", async (t) => {
      await serve(silent, silent);
      const client = await connectRaw(t, sidecar.port);
      client.request(requestText("GET", "/same"));
      await until(() => asked() === 2, "a second request");
      assert.deepEqual([v1.requests.length, v2.requests.length], [1, 1]);
      v2.requests[0]?.connection.send(okText("one of two"));
      assertAnswer(await client.answer(), 200, "one of two");
      await v1.requests[0]?.connection.ended();
    });
  });
}
