import assert from "node:assert/strict";
import { test } from "node:test";
import { blockView, FALLBACK_KINDS, ROUTE_WORDS, THREAD_BLOCK, THREAD_WORDS } from "../../src/base/cells.ts";
import type { StatusView, UpstreamView } from "../../src/admin/views.ts";
import { openAdminBench } from "../support/admin-bench.ts";
import type { AdminBench, Answer } from "../support/admin-bench.ts";
import { configText } from "../support/control-plane.ts";
import { callTimes, circuitOf } from "../support/planned-upstreams.ts";

const circuitBreaker = { consecutiveFailures: 3, openFor: "30s" };
const TEXT = configText([{ name: "api" }], {
  upstreams: {
    v1: { endpoints: ["http://127.0.0.1:9001"] },
    v2: { endpoints: ["http://127.0.0.1:9002"], circuitBreaker },
    v3: { endpoints: ["http://127.0.0.1:9003", "http://127.0.0.1:9004"], circuitBreaker },
  },
});

async function statusOf(bench: AdminBench): Promise<StatusView> {
  return (await bench.ask("GET", "/api/v1/status")).json as unknown as StatusView;
}

async function upstreamOf(bench: AdminBench, name: string): Promise<UpstreamView> {
  return (await statusOf(bench)).upstreams.find((upstream) => upstream.name === name) ?? assert.fail(name);
}

function specOf({ store }: AdminBench, name: string) {
  return store.current.upstreams.find((upstream) => upstream.name === name) ?? assert.fail(name);
}

function errorOf(answer: Answer): { readonly code: string; readonly message: string } {
  return (
    (answer.json as { readonly error?: { readonly code: string; readonly message: string } }).error ?? assert.fail()
  );
}

test("an upstream without checks and circuit says so", async (t) => {
  const bench = await openAdminBench(t, { text: TEXT });
  const v1 = await upstreamOf(bench, "v1");
  assert.equal(v1.circuit, null);
  const endpoint = "http://127.0.0.1:9001";
  const nothing = { healthSince: null, healthReason: null, ejected: false, backInMs: 0, circuit: null };
  assert.deepEqual(v1.endpointStates, [{ endpoint, health: "unchecked", ...nothing }]);
});

test("the status shows an open circuit, since when, and when it tries again", async (t) => {
  const bench = await openAdminBench(t, { text: TEXT });
  const closed = {
    state: "closed",
    since: null,
    retryInMs: null,
    opened: 0,
    window: { requests: 0, failures: 0, slow: 0 },
  };
  assert.deepEqual((await upstreamOf(bench, "v2")).circuit, closed);
  callTimes(circuitOf(bench.cells, specOf(bench, "v2"), null), 3, "failure", bench.clock.nowMs());
  bench.clock.advance(10_000);
  bench.watch.look();
  const { circuit } = await upstreamOf(bench, "v2");
  assert.deepEqual([circuit?.state, circuit?.since, circuit?.opened], ["open", "2026-01-01T00:00:00.000Z", 1]);
  // The open time is lengthened by chance, by up to a tenth.
  assert.ok((circuit?.retryInMs ?? 0) >= 20_000 && (circuit?.retryInMs ?? 0) <= 23_000);
});

test("circuits of single endpoints are shown with their endpoints", async (t) => {
  const bench = await openAdminBench(t, { text: TEXT });
  callTimes(circuitOf(bench.cells, specOf(bench, "v3"), 1), 3, "failure", bench.clock.nowMs());
  bench.watch.look();
  const { circuit, endpointStates } = await upstreamOf(bench, "v3");
  assert.equal(circuit?.state, "closed");
  assert.deepEqual(
    endpointStates.map((endpoint) => [endpoint.endpoint, endpoint.circuit?.state]),
    [
      ["http://127.0.0.1:9003", "closed"],
      ["http://127.0.0.1:9004", "open"],
    ],
  );
});

test("the status shows what checks found and who is ejected", async (t) => {
  const bench = await openAdminBench(t, { text: TEXT });
  const place = { upstream: "v2", endpoint: "http://127.0.0.1:9002" };
  const now = { health: "unhealthy" as const, sinceWallMs: bench.clock.wallMs() - 5_000, reason: "refused" };
  bench.reported.health = [{ ...place, now, checks: 3, failures: { refused: 3 }, durations: new Float64Array(256) }];
  bench.reported.outliers = [{ ...place, now: { ejected: true, backInMs: 1_234.5 }, ejections: 1 }];
  const [endpoint] = (await upstreamOf(bench, "v2")).endpointStates;
  assert.deepEqual(endpoint, {
    endpoint: "http://127.0.0.1:9002",
    health: "unhealthy",
    healthSince: "2025-12-31T23:59:55.000Z",
    healthReason: "refused",
    ejected: true,
    backInMs: 1_235,
    circuit: null,
  });
});

