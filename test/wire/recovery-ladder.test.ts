import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { bucketOfKey } from "../../src/model/split.ts";
import { kill, setSplit, unkill } from "../support/admin-calls.ts";
import { servedBy, userKeys } from "../support/arms.ts";
import { allHeaders, bodyOf, header } from "../support/message-reader.ts";
import { connectRaw, type Answer } from "../support/raw-client.ts";
import { answering, startRawUpstream, type Handler } from "../support/raw-upstream.ts";
import { ask, assertAnswer, AT_ONCE, counting, refusingPort, useEngines } from "../support/recovery-bench.ts";
import { ok, plan, resets, silent, status } from "../support/scripts.ts";
import { fileScope } from "../support/scope.ts";
import { until } from "../support/until.ts";

const v1 = await startRawUpstream(fileScope);
const v2 = await startRawUpstream(fileScope);
const dead = `http://127.0.0.1:${await refusingPort()}`;

const pool = { minConnections: 0 };
const upstreams = {
  v1: { endpoints: [v1.url], pool },
  v2: { endpoints: [v2.url], pool },
  late: { endpoints: [v2.url], pool, timeouts: { responseHead: "60ms" } },
  hasty: { endpoints: [v2.url], pool, timeouts: { request: "100ms" } },
  broken: { endpoints: [v2.url], pool, circuitBreaker: { consecutiveFailures: 1, openFor: "1h" } },
  dead: { endpoints: [dead], pool },
};
const split = { baseline: "v1", candidate: "v2", share: "100%", sticky: [{ header: "x-user-id" }] };
const told = { static: { status: 299, headers: { "X-Mode": "local" }, body: "from the file" } };
const routes = {
  arm: { split, fallback: ["arm"] },
  half: { split: { ...split, share: "50%", onMissingKey: { setCookie: { name: "cf" } } }, fallback: ["arm"] },
  late: { split: { ...split, candidate: "late" }, fallback: ["arm"] },
  hasty: { split: { ...split, candidate: "hasty" }, fallback: ["arm", told] },
  open: { split: { ...split, candidate: "broken" }, fallback: ["arm"] },
  deadv2: { split: { ...split, candidate: "dead" }, fallback: ["arm"] },
  retried: {
    split,
    retry: { on: ["reset", "5xx"], attempts: 3, backoff: AT_ONCE },
    fallback: ["arm"],
  },
  only503: { split, fallback: ["arm"], fallbackOn: { on: [], statuses: [503] } },
};
const keys = userKeys(200);
const CANDIDATE = keys.find((key) => bucketOfKey("half", key) < 500_000) ?? "";
const BASELINE = keys.find((key) => bucketOfKey("half", key) >= 500_000) ?? "";

function fallbackOf(answer: Answer): string | null {
  return header(answer, "x-crossfade-fallback");
}

async function serve(one: Handler, two: Handler): Promise<void> {
  await plan(v1, one);
  await plan(v2, two);
}

