import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";
import { ENGINES } from "../support/engines.ts";
import { header } from "../support/message-reader.ts";
import { exchangeOnce, requestText, type Answer } from "../support/raw-client.ts";
import { answering, okText, startRawUpstream, type SeenRequest } from "../support/raw-upstream.ts";
import { fileScope, type Scope } from "../support/scope.ts";
import { useSidecar, type Sidecar } from "../support/sidecar.ts";

const upstream = await startRawUpstream(fileScope);
const local = await startRawUpstream(fileScope);
const split = { baseline: "v1", candidate: "v2", share: "50%", sticky: [{ header: "x-user-id" }] };
const stale = { stale: { maxAge: "10m", maxEntryBytes: "128KiB" } };
const config = {
  upstreams: {
    v1: { endpoints: [upstream.url] },
    v2: { endpoints: [upstream.url] },
    local: { endpoints: [local.url] },
  },
  routes: [
    { name: "own", match: { pathPrefix: "/own" }, split, fallback: [stale] },
    {
      name: "shared",
      match: { pathPrefix: "/shared" },
      split,
      fallback: [{ stale: { ...stale.stale, shared: true } }],
    },
    {
      name: "alone",
      match: { pathPrefix: "/alone" },
      split: { baseline: "v1", sticky: split.sticky },
      fallback: [stale],
    },
    { name: "local", match: { pathPrefix: "/local" }, split, fallback: [stale, { upstream: "local" }] },
  ],
};
const sidecars = await Promise.all(ENGINES.map((engine) => useSidecar(fileScope, { ...config, engine })));

function failing({ connection }: SeenRequest): void {
  connection.answer("HTTP/1.1 503 Down\r\nContent-Length: 4\r\n\r\ndown", "keep");
}

for (const [i, engine] of ENGINES.entries()) {
  const sidecar = sidecars[i] as Sidecar;
  const ask = (scope: Scope, target: string, user: string | null, method = "GET"): Promise<Answer> =>
    exchangeOnce(scope, sidecar.port, requestText(method, target, user === null ? [] : [`x-user-id: ${user}`]));

  describe(`last good answers, by the ${engine} engine`, () => {
    beforeEach(() => {
      upstream.forget();
      upstream.onRequest = answering(okText("good", ["X-Made: once", "X-Request-Id: old"]));
    });

    for (const [what, fail, status] of [
      ["answers 503", failing, 503],
      ["breaks the connection", answering("", "reset"), 502],
    ] as const) {
      test(`are told when the upstream ${what}`, async (t) => {
        const target = `/own/${status}`;
        const first = await ask(t, target, "u1");
        upstream.onRequest = fail;
        const second = await ask(t, target, "u1");
        assert.deepEqual([second.status, second.text], [200, "good"]);
        assert.equal(header(second, "x-made"), "once");
        assert.equal(header(second, "x-crossfade-fallback"), "stale");
        assert.equal(header(second, "x-crossfade-upstream"), header(first, "x-crossfade-upstream"));
        assert.match(header(second, "age") ?? "", /^\d$/);
        assert.notEqual(header(second, "x-request-id"), "old");
        assert.notEqual(header(second, "x-request-id"), header(first, "x-request-id"));
        assert.equal(header(first, "x-crossfade-fallback"), null);
      });
    }

    test("are told to HEAD without their body", async (t) => {
      await ask(t, "/own/head", "u1");
      upstream.onRequest = failing;
      const answer = await ask(t, "/own/head", "u1", "HEAD");
      assert.deepEqual([answer.status, header(answer, "content-length"), answer.text], [200, "4", ""]);
    });

    test("are those of the caller, unless they are declared shared", async (t) => {
      for (const [path, status] of [
        ["/own/caller", 503],
        ["/shared/caller", 200],
      ] as const) {
        upstream.onRequest = answering(okText("good"));
        await ask(t, path, "u1");
        upstream.onRequest = failing;
        assert.equal((await ask(t, path, "u2")).status, status, path);
        assert.equal((await ask(t, path, null)).status, status, path);
      }
    });

    test("are kept on a route without a candidate too", async (t) => {
      await ask(t, "/alone", "u1");
      upstream.onRequest = failing;
      assert.equal((await ask(t, "/alone", "u1")).text, "good");
    });

    test("of any framing come back byte for byte", async (t) => {
      const piece = "0123456789abcdef".repeat(2_048);
      const chunk = `8000\r\n${piece}\r\n`;
      upstream.onRequest = answering(
        `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${chunk.repeat(3)}0\r\n\r\n`,
      );
      await ask(t, "/own/chunked", "u1");
      upstream.onRequest = failing;
      const answer = await ask(t, "/own/chunked", "u1");
      assert.equal(header(answer, "content-length"), String(3 * 32_768));
      assert.ok(answer.text === piece.repeat(3));
    });

    test("are not made of an answer that broke off", async (t) => {
      upstream.onRequest = answering("HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhalf", "close");
      assert.equal((await ask(t, "/own/half", "u1")).complete, false);
      upstream.onRequest = failing;
      assert.equal((await ask(t, "/own/half", "u1")).status, 503);
    });

    test("are not made of what a local handler says", async (t) => {
      local.onRequest = answering(okText("local"));
      await ask(t, "/local", "u1");
      upstream.onRequest = failing;
      assert.equal((await ask(t, "/local", "u2")).text, "local");
      assert.equal((await ask(t, "/local", "u1")).text, "good");
      local.onRequest = failing;
      assert.equal((await ask(t, "/local", "u2")).status, 503, "the local answer was not kept");
    });

    test("are gone when the upstream says otherwise", async (t) => {
      await ask(t, "/own/gone", "u1");
      upstream.onRequest = answering("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
      assert.equal((await ask(t, "/own/gone", "u1")).status, 404);
      upstream.onRequest = failing;
      assert.equal((await ask(t, "/own/gone", "u1")).status, 503);
    });
  });
}
