import assert from "node:assert/strict";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { describe, test } from "node:test";
import { servedBy } from "../support/arms.ts";
import { assertLocalReply } from "../support/local-reply.ts";
import { bodyOf, header } from "../support/message-reader.ts";
import { connectRaw, requestText, type Answer } from "../support/raw-client.ts";
import { startRawUpstream, type Handler } from "../support/raw-upstream.ts";
import { ask, assertAnswer, counting, refusingPort, untilAllOver, useEngines } from "../support/recovery-bench.ts";
import { fresh, ok, plan, resets, silent, status } from "../support/scripts.ts";
import { fileScope } from "../support/scope.ts";

const folder = fs.mkdtempSync(path.join(os.tmpdir(), "crossfade-test-"));
fileScope.after(() => fs.rmSync(folder, { recursive: true, force: true }));
const bodyFile = path.join(folder, "local.json");
fs.writeFileSync(bodyFile, '{"mode":"lökal"}\n');

const v1 = await startRawUpstream(fileScope);
const v2 = await startRawUpstream(fileScope);
const local = await startRawUpstream(fileScope);
const onSocket = await startRawUpstream(fileScope, path.join(folder, "local.sock"));
const dead = `http://127.0.0.1:${await refusingPort()}`;

const pool = { minConnections: 0 };
const upstreams = {
  v1: { endpoints: [v1.url], pool },
  v2: { endpoints: [v2.url], pool },
  broken: { endpoints: [v2.url], pool, circuitBreaker: { consecutiveFailures: 1, openFor: "1h" } },
  dead: { endpoints: [dead], pool },
  gone: { endpoints: [dead], pool },
  local: { endpoints: [local.url], pool },
  socket: { endpoints: [onSocket.url], pool },
};
const split = { baseline: "v1", candidate: "v2", share: "100%", sticky: [{ header: "x-user-id" }] };
const told = { static: { status: 299, headers: { "X-Mode": "local" }, body: "from the file" } };
const routes = {
  alone: { split: "broken", fallback: [told] },
  static: { split: "v2", fallback: [told] },
  file: { split: "v2", fallback: [{ static: { bodyFile } }] },
  local: { split: "v2", fallback: [{ upstream: "local" }] },
  socket: { split: "v2", fallback: [{ upstream: "socket" }] },
  all: { split, fallback: ["arm", { upstream: "local" }, told] },
  none: { split: "dead", fallback: [{ upstream: "gone" }] },
  nobody: { split, fallback: ["arm", { upstream: "dead" }] },
};

function fallbackOf(answer: Answer): string | null {
  return header(answer, "x-crossfade-fallback");
}

async function serve(one: Handler, two: Handler): Promise<void> {
  await plan(v1, one);
  await plan(v2, two);
  await plan(local, ok("from local"));
  await plan(onSocket, ok("from the socket"));
}

