import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { servedBy } from "../support/arms.ts";
import { circuitOf } from "../support/circuit-states.ts";
import { assertLocalReply } from "../support/local-reply.ts";
import { header } from "../support/message-reader.ts";
import { connectRaw, requestText, type Answer, type RawClient } from "../support/raw-client.ts";
import { answering, startRawUpstream, type Handler } from "../support/raw-upstream.ts";
import { ask, assertAnswer, refusingPort, untilAllOver, useEngines } from "../support/recovery-bench.ts";
import { ok, plan, resets, silent, status } from "../support/scripts.ts";
import { fileScope, type Scope } from "../support/scope.ts";
import { scrape } from "../support/scrape.ts";
import { until, untilQuiet } from "../support/until.ts";

const upstream = await startRawUpstream(fileScope);
const dead = `http://127.0.0.1:${await refusingPort()}`;

const pool = { minConnections: 0 };
const inARow = { consecutiveFailures: 3, minRequests: 1_000_000, openFor: "1h", jitter: "0%", slowStart: "0s" };
const to = (circuitBreaker: object, more: object = {}): object => ({
  endpoints: [upstream.url],
  pool,
  circuitBreaker,
  ...more,
});
const upstreams = {
  row: to(inARow),
  ratio: to({ ...inARow, consecutiveFailures: 0, errorRatio: "50%", minRequests: 10, window: "600s" }),
  slow: to({
    ...inARow,
    consecutiveFailures: 0,
    errorRatio: "0%",
    slowCallRatio: "50%",
    slowCallDuration: "40ms",
    minRequests: 4,
    window: "600s",
  }),
  leavers: to({ ...inARow, consecutiveFailures: 1 }),
  stale: to({ ...inARow, consecutiveFailures: 1 }),
  late: to({ ...inARow, consecutiveFailures: 2 }, { timeouts: { responseHead: "30ms" } }),
  whole: to({ ...inARow, consecutiveFailures: 2 }, { timeouts: { request: "30ms" } }),
  cut: to({ ...inARow, consecutiveFailures: 2 }),
  dead: { endpoints: [dead], pool, circuitBreaker: { ...inARow, consecutiveFailures: 2 } },
  queue: to({ ...inARow, consecutiveFailures: 1 }, { pool: { ...pool, maxConnections: 1, maxPending: 1 } }),
  uploads: to({ ...inARow, consecutiveFailures: 1 }),
};
const retry = { on: ["timeout"], perTryTimeout: "20ms", attempts: 1 };
const routes = {
  ...Object.fromEntries(Object.keys(upstreams).map((name) => [name, { split: name }])),
  uploads: { split: "uploads", retry },
};

