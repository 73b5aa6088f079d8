import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { UpstreamView } from "../../src/admin/views.ts";
import { view } from "../support/admin-calls.ts";
import { assertLocalReply } from "../support/local-reply.ts";
import { connectRaw, requestText, type RawClient } from "../support/raw-client.ts";
import { okText, startRawUpstream, type Handler, type RawUpstream, type SeenRequest } from "../support/raw-upstream.ts";
import { ask, counting, untilAllOver, useEngines, useRoutes } from "../support/recovery-bench.ts";
import { fresh, ok, silent, status } from "../support/scripts.ts";
import { fileScope, type Scope } from "../support/scope.ts";
import { scrapeUntil } from "../support/scrape.ts";
import type { Sidecar } from "../support/sidecar.ts";
import { until, untilQuiet } from "../support/until.ts";

const all = [await startRawUpstream(fileScope), await startRawUpstream(fileScope), await startRawUpstream(fileScope)];
const [a, b] = all as [RawUpstream, RawUpstream, RawUpstream];
/** Those that tell health checks that they are well. */
const well = new Set<RawUpstream>(all);
const endpoints = all.map(({ url }) => url);
const pool = { minConnections: 0 };
const circuitBreaker = { consecutiveFailures: 2, minRequests: 1_000_000, openFor: "1h", jitter: "0%", slowStart: "0s" };
const health = {
  http: { path: "/health" },
  interval: "30ms",
  unhealthyInterval: "30ms",
  timeout: "30ms",
  unhealthyThreshold: 1,
  healthyThreshold: 1,
};
const upstreams = {
  plain: { endpoints, pool },
  checked: { endpoints, pool, health },
  panicking: { endpoints, pool, health: { ...health, panic: "send" } },
  circuits: { endpoints, pool, circuitBreaker },
  outliers: {
    endpoints,
    pool,
    outlierDetection: { interval: "100ms", minRequests: 5, deviations: 0.5, ejectionTime: "1h", maxEjectionTime: "1h" },
  },
  limited: { endpoints, pool: { ...pool, maxInFlight: 3 } },
};
const routes = Object.fromEntries(Object.keys(upstreams).map((name) => [name, { split: name }]));

/** Without health checks. */
function asked({ requests }: RawUpstream): readonly SeenRequest[] {
  return requests.filter(({ target }) => target !== "/health");
}

function requestsOf(upstream: RawUpstream): number {
  return asked(upstream).length;
}

function counts(): number[] {
  return all.map(requestsOf);
}

/** What all endpoints do with requests; checks are answered by whether they are well. */
async function serve(...handlers: readonly [Handler, Handler, Handler]): Promise<void> {
  well.clear();
  for (const [i, upstream] of all.entries()) {
    well.add(upstream);
    await fresh(upstream);
    upstream.onRequest = (request) => {
      if (request.target !== "/health") (handlers[i] as Handler)(request);
      else status(well.has(upstream) ? 200 : 503)(request);
    };
  }
}

async function stateOf(sidecar: Sidecar, name: string): Promise<UpstreamView> {
  const { upstreams: seen } = (await view(sidecar, "status")) as unknown as { readonly upstreams: UpstreamView[] };
  return seen.find((one) => one.name === name) ?? assert.fail(name);
}

const sidecars = await useEngines(fileScope, upstreams, routes);
const native = await useRoutes(
  fileScope,
  "native",
  {
    shared: {
      endpoints: [a.url, b.url],
      pool: { ...pool, pipelining: 4, maxConnections: 2 },
      circuitBreaker: { ...circuitBreaker, consecutiveFailures: 1 },
    },
  },
  { shared: { split: "shared" } },
);