for (const [engine, sidecar] of await useEngines(fileScope, upstreams, routes)) {
  describe(`answers that no arm makes with the ${engine} engine`, () => {
    test("a static one comes with its status, fields and body, and names itself", async (t) => {
      for (const fail of [status(503), resets]) {
        await serve(silent, fail);
        const since = await counting(sidecar);
        const answer = await ask(t, sidecar, "/static");
        assertAnswer(answer, 299, "from the file");
        assert.deepEqual(
          ["x-mode", "content-type", "x-crossfade-fallback", "x-crossfade-upstream"].map((name) =>
            header(answer, name),
          ),
          ["local", "text/plain; charset=utf-8", "static", "fallback"],
        );
        assert.ok(header(answer, "x-request-id"));
        assert.equal(await since("crossfade_fallbacks_total", { route: "static", kind: "static" }), 1);
        assert.equal(await since("crossfade_requests_total", { route: "static" }), 1);
      }
    });

    test("to a HEAD it comes without its body, and the connection stays usable", async (t) => {
      await serve(silent, status(503));
      const client = await connectRaw(t, sidecar.port);
      const answer = await client.exchange(requestText("HEAD", "/static"));
      assert.deepEqual([answer.status, answer.text, header(answer, "content-length")], [299, "", "13"]);
      v2.onRequest = ok("well again");
      assertAnswer(await client.exchange(requestText("GET", "/static")), 200, "well again");
    });

    test("a body file is told byte for byte, as JSON when it is that", async (t) => {
      await serve(silent, status(503));
      const answer = await ask(t, sidecar, "/file");
      assert.deepEqual([answer.status, header(answer, "content-type")], [200, "application/json"]);
      assert.deepEqual(answer.body, fs.readFileSync(bodyFile));
    });

    test("a POST gets no such answer when it may have been processed", async (t) => {
      await serve(silent, resets);
      assertLocalReply(await ask(t, sidecar, "/static", "POST", [], "hello"), 502, "upstream_reset");
    });

    for (const [route, handler, name] of [
      ["local", local, "from local"],
      ["socket", onSocket, "from the socket"],
    ] as const) {
      test(`a local service (${route}) gets the request as the arm would have, body and all`, async (t) => {
        await serve(silent, resets);
        const since = await counting(sidecar);
        const answer = await ask(t, sidecar, `/${route}?q=1`, "PUT", ["X-Own: 1"], "hello");
        assertAnswer(answer, 200, name);
        assert.deepEqual([servedBy(answer), fallbackOf(answer)], [route, "upstream"]);
        const seen = handler.requests[0] ?? assert.fail();
        assert.deepEqual([seen.target, header(seen, "x-own"), header(seen, "host")], [`/${route}?q=1`, "1", "a.test"]);
        assert.equal(bodyOf(seen.message).toString(), "hello");
        assert.equal(await since("crossfade_fallbacks_total", { route, kind: "upstream" }), 1);
      });
    }

    test("the ladder is gone down in order, and each rung is asked once", async (t) => {
      await serve(resets, resets);
      const since = await counting(sidecar);
      let answer = await ask(t, sidecar, "/all");
      assertAnswer(answer, 200, "from local");
      assert.deepEqual([v1.requests.length, v2.requests.length, local.requests.length], [1, 1, 1]);
      await serve(resets, resets);
      local.onRequest = resets;
      answer = await ask(t, sidecar, "/all");
      assertAnswer(answer, 299, "from the file");
      assert.deepEqual([v1.requests.length, v2.requests.length, local.requests.length], [1, 1, 1]);
      assert.equal(await since("crossfade_requests_total", { route: "all" }), 2);
    });

    test("when nobody can answer it is 503 fallback_exhausted with Retry-After", async (t) => {
      const since = await counting(sidecar);
      const answer = await ask(t, sidecar, "/none");
      assertLocalReply(answer, 503, "fallback_exhausted");
      assert.match(header(answer, "retry-after") ?? "", /^\d+$/);
      assert.equal(await since("crossfade_fallbacks_total", { route: "none", kind: "none" }), 1);
      await serve(resets, resets);
      assertLocalReply(await ask(t, sidecar, "/nobody"), 503, "fallback_exhausted");
    });

    test("while the circuit is open it comes at once, and for a POST too, since nothing was sent", async (t) => {
      await serve(silent, status(503));
      await ask(t, sidecar, "/alone");
      v2.forget();
      for (const method of ["GET", "POST", "DELETE"]) {
        assertAnswer(await ask(t, sidecar, "/alone", method, [], "hello"), 299, "from the file");
      }
      assert.equal(v2.requests.length, 0);
    });

    test("an answer of ours to an upload that has not ended ends the connection, in good order", async (t) => {
      await serve(silent, status(503));
      const client = await connectRaw(t, sidecar.port);
      client.request("PUT /alone HTTP/1.1\r\nHost: a.test\r\nContent-Length: 2000000\r\n\r\nhel");
      const answer = await client.answer();
      assertAnswer(answer, 299, "from the file");
      assert.equal(header(answer, "connection"), "close");
      client.send("x".repeat(200_000));
      await client.closed();
    });

    test("and nothing of all this stays under way", async () => {
      await fresh(v1);
      await fresh(v2);
      await untilAllOver(sidecar);
    });
  });
}