for (const [engine, sidecar] of await useEngines(fileScope, upstreams, routes)) {
  const get = (t: Scope, name: string): Promise<Answer> => ask(t, sidecar, `/${name}`);

  async function asks(t: Scope, name: string, ...handlers: readonly Handler[]): Promise<void> {
    for (const handler of handlers) {
      upstream.onRequest = handler;
      await get(t, name);
    }
  }

  /** Asks the upstream now; tells whether it was let through, not what came of it. */
  async function isAsked(t: Scope, name: string): Promise<boolean> {
    upstream.onRequest = ok("asked");
    return (await get(t, name)).text === "asked";
  }

  async function clientsAsk(t: Scope, count: number, text: string): Promise<RawClient[]> {
    const clients = await Promise.all(Array.from({ length: count }, () => connectRaw(t, sidecar.port)));
    for (const client of clients) client.request(text);
    return clients;
  }

  describe(`a circuit with the ${engine} engine`, () => {
    test("opens with the third failure in a row, not before, and then nobody is asked", async (t) => {
      await plan(upstream, silent);
      const bad = status(500);
      await asks(t, "row", bad, bad, ok("good"), bad, bad);
      assert.equal((await circuitOf(sidecar, "row")).state, "closed");
      await asks(t, "row", bad);
      upstream.forget();
      for (const method of ["GET", "POST", "HEAD"]) {
        const answer = await ask(t, sidecar, "/row", method, [], method === "POST" ? "hello" : "");
        if (method !== "HEAD") assertLocalReply(answer, 503, "circuit_open");
        assert.match(header(answer, "retry-after") ?? "", /^\d+$/);
        assert.equal(servedBy(answer), "row");
      }
      assert.equal(upstream.requests.length, 0);
      assert.equal((await circuitOf(sidecar, "row")).state, "open");
      const seen = await scrape(sidecar);
      assert.equal(seen.sum("crossfade_circuit_transitions_total", { upstream: "row", to: "open" }), 1);
    });

    test("opens when half of ten requests failed, and not when four of nine did", async (t) => {
      await plan(upstream, silent);
      const bad = status(502);
      await asks(t, "ratio", ...Array.from({ length: 5 }, () => ok("good")), bad, bad, bad, bad);
      assert.equal((await circuitOf(sidecar, "ratio")).state, "closed");
      await asks(t, "ratio", bad);
      assert.equal((await circuitOf(sidecar, "ratio")).state, "open");
    });

    test("opens when half of the calls were slow", async (t) => {
      await plan(upstream, silent);
      const late: Handler = (request) => setTimeout(ok("late"), 120, request);
      await asks(t, "slow", ok("soon"), ok("soon"), late);
      assert.equal((await circuitOf(sidecar, "slow")).state, "closed");
      await asks(t, "slow", late);
      assert.equal((await circuitOf(sidecar, "slow")).state, "open");
    });

    test("does not mind a hundred clients that leave, before or inside the answer", async (t) => {
      await plan(upstream, silent);
      const clients = await clientsAsk(t, 50, requestText("GET", "/leavers"));
      await until(() => upstream.requests.length === 50, "50 requests");
      for (const client of clients) client.reset();
      await untilAllOver(sidecar);
      upstream.forget();
      upstream.onRequest = answering("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npart");
      const readers = await clientsAsk(t, 50, requestText("GET", "/leavers"));
      await Promise.all(readers.map((client) => client.bodyBytes(4)));
      for (const client of readers) client.reset();
      await untilAllOver(sidecar);
      assert.equal((await circuitOf(sidecar, "leavers")).state, "closed");
      assert.equal(await isAsked(t, "leavers"), true);
    });

    for (const [name, what, fail] of [
      ["late", "heads that do not come in time", silent],
      ["whole", "exchanges that take too long", silent],
      ["dead", "refused connections", silent],
      [
        "cut",
        "answers that break off in their body",
        answering("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npart", "reset"),
      ],
    ] as const) {
      test(`counts ${what}`, async (t) => {
        await plan(upstream, fail);
        await asks(t, name, fail);
        assert.equal((await circuitOf(sidecar, name)).state, "closed");
        await asks(t, name, fail);
        assert.equal((await circuitOf(sidecar, name)).state, "open");
      });
    }

    test("does not count an idle connection that the upstream closes as it is used", async (t) => {
      await plan(upstream, ok("warm"), resets, ok("again"), resets);
      const client = await connectRaw(t, sidecar.port);
      assert.equal((await client.exchange(requestText("GET", "/stale"))).text, "warm");
      assert.equal((await client.exchange(requestText("GET", "/stale"))).text, "again");
      assert.equal((await client.exchange(requestText("POST", "/stale", [], "x"))).status, 502);
      assert.equal((await circuitOf(sidecar, "stale")).state, "closed");
    });

    test("does not count what we refuse ourselves because the line is full", async (t) => {
      await plan(upstream, silent);
      const clients = await clientsAsk(t, 2, requestText("GET", "/queue"));
      await upstream.request(0);
      for (let i = 0; i < 5; i++) assertLocalReply(await get(t, "queue"), 503, "overflow");
      assert.equal((await circuitOf(sidecar, "queue")).state, "closed");
      for (const client of clients) client.reset();
      await untilAllOver(sidecar);
    });

    test("does not count a client that is slow to send its body, whatever a try may take", async (t) => {
      await plan(upstream, ok("done"));
      const client = await connectRaw(t, sidecar.port);
      client.request("PUT /uploads HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nhe");
      await upstream.request(0);
      await untilQuiet(() => upstream.requests.length, 400);
      client.send("llo");
      assertAnswer(await client.answer(), 200, "done");
      assert.equal((await circuitOf(sidecar, "uploads")).state, "closed");
    });
  });
}