test("a circuit is tripped and reset by hand, which is told and recorded like any other change", async (t) => {
  const bench = await openAdminBench(t, { text: TEXT });
  const headers = { "x-crossfade-actor": "ann@example.org" };
  const tripped = await bench.ask("POST", "/api/v1/upstreams/v2/circuit/trip", { body: { reason: "5xx" }, headers });
  assert.equal(tripped.status, 200, tripped.text);
  const change = tripped.json as unknown as { outcome: string; generation: number; upstream: UpstreamView };
  assert.deepEqual([change.outcome, change.generation, change.upstream.circuit?.state], ["applied", 1, "open"]);
  assert.equal(circuitOf(bench.cells, specOf(bench, "v2"), null).mayAdmit(bench.clock.nowMs()), false);
  const [record] = bench.auditLog.read(1);
  assert.deepEqual(
    [record?.actor, record?.action, record?.reason, record?.cause, record?.generation],
    ["ann@example.org", "circuit v2 trip", "5xx", "admin", 1],
  );
  assert.deepEqual(record?.before, { circuits: { v2: { "http://127.0.0.1:9002": "closed" } } });
  assert.deepEqual(record?.after, { circuits: { v2: { "http://127.0.0.1:9002": "open" } } });
  const reset = await bench.ask("POST", "/api/v1/upstreams/v2/circuit/reset");
  assert.deepEqual([reset.status, (await upstreamOf(bench, "v2")).circuit?.state], [200, "closed"]);
  assert.equal(circuitOf(bench.cells, specOf(bench, "v2"), null).mayAdmit(bench.clock.nowMs()), true);
  assert.deepEqual(
    bench.events.map(({ name, fields }) => [name, fields["upstream"], fields["actor"]]),
    [
      ["circuit-opened", "v2", undefined],
      ["circuit-tripped-by-hand", "v2", "ann@example.org"],
      ["circuit-closed", "v2", undefined],
      ["circuit-reset-by-hand", "v2", "token"],
    ],
  );
});

test("a reset closes the circuits of all endpoints too", async (t) => {
  const bench = await openAdminBench(t, { text: TEXT });
  for (const endpoint of [0, 1]) {
    callTimes(circuitOf(bench.cells, specOf(bench, "v3"), endpoint), 3, "failure", bench.clock.nowMs());
  }
  await bench.ask("POST", "/api/v1/upstreams/v3/circuit/reset", { body: {} });
  const { endpointStates } = await upstreamOf(bench, "v3");
  assert.deepEqual(
    endpointStates.map(({ circuit }) => circuit?.state),
    ["closed", "closed"],
  );
});

for (const [what, target, body, status, code, message] of [
  ["an unknown upstream", "nope/circuit/trip", {}, 404, "unknown_upstream", /"nope" is not an upstream; .*v1, v2, v3/],
  ["an upstream without a circuit", "v1/circuit/reset", {}, 409, "no_circuit", /"v1" has no circuitBreaker section/],
  ["a field nobody reads", "v2/circuit/trip", { forMs: 5 }, 400, "bad_request", /"forMs" is not understood/],
  ["another deed", "v2/circuit/melt", {}, 404, "not_found", /nothing at/],
] as const) {
  test(`${what} is refused with ${status} ${code}, and no circuit moves`, async (t) => {
    const bench = await openAdminBench(t, { text: TEXT });
    const answer = await bench.ask("POST", `/api/v1/upstreams/${target}`, { body });
    assert.deepEqual([answer.status, errorOf(answer).code], [status, code]);
    assert.match(errorOf(answer).message, message);
    assert.deepEqual(bench.events, []);
    assert.equal(bench.auditLog.read(5).length, 1);
  });
}

test("circuits by hand need the token", async (t) => {
  const bench = await openAdminBench(t, { text: TEXT });
  const answer = await bench.ask("POST", "/api/v1/upstreams/v2/circuit/trip", { token: null });
  assert.equal(answer.status, 401);
});

test("an audit log that cannot be written does not hold a circuit up", async (t) => {
  const bench = await openAdminBench(t, { text: TEXT });
  t.mock.method(bench.auditLog, "append", () => Promise.reject(new Error("ENOSPC")));
  const answer = await bench.ask("POST", "/api/v1/upstreams/v2/circuit/trip");
  assert.equal(answer.status, 200);
  assert.equal(bench.events.at(-1)?.name, "audit-write-failed");
});

test("routes show what was retried, answered by a fallback and shed, and the process its overload", async (t) => {
  const bench = await openAdminBench(t, { text: TEXT });
  const block = bench.store.current.routes[0]?.cells.routeBlock ?? assert.fail();
  for (const thread of [0, 1]) {
    const pages = bench.cells.pagesOf(thread);
    const words = blockView(pages, block);
    words[ROUTE_WORDS.retries] = 1;
    words[ROUTE_WORDS.retries + 3] = 2;
    words[ROUTE_WORDS.fallbacks + FALLBACK_KINDS.indexOf("stale")] = 4;
    words[ROUTE_WORDS.shed] = 5;
    blockView(pages, THREAD_BLOCK)[THREAD_WORDS.overloadStage] = thread + 1;
  }
  const { routes, overloadStage } = await statusOf(bench);
  const [api] = routes;
  assert.deepEqual([api?.retries, api?.shed, overloadStage], [6, 10, 2]);
  assert.deepEqual(api?.fallbacks, { arm: 0, stale: 8, static: 0, upstream: 0, none: 0 });
});
