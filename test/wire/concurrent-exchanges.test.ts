import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import fs from "node:fs";
import test from "node:test";
import fc from "fast-check";
import { proxyTo } from "../support/configs.ts";
import { startHttpUpstream, type Echo } from "../support/http-upstream.ts";
import { connectRaw, requestText } from "../support/raw-client.ts";
import { fileScope } from "../support/scope.ts";
import { useSidecar } from "../support/sidecar.ts";
import { until } from "../support/until.ts";

const upstream = await startHttpUpstream(fileScope);
const sidecar = await useSidecar(fileScope, proxyTo(upstream.url));

test("50 clients at once get their own answers, each time", async (t) => {
  const clients = await Promise.all(Array.from({ length: 50 }, () => connectRaw(t, sidecar.port)));
  await Promise.all(
    clients.map(async (client, number) => {
      for (let round = 0; round < 10; round++) {
        const body = `${number}:${round};`.repeat(1 + ((number * round) % 700));
        const answer = await client.exchange(requestText("POST", `/${number}/${round}`, [], body), 20_000);
        const echo = JSON.parse(answer.text) as Echo;
        assert.equal(echo.url, `/${number}/${round}`);
        assert.equal(echo.body.sha256, createHash("sha256").update(body).digest("hex"));
      }
    }),
  );
});

test("a request means the same however its bytes are cut into packets", async (t) => {
  const client = await connectRaw(t, sidecar.port);
  const head = requestText("PUT", "/cut", ["Transfer-Encoding: chunked", "X-A: b"]);
  const text = `${head}5\r\nhello\r\nb\r\n wide world\r\n0\r\n\r\n`;
  const sha256 = createHash("sha256").update("hello wide world").digest("hex");
  const cuts = fc.uniqueArray(fc.integer({ min: 1, max: text.length - 1 }), { maxLength: 12 });
  await fc.assert(
    fc.asyncProperty(cuts, async (places) => {
      let from = 0;
      client.request("PUT");
      for (const to of [...places.toSorted((a, b) => a - b), text.length]) {
        await client.flush(text.slice(Math.max(from, "PUT".length), Math.max(to, "PUT".length)));
        from = to;
      }
      const echo = JSON.parse((await client.answer()).text) as Echo;
      assert.equal(echo.method, "PUT");
      assert.equal(echo.url, "/cut");
      assert.deepEqual(echo.body, { length: 16, sha256 });
    }),
    { numRuns: 40 },
  );
});

test("200 clients that vanish leave no socket behind", async (t) => {
  const descriptors = (): number => fs.readdirSync(`/proc/${sidecar.pid}/fd`).length;
  const before = descriptors();
  for (let round = 0; round < 4; round++) {
    const clients = await Promise.all(Array.from({ length: 50 }, () => connectRaw(t, sidecar.port)));
    for (const [index, client] of clients.entries()) {
      client.request(requestText("POST", "/gone", ["Content-Length: 100"]));
      client.send("begin");
      if (index % 2 === 0) client.reset();
      else client.destroy();
    }
  }
  await until(() => descriptors() <= before + 2, "the sockets to be closed", {
    detail: () => `${before} descriptors before, ${descriptors()} now`,
  });
});
