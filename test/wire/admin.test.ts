import assert from "node:assert/strict";
import { once } from "node:events";
import http from "node:http";
import net from "node:net";
import { test } from "node:test";
import { Ajv2020 } from "ajv/dist/2020.js";
import { blockView, EXCHANGE_STATUS, ROUTE_WORDS, statusSlot, UPSTREAM_WORDS } from "../../src/base/cells.ts";
import { openAdminServer } from "../../src/admin/server.ts";
import { OPENAPI } from "../../src/admin/openapi.ts";
import type { RouteView, StatusView } from "../../src/admin/views.ts";
import type { AuditRecord } from "../../src/journal/audit-record.ts";
import { openAdminBench } from "../support/admin-bench.ts";
import type { AdminBench, Answer } from "../support/admin-bench.ts";
import { configText } from "../support/control-plane.ts";
import { until } from "../support/until.ts";

function status(answer: Answer): StatusView {
  assert.equal(answer.status, 200);
  return answer.json as unknown as StatusView;
}

function errorOf(answer: Answer): { readonly code: string; readonly message: string; readonly problems?: string[] } {
  return (answer.json as unknown as { readonly error: { readonly code: string; readonly message: string } }).error;
}

async function routeOf(bench: AdminBench, name: string): Promise<RouteView> {
  return (await bench.ask("GET", `/api/v1/routes/${name}`)).json as unknown as RouteView;
}

async function lastRecord(bench: AdminBench): Promise<AuditRecord | undefined> {
  const { records } = (await bench.ask("GET", "/api/v1/audit?limit=1")).json as unknown as { records: AuditRecord[] };
  return records[0];
}

test("the status says what runs and what is in force", async (t) => {
  const bench = await openAdminBench(t);
  bench.clock.advance(1500);
  const view = status(await bench.ask("GET", "/api/v1/status"));
  assert.equal(view.version, "1.2.3");
  assert.equal(view.pid, process.pid);
  assert.equal(view.startedAt, "2026-01-01T00:00:00.000Z");
  assert.equal(view.uptimeMs, 1500);
  assert.equal(view.generation, 1);
  assert.deepEqual([view.ready, view.draining, view.killed], [true, false, false]);
  assert.equal(view.cause.action, "start");
  assert.deepEqual(view.lastReload, { ok: true, at: "2026-01-01T00:00:00.000Z", problems: [] });
  assert.deepEqual(view.threads, [{ kind: "control", state: "running", count: 1 }]);
  assert.deepEqual(view.upstreams[0]?.endpoints, ["http://127.0.0.1:9001"]);
  bench.state.ready = false;
  bench.state.draining = true;
  const draining = status(await bench.ask("GET", "/api/v1/status"));
  assert.deepEqual([draining.ready, draining.draining], [false, true]);
});

test("the status counts decisions, answers and connections over all data threads", async (t) => {
  const bench = await openAdminBench(t);
  const cells = bench.store.current.routes[0]?.cells ?? assert.fail();
  const v2Cells = bench.store.current.upstreams.find(({ name }) => name === "v2")?.cells ?? assert.fail();
  for (const thread of [0, 1]) {
    const pages = bench.cells.pagesOf(thread);
    const add = (block: number, word: number, count: number): void => {
      const view = blockView(pages, block);
      view[word] = (view[word] ?? 0) + count;
    };
    add(cells.routeBlock, ROUTE_WORDS.started, 10);
    add(cells.routeBlock, ROUTE_WORDS.finished, 8);
    add(cells.routeBlock, ROUTE_WORDS.decisions, 6);
    add(cells.routeBlock, ROUTE_WORDS.decisions + 1, 1);
    add(cells.routeBlock, ROUTE_WORDS.decisions + 16, 3);
    add(cells.baselineBlock, EXCHANGE_STATUS + statusSlot(200), 5);
    add(cells.baselineBlock, EXCHANGE_STATUS + statusSlot(204), 1);
    add(cells.candidateBlock, EXCHANGE_STATUS + statusSlot(503), 3);
    add(cells.baselineBlock, EXCHANGE_STATUS + statusSlot(799), 1);
    add(v2Cells.block, UPSTREAM_WORDS.active, 2);
    add(v2Cells.block, UPSTREAM_WORDS.pending, 1);
  }
  const view = status(await bench.ask("GET", "/api/v1/status"));
  const api = view.routes[0] ?? assert.fail();
  assert.equal(api.inFlight, 4);
  assert.deepEqual(api.decided, { baseline: 14, candidate: 6 });
  assert.equal(api.answers.baseline["2xx"], 12);
  assert.equal(api.answers.candidate["5xx"], 6);
  assert.equal(api.answers.baseline.other, 2);
  assert.equal(api.answers.none.other, 0);
  const v2 = view.upstreams.find(({ name }) => name === "v2");
  assert.deepEqual(v2?.connections, { active: 4, idle: 0, pending: 2 });
});