for (const [engine, sidecar] of sidecars) {
  async function held(t: Scope, name: string, count: number): Promise<RawClient[]> {
    const before = counts().reduce((sum, each) => sum + each, 0);
    const clients: RawClient[] = [];
    for (let i = 1; i <= count; i++) {
      const client = await connectRaw(t, sidecar.port);
      client.request(requestText("GET", `/${name}`));
      clients.push(client);
      await until(() => counts().reduce((sum, each) => sum + each, 0) === before + i, "one more request");
    }
    return clients;
  }

  async function untilHealthy(count: number): Promise<void> {
    await scrapeUntil(
      sidecar,
      `${count} healthy endpoints`,
      (seen) => seen.sum("crossfade_health_up", { upstream: "checked" }) === count,
    );
  }

  describe(`the choice among endpoints with the ${engine} engine`, () => {
    test("goes to those with the fewest requests in flight", async (t) => {
      await serve(silent, silent, silent);
      await held(t, "plain", 6);
      assert.deepEqual(counts(), [2, 2, 2]);
      for (const { connection } of asked(b)) connection.send(okText("done"));
      await untilQuiet(() => b.connections.length, 30);
      await held(t, "plain", 2);
      assert.deepEqual(counts(), [2, 4, 2]);
    });

    test("goes round when all are equal", async (t) => {
      await serve(ok("a"), ok("b"), ok("c"));
      for (let i = 0; i < 9; i++) await ask(t, sidecar, "/plain");
      assert.deepEqual(counts(), [3, 3, 3]);
    });

    test("leaves out the one that is unhealthy, and takes it again when it is well", async (t) => {
      await serve(ok("a"), ok("b"), ok("c"));
      await untilHealthy(3);
      well.delete(b);
      await untilHealthy(2);
      for (const upstream of all) upstream.forget();
      for (let i = 0; i < 20; i++) assert.notEqual((await ask(t, sidecar, "/checked")).text, "b");
      well.add(b);
      await untilHealthy(3);
      const texts = new Set<string>();
      for (let i = 0; i < 60; i++) texts.add((await ask(t, sidecar, "/checked")).text);
      assert.ok(texts.has("b"), "it comes back slowly, but it comes");
    });

    test("is none when all are unhealthy: 503, or whoever there is where that is configured", async (t) => {
      await serve(ok("a"), ok("b"), ok("c"));
      await untilHealthy(3);
      well.clear();
      await untilHealthy(0);
      await scrapeUntil(
        sidecar,
        "no healthy endpoint",
        (seen) => seen.sum("crossfade_health_up", { upstream: "panicking" }) === 0,
      );
      assertLocalReply(await ask(t, sidecar, "/checked"), 503, "no_healthy_upstream");
      assert.match((await ask(t, sidecar, "/panicking")).text, /^[abc]$/);
    });

    test("leaves out the one that is ejected because it does worse than the others", async (t) => {
      await serve(status(500), ok("b"), ok("c"));
      const isOut = async (): Promise<boolean> =>
        (await stateOf(sidecar, "outliers")).endpointStates[0]?.ejected === true;
      for (let i = 0; i < 2_000 && !(await isOut()); i++) await ask(t, sidecar, "/outliers");
      assert.equal(await isOut(), true);
      for (const upstream of all) upstream.forget();
      for (let i = 0; i < 10; i++) assert.equal((await ask(t, sidecar, "/outliers")).status, 200);
      assert.equal(requestsOf(a), 0);
    });

    test("leaves out the one whose circuit is open; the others and the upstream go on", async (t) => {
      await serve(status(500), ok("b"), ok("c"));
      for (let i = 0; i < 6; i++) await ask(t, sidecar, "/circuits");
      const { circuit, endpointStates } = await stateOf(sidecar, "circuits");
      assert.equal(circuit?.state, "closed");
      assert.deepEqual(
        endpointStates.map((endpoint) => endpoint.circuit?.state),
        ["open", "closed", "closed"],
      );
      for (const upstream of all) upstream.forget();
      for (let i = 0; i < 8; i++) assert.equal((await ask(t, sidecar, "/circuits")).status, 200);
      assert.deepEqual(counts(), [0, 4, 4]);
    });

    test("is none when the circuits of all are open: 503 circuit_open", async (t) => {
      await serve(status(500), status(500), status(500));
      for (let i = 0; i < 6; i++) await ask(t, sidecar, "/circuits");
      for (const upstream of all) upstream.forget();
      assertLocalReply(await ask(t, sidecar, "/circuits"), 503, "circuit_open");
      assert.deepEqual(counts(), [0, 0, 0]);
    });

    test("has an end at maxInFlight: 503 overflow, which is counted, and room again afterwards", async (t) => {
      await serve(silent, silent, silent);
      const since = await counting(sidecar);
      const clients = await held(t, "limited", 3);
      for (let i = 0; i < 4; i++) assertLocalReply(await ask(t, sidecar, "/limited"), 503, "overflow");
      assert.equal(
        await since("crossfade_pool_overflow_total", { upstream: "limited", reason: "too-many-in-flight" }),
        4,
      );
      for (const client of clients) client.reset();
      await untilAllOver(sidecar);
      await serve(ok("a"), ok("b"), ok("c"));
      for (let i = 0; i < 6; i++) assert.equal((await ask(t, sidecar, "/limited")).status, 200);
    });
  });
}

test("who waits for a connection that may be shared is not lost when the circuit of its endpoint opens", async (t) => {
  // Both connections serve first, so that they may be shared.
  await serve(silent, silent, silent);
  const warm = await clientsAsk(t, 2);
  await until(() => requestsOf(a) === 1 && requestsOf(b) === 1, "both to be asked");
  for (const { connection } of [...asked(a), ...asked(b)]) connection.send(okText("warm"));
  await Promise.all(warm.map((client) => client.answer()));
  a.forget();
  b.forget();
  const clients = await clientsAsk(t, 12);
  await until(() => requestsOf(a) === 4 && requestsOf(b) === 4, "two full lines");
  await scrapeUntil(native, "the others to wait", (seen) => seen.sum("crossfade_pool_pending") === 4);
  const [lineOfA, lineOfB] = [a, b].map((upstream) => asked(upstream)[0]?.connection ?? assert.fail());
  lineOfA?.send("HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n");
  await until(() => clients.filter((client) => client.finalCount() > 0).length === 1, "a failure");
  assert.deepEqual([requestsOf(a), requestsOf(b)], [4, 4], "nobody joins a line whose circuit is open");
  b.onRequest = ok("well");
  lineOfA?.send(okText("late").repeat(3));
  lineOfB?.send(okText("late").repeat(4));
  const answers = await Promise.all(clients.map((client) => client.answer(2_000)));
  assert.deepEqual(answers.map(({ text }) => text).toSorted(), [
    "",
    ...Array.from({ length: 7 }, () => "late"),
    ...Array.from({ length: 4 }, () => "well"),
  ]);
  assert.equal(requestsOf(a), 4);
  await untilAllOver(native);
});

async function clientsAsk(t: Scope, count: number): Promise<RawClient[]> {
  const clients = await Promise.all(Array.from({ length: count }, () => connectRaw(t, native.port)));
  for (const client of clients) client.request(requestText("GET", "/shared"));
  return clients;
}
