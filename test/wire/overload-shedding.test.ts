import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { view } from "../support/admin-calls.ts";
import { assertLocalReply } from "../support/local-reply.ts";
import { header } from "../support/message-reader.ts";
import { connectRaw, requestText, type RawClient } from "../support/raw-client.ts";
import { startRawUpstream } from "../support/raw-upstream.ts";
import { ask, counting, untilAllOver, useEngines } from "../support/recovery-bench.ts";
import { fresh, ok, silent } from "../support/scripts.ts";
import { fileScope, type Scope } from "../support/scope.ts";
import { scrapeUntil } from "../support/scrape.ts";
import type { Sidecar } from "../support/sidecar.ts";
import { until } from "../support/until.ts";
import { upgradeText } from "../support/ws-peer.ts";

const upstream = await startRawUpstream(fileScope);
const routes = {
  low: { split: "v1", priority: "low", fallback: [{ static: { status: 299, body: "static" } }] },
  normal: { split: "v1" },
  high: { split: "v1", priority: "high" },
};
const sidecars = await useEngines(fileScope, { v1: { endpoints: [upstream.url] } }, routes, {
  overload: { maxInFlight: 10, eventLoopLag: "0s", heap: "0%" },
});

async function untilStage(sidecar: Sidecar, stage: number): Promise<void> {
  await scrapeUntil(sidecar, `stage ${stage}`, (seen) => seen.sum("crossfade_overload_stage") === stage);
}

for (const [engine, sidecar] of sidecars) {
  /** So many requests of a route that is never shed; `/hold` in their query keeps them under way. */
  async function hold(t: Scope, count: number): Promise<RawClient[]> {
    await fresh(upstream);
    upstream.onRequest = (request) => (request.target.endsWith("?hold") ? silent() : ok(request.target)(request));
    const clients = await Promise.all(Array.from({ length: count }, () => connectRaw(t, sidecar.port)));
    for (const client of clients) client.request(requestText("GET", "/high?hold"));
    await until(() => upstream.requests.length === count, `${count} requests under way`);
    return clients;
  }

  describe(`overload with the ${engine} engine`, () => {
    test("sheds nothing while there is room", async (t) => {
      await hold(t, 7);
      await untilStage(sidecar, 1);
      for (const route of ["low", "normal", "high"]) assert.equal((await ask(t, sidecar, `/${route}`)).status, 200);
    });

    test("sheds low priority first, and says so to everybody in their own words", async (t) => {
      await hold(t, 10);
      await untilStage(sidecar, 2);
      const since = await counting(sidecar);
      const client = await connectRaw(t, sidecar.port);
      const answer = await client.exchange(requestText("GET", "/low"));
      assertLocalReply(answer, 503, "overloaded");
      assert.match(header(answer, "retry-after") ?? "", /^\d+$/);
      assert.equal((await client.exchange(requestText("GET", "/normal"))).status, 200, "the connection goes on");
      const call = await ask(t, sidecar, "/low", "POST", ["Content-Type: application/grpc"], "x");
      assert.deepEqual([call.status, header(call, "grpc-status")], [200, "14"]);
      const socket = await connectRaw(t, sidecar.port);
      assertLocalReply(await socket.exchange(upgradeText("/low")), 503, "overloaded");
      assert.equal((await ask(t, sidecar, "/high")).status, 200);
      assert.equal(await since("crossfade_shed_total", { route: "low" }), 3);
      assert.equal(await since("crossfade_shed_total", { route: "normal" }), 0);
    });

    test("then sheds normal priority too, and never high; admin and metrics answer", async (t) => {
      await hold(t, 15);
      await untilStage(sidecar, 3);
      for (const route of ["low", "normal"]) {
        assertLocalReply(await ask(t, sidecar, `/${route}`), 503, "overloaded");
      }
      for (let i = 0; i < 5; i++) assert.equal((await ask(t, sidecar, "/high")).status, 200);
      assert.ok(await view(sidecar, "status"));
      assert.equal((await fetch(`${sidecar.metricsUrl}/readyz`)).status, 200);
    });

    test("serves everybody again when it is over", async (t) => {
      const clients = await hold(t, 15);
      await untilStage(sidecar, 3);
      for (const client of clients) client.reset();
      await untilAllOver(sidecar);
      await untilStage(sidecar, 0);
      for (const route of ["low", "normal", "high"]) assert.equal((await ask(t, sidecar, `/${route}`)).status, 200);
    });
  });
}