test("a split by hand moves the share, says so, and is recorded", async (t) => {
  const bench = await openAdminBench(t);
  const answer = await bench.ask("PUT", "/api/v1/routes/api/split", {
    body: { share: "25%", reason: "week two" },
    headers: { "x-crossfade-actor": "ann@example.org" },
  });
  assert.equal(answer.status, 200);
  const change = answer.json as unknown as { outcome: string; generation: number; durable: string; route: RouteView };
  assert.deepEqual([change.outcome, change.generation, change.durable], ["applied", 2, "now"]);
  assert.deepEqual([change.route.share, change.route.candidatePpm, change.route.source], ["25%", 250_000, "split"]);
  assert.equal(bench.store.current.routes[0]?.split.candidatePpm, 250_000);
  const record = await lastRecord(bench);
  assert.deepEqual(
    [record?.actor, record?.reason, record?.action, record?.cause],
    ["ann@example.org", "week two", "split api 25%", "admin"],
  );
  assert.deepEqual(record?.before, {
    routes: { api: { baseline: "v1", candidate: "v2", share: "10%", killed: false } },
  });
  assert.deepEqual(record?.after, {
    routes: { api: { baseline: "v1", candidate: "v2", share: "25%", killed: false } },
  });
});

test("a rollback takes all callers back", async (t) => {
  const bench = await openAdminBench(t);
  const answer = await bench.ask("POST", "/api/v1/routes/api/rollback", { body: { reason: "errors" } });
  assert.equal(answer.status, 200);
  const route = await routeOf(bench, "api");
  assert.deepEqual([route.share, route.source], ["0%", "rollback"]);
  const record = await lastRecord(bench);
  assert.deepEqual([record?.actor, record?.reason], ["token", "errors"]);
});

test("the kill switch takes all routes or some, and gives them back", async (t) => {
  const bench = await openAdminBench(t);
  const one = await bench.ask("PUT", "/api/v1/kill", { body: { routes: ["api"], reason: "slow" } });
  assert.deepEqual([one.json["killed"], one.json["killedRoutes"]], [false, ["api"]]);
  const all = await bench.ask("PUT", "/api/v1/kill");
  assert.deepEqual([all.status, all.json["killed"], all.json["generation"]], [200, true, 3]);
  assert.deepEqual((await routeOf(bench, "web")).killed, true);
  const conflict = await bench.ask("DELETE", "/api/v1/kill", { body: { routes: ["api"] } });
  assert.deepEqual([conflict.status, errorOf(conflict).code], [409, "killed_globally"]);
  const lifted = await bench.ask("DELETE", "/api/v1/kill");
  assert.deepEqual([lifted.json["killed"], lifted.json["killedRoutes"]], [false, []]);
  const again = await bench.ask("DELETE", "/api/v1/kill");
  assert.deepEqual([again.status, again.json["outcome"]], [200, "unchanged"]);
});

test("a reload says what became of it", async (t) => {
  const bench = await openAdminBench(t);
  const same = await bench.ask("POST", "/api/v1/reload");
  assert.deepEqual([same.status, same.json["outcome"]], [200, "unchanged"]);
  bench.text = configText([{ name: "api", share: "50%" }]);
  const next = await bench.ask("POST", "/api/v1/reload", { body: { reason: "the plan" } });
  assert.deepEqual([next.json["outcome"], next.json["generation"]], ["applied", 2]);
  assert.deepEqual((await lastRecord(bench))?.reason, "the plan");
  const upstreams = { v1: { endpoints: ["https://127.0.0.1:1"], tls: { ca: "ca.crt" } } };
  bench.text = configText([{ name: "api", candidate: null }], { upstreams });
  const refused = await bench.ask("POST", "/api/v1/reload");
  assert.deepEqual([refused.status, errorOf(refused).code], [422, "invalid_config"]);
  assert.match(errorOf(refused).problems?.[0] ?? "", /^upstreams\.v1\.tls\.ca: "ca\.crt"/);
  const view = status(await bench.ask("GET", "/api/v1/status"));
  assert.equal(view.lastReload.ok, false);
  assert.deepEqual(view.reloads, { applied: 1, refused: 1, unchanged: 1 });
  assert.equal(view.generation, 2);
});

