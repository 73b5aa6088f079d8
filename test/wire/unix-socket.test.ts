import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { describe, test } from "node:test";
import { proxyTo } from "../support/configs.ts";
import { ENGINES } from "../support/engines.ts";
import { assertLocalReply } from "../support/local-reply.ts";
import { header } from "../support/message-reader.ts";
import { connectRaw, exchangeOnce, requestText } from "../support/raw-client.ts";
import { answering, okText, startRawUpstream } from "../support/raw-upstream.ts";
import { fileScope } from "../support/scope.ts";
import { useSidecar, type Sidecar } from "../support/sidecar.ts";
import { until } from "../support/until.ts";
import { switchingText, upgradeText } from "../support/ws-peer.ts";

const folder = mkdtempSync(path.join(tmpdir(), "crossfade-socket-"));
fileScope.after(() => rmSync(folder, { recursive: true, force: true }));
const upstream = await startRawUpstream(fileScope, path.join(folder, "v1.sock"));
const gone = { endpoints: [`http+unix://${path.join(folder, "nobody.sock")}`] };
const goneRoute = { name: "gone", match: { pathPrefix: "/gone" }, split: { baseline: "gone" } };
const allRoute = { name: "all", match: { pathPrefix: "/" }, split: { baseline: "v1" } };

const sidecars = await Promise.all(
  ENGINES.map((engine) =>
    useSidecar(fileScope, proxyTo(upstream.url, { engine, upstreams: { gone }, routes: [goneRoute, allRoute] })),
  ),
);

for (const [i, engine] of ENGINES.entries()) {
  const sidecar = sidecars[i] as Sidecar;

  describe(`an upstream on a Unix socket, by the ${engine} engine`, () => {
    test("is asked like any other, Host and target untouched, over one connection", async (t) => {
      upstream.forget();
      upstream.onRequest = answering(okText("hello"));
      const client = await connectRaw(t, sidecar.port);
      for (let i = 0; i < 3; i++) {
        const answer = await client.exchange(requestText("GET", `/a?n=${i}`));
        assert.deepEqual([answer.status, answer.text], [200, "hello"]);
        assert.equal(header(answer, "x-crossfade-upstream"), "v1");
      }
      assert.deepEqual(
        upstream.requests.map(({ target }) => target),
        ["/a?n=0", "/a?n=1", "/a?n=2"],
      );
      assert.equal(new Set(upstream.requests.map(({ connection }) => connection)).size, 1);
      assert.match(upstream.text(), /^host: a\.test\r$/im);
    });

    test("gets request bodies, and is waited for by Expect: 100-continue", async (t) => {
      upstream.forget();
      upstream.onRequest = answering(okText("done"));
      assert.equal((await exchangeOnce(t, sidecar.port, requestText("POST", "/a", [], "body"))).text, "done");
      upstream.onHead = ({ connection, message }) => {
        if (message.rawHeaders.some((name) => name.toLowerCase() === "expect")) {
          connection.send("HTTP/1.1 100 Continue\r\n\r\n");
        }
      };
      t.after(() => {
        upstream.onHead = null;
      });
      const client = await connectRaw(t, sidecar.port);
      const answer = await client.exchange(requestText("PUT", "/a", ["Expect: 100-continue"], "late body"));
      assert.deepEqual([answer.status, answer.text], [200, "done"]);
      assert.equal(upstream.requests.at(-1)?.message.pieces.join(""), "late body");
    });

    test("is named localhost to itself when the client names no host", async (t) => {
      upstream.forget();
      upstream.onRequest = answering(okText("old"));
      const answer = await exchangeOnce(t, sidecar.port, "GET / HTTP/1.0\r\n\r\n");
      assert.equal(answer.text, "old");
      assert.match(upstream.text(), /^host: localhost\r$/im);
    });

    test("can be a WebSocket", async (t) => {
      upstream.forget();
      upstream.onRequest = answering(switchingText());
      const client = await connectRaw(t, sidecar.port);
      client.request(upgradeText("/ws"));
      assert.equal((await client.head()).status, 101);
      const { connection } = await upstream.request();
      connection.send("from afar");
      await until(() => client.reader.rest.includes("from afar"), "the bytes of the upstream");
      connection.socket.destroy();
    });

    test("that is not there is a connect failure", async (t) => {
      const answer = await exchangeOnce(t, sidecar.port, requestText("GET", "/gone"));
      assertLocalReply(answer, 502, "connect_failure");
    });
  });
}