for (const [engine, sidecar] of await useEngines(fileScope, upstreams, routes)) {
  describe(`the other arm as a fallback with the ${engine} engine`, () => {
    for (const [what, fail, route] of [
      ["500", status(500), "arm"],
      ["502", status(502), "arm"],
      ["a reset", resets, "arm"],
      ["rubbish", answering("rubbish\r\n\r\n"), "arm"],
      ["a head that comes too late", silent, "late"],
      ["503 where that alone is asked for", status(503), "only503"],
    ] as const) {
      for (const [method, body] of [
        ["GET", ""],
        ["HEAD", ""],
        ["PUT", "the body"],
      ] as const) {
        test(`${method} that meets ${what} is answered by the baseline, and says so`, async (t) => {
          await serve(ok(method === "HEAD" ? "" : "from v1"), fail);
          const since = await counting(sidecar);
          const answer = await ask(t, sidecar, `/${route}`, method, [], body);
          assertAnswer(answer, 200, method === "HEAD" ? "" : "from v1");
          assert.deepEqual([servedBy(answer), fallbackOf(answer)], ["v1", "arm"]);
          assert.deepEqual([v1.requests.length, v2.requests.length], [1, 1]);
          if (body !== "") assert.equal(bodyOf(v1.requests[0]?.message ?? assert.fail()).toString(), body);
          assert.equal(await since("crossfade_fallbacks_total", { route, kind: "arm" }), 1);
          assert.equal(await since("crossfade_requests_total", { route }), 1);
        });
      }
    }

    for (const [what, fail, code] of [
      ["was reset", resets, 502],
      ["was answered with 503", status(503), 503],
    ] as const) {
      test(`a POST that ${what} is not sent to the baseline, and gets what there is`, async (t) => {
        await serve(ok("from v1"), fail);
        const answer = await ask(t, sidecar, "/arm", "POST", [], "hello");
        assert.deepEqual([answer.status, fallbackOf(answer)], [code, null]);
        assert.equal(v1.requests.length, 0);
      });
    }

    test("a POST whose connection was refused goes to the baseline with all of its body", async (t) => {
      await serve(ok("from v1"), silent);
      const answer = await ask(t, sidecar, "/deadv2", "POST", [], "hello");
      assertAnswer(answer, 200, "from v1");
      assert.deepEqual([servedBy(answer), fallbackOf(answer)], ["v1", "arm"]);
      assert.equal(bodyOf(v1.requests[0]?.message ?? assert.fail()).toString(), "hello");
    });

    test("a chunked PUT that is still coming goes to the baseline whole", async (t) => {
      await serve(ok("from v1"), silent);
      v2.onHead = ({ connection }) => connection.reset();
      const client = await connectRaw(t, sidecar.port);
      client.request("PUT /arm HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n");
      await until(() => v1.requests.length === 1, "the baseline to be asked");
      await client.flush("5\r\nhello\r\n");
      client.send("0\r\n\r\n");
      assertAnswer(await client.answer(), 200, "from v1");
      assert.equal(bodyOf(v1.requests[0]?.message ?? assert.fail()).toString(), "hello");
    });

    test("retries come first, on the same arm, and then the baseline", async (t) => {
      await serve(ok("from v1"), status(503));
      const since = await counting(sidecar);
      const answer = await ask(t, sidecar, "/retried");
      assertAnswer(answer, 200, "from v1");
      assert.deepEqual([v1.requests.length, v2.requests.length], [1, 3]);
      assert.equal(await since("crossfade_retries_total", { route: "retried" }), 2);
    });

    test("the baseline is asked once, even where retries are configured", async (t) => {
      await serve(status(503), status(503));
      const answer = await ask(t, sidecar, "/retried");
      assert.equal(answer.status, 503);
      assert.deepEqual([v1.requests.length, v2.requests.length], [1, 3]);
    });

    test("an open circuit has the baseline serve without asking v2, POST too", async (t) => {
      await serve(ok("from v1"), status(503));
      assert.equal((await ask(t, sidecar, "/open")).text, "from v1");
      for (const [method, body] of [
        ["GET", ""],
        ["POST", "hello"],
      ] as const) {
        const answer = await ask(t, sidecar, "/open", method, [], body);
        assertAnswer(answer, 200, "from v1");
        assert.equal(servedBy(answer), "v1");
      }
      assert.equal(v2.requests.length, 1);
    });

    test("an answer of another kind is passed on as it is", async (t) => {
      await serve(ok("from v1"), status(404));
      assert.equal((await ask(t, sidecar, "/arm")).status, 404);
      await serve(ok("from v1"), status(500));
      assert.equal((await ask(t, sidecar, "/only503")).status, 500);
      assert.equal(v1.requests.length, 0);
    });

    test("what has begun is not mended: the client sees that it was cut", async (t) => {
      await serve(ok("from v1"), answering("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npart", "reset"));
      const answer = await ask(t, sidecar, "/arm");
      assert.deepEqual([answer.status, answer.text, answer.complete], [200, "part", false]);
      assert.equal(v1.requests.length, 0);
    });

    test("when the whole time is over no other arm is asked, but an answer of ours is given", async (t) => {
      await serve(ok("from v1"), silent);
      const answer = await ask(t, sidecar, "/hasty");
      assert.deepEqual([answer.status, fallbackOf(answer), v1.requests.length], [299, "static", 0]);
      await v2.requests[0]?.connection.ended();
    });
  });

  describe(`the way from the baseline to the candidate with the ${engine} engine`, () => {
    const asBaseline = [`x-user-id: ${BASELINE}`];

    test("is open for reads", async (t) => {
      await serve(status(503), ok("from v2"));
      for (const method of ["GET", "OPTIONS"]) {
        const answer = await ask(t, sidecar, "/half", method, asBaseline);
        assertAnswer(answer, 200, "from v2");
        assert.deepEqual([servedBy(answer), fallbackOf(answer)], ["v2", "arm"]);
      }
    });

    test("is closed for writes, even idempotent ones, and for reads with a body", async (t) => {
      await serve(status(503), ok("from v2"));
      for (const method of ["PUT", "DELETE", "POST", "GET"]) {
        const answer = await ask(t, sidecar, "/half", method, asBaseline, "body");
        assert.deepEqual([method, answer.status, fallbackOf(answer)], [method, 503, null]);
      }
      assert.equal((await ask(t, sidecar, "/half", "DELETE", asBaseline)).status, 503);
      assert.equal(v2.requests.length, 0);
    });

    test("is closed while the kill switch is thrown, and at share 0", async (t) => {
      await serve(status(503), ok("from v2"));
      await kill(sidecar, ["half"]);
      t.after(() => unkill(sidecar, ["half"]));
      assert.equal((await ask(t, sidecar, "/half", "GET", asBaseline)).status, 503);
      await unkill(sidecar, ["half"]);
      await setSplit(sidecar, "half", "0%");
      t.after(() => setSplit(sidecar, "half", "50%"));
      assert.equal((await ask(t, sidecar, "/half", "GET", asBaseline)).status, 503);
      assert.equal(v2.requests.length, 0);
      await setSplit(sidecar, "half", "50%");
      assert.equal((await ask(t, sidecar, "/half", "GET", asBaseline)).text, "from v2");
    });

    test("a fallback changes no caller's assignment: no cookie but the one of the pick, and the next answer is the arm's", async (t) => {
      await serve(ok("from v1"), status(503));
      const asCandidate = [`x-user-id: ${CANDIDATE}`];
      const mended = await ask(t, sidecar, "/half", "GET", asCandidate);
      assert.deepEqual([servedBy(mended), allHeaders(mended, "set-cookie")], ["v1", []]);
      v2.onRequest = ok("from v2");
      assert.equal((await ask(t, sidecar, "/half", "GET", asCandidate)).text, "from v2");
      v2.onRequest = status(503);
      v1.onRequest = status(503);
      const failed = await ask(t, sidecar, "/half", "GET", asCandidate);
      assert.deepEqual([failed.status, allHeaders(failed, "set-cookie")], [503, []]);
    });

    test("a caller without a key whose v2 fails keeps the cookie of v2", async (t) => {
      await serve(ok("from v1"), ok("from v2"));
      let cookie = "";
      for (let i = 0; i < 60 && cookie === ""; i++) {
        v2.onRequest = status(503);
        const answer = await ask(t, sidecar, "/half");
        if (fallbackOf(answer) === "arm") cookie = (header(answer, "set-cookie") ?? "").split(";")[0] ?? "";
      }
      assert.notEqual(cookie, "");
      v2.onRequest = ok("from v2");
      assert.equal((await ask(t, sidecar, "/half", "GET", [`Cookie: ${cookie}`])).text, "from v2");
    });
  });
}