test("the config in force is shown with what was changed at run time, and without secrets", async (t) => {
  const bench = await openAdminBench(t, {
    text: JSON.stringify({
      ...(JSON.parse(configText([])) as object),
      routes: [
        {
          name: "api",
          match: { pathPrefix: "/", headers: { authorization: "Bearer hunter2hunter2" } },
          split: { baseline: "v1", candidate: "v2" },
        },
      ],
    }),
  });
  await bench.ask("PUT", "/api/v1/routes/api/split", { body: { share: "0.0001%" } });
  const answer = await bench.ask("GET", "/api/v1/config");
  assert.equal(answer.json["generation"], 2);
  assert.equal(answer.text.includes("hunter2"), false);
  const { overlay } = answer.json as unknown as { overlay: { routes: { api: { split: { candidatePpm: number } } } } };
  assert.equal(overlay.routes.api.split.candidatePpm, 1);
});

test("one route is shown with its rules, all routes without", async (t) => {
  const bench = await openAdminBench(t);
  const route = await bench.ask("GET", "/api/v1/routes/api");
  assert.equal(route.json["salt"], "api");
  assert.equal((route.json["match"] as { pathPrefix: string })["pathPrefix"], "/api/");
  const { routes } = (await bench.ask("GET", "/api/v1/routes")).json as unknown as { routes: RouteView[] };
  assert.deepEqual(
    routes.map(({ name, share, candidate }) => [name, share, candidate]),
    [
      ["api", "10%", "v2"],
      ["web", "0%", null],
    ],
  );
});

test("the audit gives as many records as asked for, newest first", async (t) => {
  const bench = await openAdminBench(t);
  for (const share of ["1%", "2%", "3%"]) await bench.ask("PUT", "/api/v1/routes/api/split", { body: { share } });
  const { records } = (await bench.ask("GET", "/api/v1/audit?limit=2")).json as unknown as { records: AuditRecord[] };
  assert.deepEqual(
    records.map(({ seq, action }) => [seq, action]),
    [
      [4, "split api 3%"],
      [3, "split api 2%"],
    ],
  );
  for (const limit of ["0", "1001", "x", "-1", ""]) {
    assert.equal((await bench.ask("GET", `/api/v1/audit?limit=${limit}`)).status, 400);
  }
});

const refusals: readonly (readonly [string, string, string, object | string | undefined, number, string, RegExp])[] = [
  [
    "an unknown route",
    "PUT",
    "/api/v1/routes/nope/split",
    { share: "1%" },
    404,
    "unknown_route",
    /"nope" is not a route/,
  ],
  ["an unknown route to show", "GET", "/api/v1/routes/nope", undefined, 404, "unknown_route", /"nope"/],
  ["an unknown route to roll back", "POST", "/api/v1/routes/nope/rollback", undefined, 404, "unknown_route", /"nope"/],
  ["an unknown route to kill", "PUT", "/api/v1/kill", { routes: ["nope"] }, 404, "unknown_route", /"nope"/],
  [
    "a route without candidate",
    "PUT",
    "/api/v1/routes/web/split",
    { share: "1%" },
    409,
    "no_candidate",
    /no candidate/,
  ],
  [
    "a share above one",
    "PUT",
    "/api/v1/routes/api/split",
    { share: "120%" },
    400,
    "bad_request",
    /share: "120%" is above 100%/,
  ],
  [
    "a share as a number",
    "PUT",
    "/api/v1/routes/api/split",
    { share: 25 },
    400,
    "bad_request",
    /share: 25 is not a share/,
  ],
  ["no share", "PUT", "/api/v1/routes/api/split", {}, 400, "bad_request", /share: nothing is not a share/],
  [
    "a field nobody reads",
    "PUT",
    "/api/v1/routes/api/split",
    { share: "1%", force: true },
    400,
    "bad_request",
    /"force" is not understood/,
  ],
  ["a reason that is no text", "PUT", "/api/v1/kill", { reason: 5 }, 400, "bad_request", /reason: 5 is not a text/],
  ["a reason of two lines", "PUT", "/api/v1/kill", { reason: "a\nb" }, 400, "bad_request", /reason/],
  ["a reason that is too long", "PUT", "/api/v1/kill", { reason: "x".repeat(513) }, 400, "bad_request", /reason/],
  [
    "routes that are no list",
    "PUT",
    "/api/v1/kill",
    { routes: "api" },
    400,
    "bad_request",
    /routes: "api" is not a list/,
  ],
  ["an empty list of routes", "PUT", "/api/v1/kill", { routes: [] }, 400, "bad_request", /leave it out to mean all/],
  ["half of a JSON text", "POST", "/api/v1/reload", '{"reason":', 400, "bad_json", /is not JSON/],
  ["a JSON list", "POST", "/api/v1/reload", "[]", 400, "bad_json", /not a JSON object/],
  ["JSON null", "POST", "/api/v1/reload", "null", 400, "bad_json", /not a JSON object/],
  ["a path that is not there", "GET", "/api/v1/nothing", undefined, 404, "not_found", /nothing at \/api\/v1\/nothing/],
  ["a path with a slash too many", "GET", "/api/v1/status/", undefined, 404, "not_found", /nothing at/],
  ["an empty route name", "GET", "/api/v1/routes/", undefined, 404, "not_found", /nothing at/],
  ["a malformed escape", "GET", "/api/v1/routes/%E0%A4%A", undefined, 400, "bad_path", /malformed % escape/],
];

for (const [what, method, target, body, expected, code, message] of refusals) {
  test(`${what} is refused with ${expected} ${code} and changes nothing`, async (t) => {
    const bench = await openAdminBench(t);
    const headers = typeof body === "string" ? { "content-type": "application/json" } : {};
    const answer = await bench.ask(method, target, { headers, ...(body !== undefined && { body }) });
    assert.equal(answer.status, expected);
    assert.equal(errorOf(answer).code, code);
    assert.match(errorOf(answer).message, message);
    assert.equal(answer.headers["content-type"], "application/json");
    assert.equal(bench.store.current.generation, 1);
  });
}

test("a method that is not served is refused with those that are", async (t) => {
  const bench = await openAdminBench(t);
  const answer = await bench.ask("POST", "/api/v1/kill");
  assert.deepEqual([answer.status, answer.headers.allow], [405, "PUT, DELETE"]);
  const read = await bench.ask("DELETE", "/api/v1/status");
  assert.deepEqual([read.status, read.headers.allow], [405, "GET, HEAD"]);
});

test("a change that cannot be written down is refused with 503", async (t) => {
  const bench = await openAdminBench(t);
  bench.file.failures = 1;
  const answer = await bench.ask("PUT", "/api/v1/routes/api/split", { body: { share: "1%" } });
  assert.deepEqual([answer.status, errorOf(answer).code], [503, "not_durable"]);
});

test("HEAD gives the head of GET without a body", async (t) => {
  const bench = await openAdminBench(t);
  for (const target of ["/api/v1/status", "/", "/api/v1/events"]) {
    const answer = await bench.ask("HEAD", target);
    assert.deepEqual([answer.status, answer.text], [200, ""]);
  }
});

test("a body above 64 KiB is refused, and the connection lives on", async (t) => {
  const bench = await openAdminBench(t);
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  t.after(() => agent.destroy());
  const send = async (body: string): Promise<readonly [number | undefined, boolean]> => {
    const headers = { authorization: "Bearer 0123456789abcdef-the-token", "content-type": "application/json" };
    const options = { host: "127.0.0.1", port: bench.port, method: "PUT", path: "/api/v1/kill", agent, headers };
    const request = http.request(options);
    request.end(body);
    const [response] = (await once(request, "response")) as [http.IncomingMessage];
    response.resume();
    await once(response, "end");
    return [response.statusCode, request.reusedSocket];
  };
  assert.deepEqual(await send(JSON.stringify({ reason: "x".repeat(70_000) })), [413, false]);
  assert.equal(bench.store.current.killed, false);
  assert.deepEqual(await send("{}"), [200, true]);
});

test("a caller that goes away in the middle of its body is no news", async (t) => {
  const bench = await openAdminBench(t);
  const socket = net.connect(bench.port, "127.0.0.1");
  t.after(() => socket.destroy());
  await once(socket, "connect");
  const head = ["PUT /api/v1/kill HTTP/1.1", "host: a", "authorization: Bearer 0123456789abcdef-the-token"];
  socket.write(`${[...head, "content-type: application/json", "content-length: 100"].join("\r\n")}\r\n\r\n{"rea`);
  await until(() => socket.bytesWritten > 0, "the half request to be sent");
  socket.destroy();
  const answer = await bench.ask("GET", "/api/v1/status");
  assert.equal(status(answer).killed, false);
  assert.equal(bench.events.length, 0);
});

test("a mistake of ours is a 500 that names nothing, and an event that does", async (t) => {
  const bench = await openAdminBench(t, {
    over: {
      actions: {
        propose: () => Promise.reject(new Error("boom in the works")),
        reload: () => Promise.reject("odd"),
        circuit: () => Promise.reject("odder"),
      },
    },
  });
  const answer = await bench.ask("PUT", "/api/v1/kill");
  assert.deepEqual([answer.status, errorOf(answer).code], [500, "internal"]);
  assert.equal(answer.text.includes("boom"), false);
  assert.match(String(bench.events[0]?.fields["error"]), /boom in the works/);
  assert.equal((await bench.ask("POST", "/api/v1/reload")).status, 500);
});

test("a target that is no path is refused", async (t) => {
  const bench = await openAdminBench(t);
  const answer = await bench.ask("GET", "http://127.0.0.1/api/v1/status");
  assert.deepEqual([answer.status, errorOf(answer).code], [400, "bad_path"]);
});

test("nothing may be cached, sniffed or framed", async (t) => {
  const bench = await openAdminBench(t);
  for (const target of ["/", "/api/v1/status", "/api/v1/nothing"]) {
    const { headers } = await bench.ask("GET", target);
    assert.equal(headers["cache-control"], "no-store");
    assert.equal(headers["x-content-type-options"], "nosniff");
    assert.equal(headers["x-frame-options"], "DENY");
  }
});

test("answers are as the OpenAPI document says", async (t) => {
  const bench = await openAdminBench(t);
  const ajv = new Ajv2020({ strict: false, validateFormats: false });
  ajv.addSchema({ $id: "doc", components: OPENAPI.components });
  const require = (name: string, value: unknown): void => {
    const valid = ajv.validate({ $ref: `doc#/components/schemas/${name}` }, value);
    assert.ok(valid, `${name}: ${ajv.errorsText()}`);
  };
  require("Change", (await bench.ask("PUT", "/api/v1/routes/api/split", { body: { share: "25%" } })).json);
  require("Change", (await bench.ask("PUT", "/api/v1/kill")).json);
  require("Status", (await bench.ask("GET", "/api/v1/status")).json);
  require("Config", (await bench.ask("GET", "/api/v1/config")).json);
  require("RouteDetail", (await bench.ask("GET", "/api/v1/routes/api")).json);
  require("Error", (await bench.ask("GET", "/api/v1/routes/nope")).json);
  const { records } = (await bench.ask("GET", "/api/v1/audit")).json as unknown as { records: unknown[] };
  assert.equal(records.length, 3);
  for (const record of records) require("AuditRecord", record);
  const document = await bench.ask("GET", "/api/v1/openapi.json");
  assert.deepEqual(document.json, JSON.parse(JSON.stringify(OPENAPI)));
});

test("an address that is taken is refused with its name", async (t) => {
  const bench = await openAdminBench(t);
  const { clock } = bench;
  const views = {} as never;
  const address = { host: "127.0.0.1", port: bench.port, tokenFile: null };
  await assert.rejects(
    openAdminServer({ ...address, views, actions: views, clock, onEvent: () => {} }),
    /admin\.address: cannot listen on "127\.0\.0\.1" port \d+: .*EADDRINUSE/,
  );
});

test("an IPv6 address is shown in brackets", async (t) => {
  const bench = await openAdminBench(t, { over: { host: "::1" } });
  assert.match(bench.server.url, /^http:\/\/\[::1\]:\d+$/);
});

test("closing ends a request that hangs", async (t) => {
  const bench = await openAdminBench(t);
  const socket = net.connect(bench.port, "127.0.0.1");
  t.after(() => socket.destroy());
  socket.write("PUT /api/v1/kill HTTP/1.1\r\nhost: a\r\nauthorization: Bearer 0123456789abcdef-the-token\r\n");
  socket.write("content-type: application/json\r\ncontent-length: 100\r\n\r\n");
  socket.resume();
  await bench.ask("GET", "/api/v1/status");
  const closed = once(socket, "close");
  await bench.server.close();
  await closed;
});
