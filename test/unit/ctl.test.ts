import assert from "node:assert/strict";
import { once } from "node:events";
import fs from "node:fs";
import http from "node:http";
import type { AddressInfo } from "node:net";
import path from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { blockView, FALLBACK_KINDS, ROUTE_WORDS, THREAD_BLOCK, THREAD_WORDS } from "../../src/base/cells.ts";
import { ctl } from "../../src/cli/ctl.ts";
import type { StatusView } from "../../src/admin/views.ts";
import { openAuditLog } from "../../src/journal/audit-log.ts";
import { openAdminBench } from "../support/admin-bench.ts";
import type { AdminBench } from "../support/admin-bench.ts";
import { configText, useFolder } from "../support/control-plane.ts";
import { changed, until } from "../support/until.ts";

interface Run {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

async function run(env: NodeJS.ProcessEnv, ...args: readonly string[]): Promise<Run> {
  let out = "";
  let err = "";
  const stdout = (text: string): void => {
    out += text;
  };
  const stderr = (text: string): void => {
    err += text;
  };
  const code = await ctl(args, { stdout, stderr, env });
  return { code, out, err };
}

function envOf(bench: AdminBench): NodeJS.ProcessEnv {
  return { CROSSFADE_ADMIN_URL: bench.server.url, CROSSFADE_ADMIN_TOKEN_FILE: bench.tokenFile ?? "" };
}

/** A server that answers everything with this. */
async function serveFixed(t: TestContext, status: number, body: string): Promise<string> {
  const server = http.createServer((_, response) => response.writeHead(status).end(body));
  await once(server.listen(0, "127.0.0.1"), "listening");
  t.after(() => server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

test("status shows a row per route with a bar", async (t) => {
  const bench = await openAdminBench(t, {
    text: configText([
      { name: "api", share: "25%" },
      { name: "tiny", share: "0.0001%" },
      { name: "almost", share: "99.9999%" },
      { name: "all", share: "100%" },
      { name: "web", candidate: null },
    ]),
  });
  const { code, out, err } = await run(envOf(bench), "status");
  assert.deepEqual([code, err], [0, ""]);
  assert.match(out, /^crossfade 1\.2\.3 {2}pid \d+ {2}up 0s {2}taking traffic\ngeneration 1: start by ann\n/);
  assert.match(out, /^api +v1 → v2 +25% +\[█████░{15}\] +0 \/ 0 +0 \/ 0 +as configured$/m);
  assert.match(out, /^tiny .*\[█░{19}\]/m);
  assert.match(out, /^almost .*\[█{19}░\]/m);
  assert.match(out, /^all .*\[█{20}\]/m);
  assert.match(out, /^web +v1 +- +0 \/ 0/m);
  assert.match(out, /^v1 +http:\/\/127\.0\.0\.1:9001 +0 +0 +0$/m);
});

test("status shows what needs attention", async (t) => {
  const bench = await openAdminBench(t);
  const env = envOf(bench);
  bench.clock.advance(2 * 86_400_000 + 3_600_000 + 5_000);
  bench.text = configText([{ name: "api" }], { listen: [{ address: "127.0.0.1:1" }] });
  assert.equal((await run(env, "reload")).code, 0);
  const upstreams = { v1: { endpoints: ["https://127.0.0.1:1"], tls: { ca: "ca.crt" } } };
  bench.text = configText([{ name: "api", candidate: null }], { upstreams });
  const refused = await run(env, "reload", "--reason", "try");
  assert.equal(refused.code, 1);
  assert.match(refused.err, /^crossfade ctl: upstreams\.v1\.tls\.ca: "ca\.crt" was not read \(422 invalid_config\)\n$/);
  bench.file.failures = Number.POSITIVE_INFINITY;
  bench.state.draining = true;
  assert.match((await run(env, "kill")).out, /^applied: generation 3, in force now, being written to disk\n/);
  const { out } = await run(env, "status");
  assert.match(out, /up 2d 1h {2}draining\n.*ALL ROUTES KILLED/);
  assert.match(out, /^api .*\[░{20}\].*KILLED$/m);
  assert.match(out, /was refused; the config before it is in force:\n {2}upstreams\.v1/);
  assert.match(out, /only a restart brings into force: listen/);
  assert.match(out, /could not be written to disk yet/);
  bench.file.failures = 0;
  await bench.store.idle();
});

test("a share is changed, rolled back, killed and given back from the terminal", async (t) => {
  const bench = await openAdminBench(t);
  const env = envOf(bench);
  const split = await run(env, "split", "api", "25%", "--reason", "week two");
  assert.deepEqual([split.code, split.err], [0, ""]);
  assert.match(split.out, /^applied: generation 2, on disk\n.*\napi +v1 → v2 +25%/);
  assert.match((await run(env, "rollback", "api", "--reason=errors")).out, /rolled back/);
  assert.match((await run(env, "kill", "api", "web")).out, /^applied: generation 4/);
  assert.match((await run(env, "unkill", "api", "--reason", "fine")).out, /^applied: generation 5/);
  assert.match((await run(env, "unkill")).out, /^applied: generation 6/);
  assert.match((await run(env, "unkill")).out, /^unchanged: generation 6/);
  const { out } = await run(env, "audit", "--limit", "2");
  assert.deepEqual(out.trimEnd().split("\n").length, 2);
  assert.match(out, /#6 +gen 6 +ctl\S* +unkill/);
  assert.match((await run(env, "audit")).out, /rollback api +errors\n.*split api 25% +week two/);
});

test("status says how upstreams and their circuits are, and circuits are changed by hand", async (t) => {
  const circuitBreaker = { consecutiveFailures: 3 };
  const upstreams = {
    v1: { endpoints: ["http://127.0.0.1:9001"] },
    v2: { endpoints: ["http://127.0.0.1:9002"], circuitBreaker },
    v3: { endpoints: ["http://127.0.0.1:9003", "http://127.0.0.1:9004"], circuitBreaker },
  };
  const bench = await openAdminBench(t, { text: configText([{ name: "api" }], { upstreams }) });
  const env = envOf(bench);
  const durations = new Float64Array(256);
  const checked = { checks: 1, failures: {}, durations };
  const since = { sinceWallMs: 0, reason: null };
  bench.reported.health = [
    { ...checked, upstream: "v2", endpoint: "http://127.0.0.1:9002", now: { ...since, health: "healthy" } },
    { ...checked, upstream: "v3", endpoint: "http://127.0.0.1:9003", now: { ...since, health: "unknown" } },
    {
      ...checked,
      upstream: "v3",
      endpoint: "http://127.0.0.1:9004",
      now: { ...since, health: "unhealthy", reason: "status: answered 500" },
    },
  ];
  const ejected = { ejected: true, backInMs: 65_000 };
  bench.reported.outliers = [{ upstream: "v3", endpoint: "http://127.0.0.1:9004", now: ejected, ejections: 1 }];
  const { out } = await run(env, "status");
  assert.match(out, /^v2 +http:\/\/127\.0\.0\.1:9002 +0 +0 +0 +healthy, circuit closed$/m);
  assert.match(out, /^v3 +2 endpoints +0 +0 +0 +circuit closed$/m);
  assert.match(out, /^ +http:\/\/127\.0\.0\.1:9003 +not checked yet, circuit closed$/m);
  assert.match(out, /:9004 +UNHEALTHY \(status: answered 500\), EJECTED for 1m 5s, circuit closed$/m);
  const tripped = await run(env, "circuit", "v2", "trip", "--reason", "5xx");
  assert.deepEqual([tripped.code, tripped.err], [0, ""]);
  assert.match(tripped.out, /^UPSTREAM .*\nv2 .* healthy, circuit OPEN for 3\ds\n$/);
  assert.equal(bench.auditLog.read(1)[0]?.reason, "5xx");
  assert.match((await run(env, "circuit", "v2", "reset")).out, /circuit closed \(opened 1 times\)\n$/);
  const refused = await run(env, "circuit", "v1", "trip");
  assert.deepEqual([refused.code, /v1" has no circuitBreaker section/.test(refused.err)], [1, true]);
});

test("status says what was retried, saved and shed, and how overloaded the process is", async (t) => {
  const bench = await openAdminBench(t);
  const pages = bench.cells.pagesOf(0);
  const words = blockView(pages, bench.store.current.routes[0]?.cells.routeBlock ?? assert.fail());
  words[ROUTE_WORDS.retries] = 3;
  words[ROUTE_WORDS.fallbacks] = 2;
  words[ROUTE_WORDS.fallbacks + FALLBACK_KINDS.indexOf("none")] = 1;
  words[ROUTE_WORDS.shed] = 4;
  blockView(pages, THREAD_BLOCK)[THREAD_WORDS.overloadStage] = 2;
  const { out } = await run(envOf(bench), "status");
  assert.match(out, /^api .*as configured, 3 retries, 2 fallbacks, 1 without fallback, 4 shed$/m);
  assert.match(out, /^OVERLOAD stage 2: low priority routes get 503$/m);
});

test("routes, config and a raw status are printed", async (t) => {
  const bench = await openAdminBench(t);
  const env = envOf(bench);
  assert.match((await run(env, "routes")).out, /^ROUTE .*\napi .*\nweb .*\n$/);
  assert.equal((JSON.parse((await run(env, "config")).out) as { generation: number }).generation, 1);
  const status = JSON.parse((await run(env, "--json", "status")).out) as StatusView;
  assert.equal(status.routes[0]?.share, "10%");
});

test("warnings of a reload are printed", async (t) => {
  const bench = await openAdminBench(t);
  bench.text = configText([{ name: "api", candidate: "v3" }]);
  const { out } = await run(envOf(bench), "reload");
  assert.match(out, /^warning: upstreams\.v2 is used by no route$/m);
});

test("an audit without changes says so", async (t) => {
  const url = await serveFixed(t, 200, '{"records":[]}');
  assert.equal((await run({}, "audit", "--admin", url)).out, "no changes yet\n");
});

test("events are printed until the server ends them", async (t) => {
  const bench = await openAdminBench(t);
  let out = "";
  const stdout = (text: string): void => {
    out += text;
    changed();
  };
  const ended = ctl(["events"], { stdout, stderr: () => {}, env: envOf(bench) });
  await until(() => out.includes("retry:"), "the stream to open");
  await run(envOf(bench), "split", "api", "1%");
  await until(() => out.includes("event: split-changed"), "the event");
  await bench.server.close();
  assert.equal(await ended, 0);
});

test("an event stream that is cut or refused is told", async (t) => {
  const bench = await openAdminBench(t);
  const refused = await run({ CROSSFADE_ADMIN_URL: bench.server.url }, "events");
  assert.deepEqual([refused.code, /A bearer token is needed/.test(refused.err)], [1, true]);
  const server = http.createServer((_, response) => {
    response.writeHead(200);
    response.write("retry: 1\n\n", () => response.destroy());
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  t.after(() => server.close());
  const cut = await run({}, "events", "--admin", `http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  assert.deepEqual([cut.code, /stream was cut/.test(cut.err)], [1, true]);
});

test("a refusal is printed in the server's words, with exit code 1", async (t) => {
  const bench = await openAdminBench(t);
  const { code, out, err } = await run(envOf(bench), "rollback", "nope");
  assert.deepEqual([code, out], [1, ""]);
  assert.equal(err, 'crossfade ctl: route: "nope" is not a route; routes are: api, web (404 unknown_route)\n');
});

test("a missing token says how to give one, a wrong one that it is wrong", async (t) => {
  const bench = await openAdminBench(t);
  const missing = await run({ CROSSFADE_ADMIN_URL: bench.server.url }, "status");
  assert.match(
    missing.err,
    /A bearer token is needed.* Give it with --token-file or CROSSFADE_ADMIN_TOKEN_FILE\. \(401/,
  );
  const file = path.join(useFolder(t), "token");
  fs.writeFileSync(file, "another-token-than-the-one\n");
  const wrong = await run(envOf(bench), "status", "--token-file", file);
  assert.match(wrong.err, /This bearer token is not the one\./);
  const unreadable = await run(envOf(bench), "status", "--token-file", `${file}.none`);
  assert.match(unreadable.err, /--token-file: ".*" cannot be read: ENOENT/);
  assert.deepEqual([missing.code, wrong.code, unreadable.code], [1, 1, 1]);
});

test("an address where nothing listens says what to do", async (t) => {
  const bench = await openAdminBench(t);
  await bench.server.close();
  const { code, err } = await run({}, "status", "--admin", bench.server.url);
  assert.equal(code, 1);
  assert.match(
    err,
    /nothing listens on http:\/\/127\.0\.0\.1:\d+: start the sidecar with an admin address, or name it/,
  );
});

test("an address that is none or cannot be reached is told", async (t) => {
  for (const url of ["nonsense", "ftp://127.0.0.1"]) {
    const { code, err } = await run({}, "status", "--admin", url);
    assert.deepEqual([code, /is not a URL such as http:\/\/127\.0\.0\.1:9901/.test(err)], [1, true]);
  }
  const plain = await serveFixed(t, 200, "{}");
  const { code, err } = await run({}, "status", "--admin", plain.replace("http:", "https:"));
  assert.deepEqual([code, /cannot be reached/.test(err)], [1, true]);
});

test("an answer that is not crossfade's is told", async (t) => {
  for (const [status, body] of [
    [200, "<html>"],
    [404, "not here"],
    [500, '{"error":"odd"}'],
  ] as const) {
    const { code, err } = await run({}, "status", "--admin", await serveFixed(t, status, body));
    assert.equal(code, 1);
    assert.match(err, new RegExp(`answered ${status} without an error of crossfade's: is this the admin address`));
  }
});

test("an answer that is cut off is told", async (t) => {
  const server = http.createServer((_, response) => {
    response.writeHead(200, { "content-length": 100 });
    response.write("{", () => response.destroy());
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  t.after(() => server.close());
  const { code, err } = await run(
    {},
    "status",
    "--admin",
    `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
  );
  assert.deepEqual([code, err], [1, "crossfade ctl: the answer was cut off\n"]);
});

test("the chain of an audit file is verified without a server", async (t) => {
  const folder = useFolder(t);
  const log = await openAuditLog(folder, () => {});
  const entry = { actor: "a", action: "x", reason: "", before: null, after: null, generation: 1, cause: "admin" };
  await log.append(entry, 0);
  await log.append(entry, 0);
  await log.close();
  const file = path.join(folder, "audit.jsonl");
  assert.deepEqual(await run({}, "audit", "--verify", file), {
    code: 0,
    out: `${file}: 2 records, the chain is whole\n`,
    err: "",
  });
  fs.appendFileSync(file, '{"seq');
  assert.match((await run({}, "audit", "--verify", file)).out, /its last line was cut short/);
  fs.writeFileSync(file, fs.readFileSync(file, "utf8").replace('"actor":"a"', '"actor":"b"'));
  const forged = await run({}, "audit", "--verify", file);
  assert.deepEqual([forged.code, /line 1: record 1 was altered/.test(forged.err)], [1, true]);
  assert.match((await run({}, "audit", "--verify", `${file}.none`)).err, /cannot be read: ENOENT/);
});

test("help is printed when asked for", async () => {
  for (const flag of ["--help", "-h"]) {
    const { code, out } = await run({}, flag);
    assert.equal(code, 0);
    assert.match(out, /^usage: crossfade ctl/);
  }
});

for (const [args, expected] of [
  [[], /which verb\?/],
  [["dance"], /there is no verb "dance"/],
  [["status", "api"], /status takes no arguments/],
  [["reload", "x"], /reload takes no arguments/],
  [["audit", "x"], /audit takes no arguments/],
  [["events", "x"], /events takes no arguments/],
  [["split", "api"], /split needs ROUTE and a share/],
  [["split", "api", "25%", "x"], /split needs ROUTE and a share/],
  [["split", "api", "25"], /"25" is not a share/],
  [["split", "api", "120%"], /"120%" is above 100%/],
  [["rollback"], /rollback needs one ROUTE/],
  [["rollback", "a", "b"], /rollback needs one ROUTE/],
  [["circuit", "v2"], /circuit needs UPSTREAM and reset or trip/],
  [["circuit", "v2", "melt"], /circuit needs UPSTREAM and reset or trip/],
  [["circuit", "v2", "trip", "now"], /circuit needs UPSTREAM and reset or trip/],
  [["audit", "--limit", "0"], /--limit: "0" is not a number/],
  [["audit", "--limit", "x"], /--limit: "x" is not a number/],
  [["status", "--reason", "x"], /status takes no --reason/],
  [["kill", "--limit", "5"], /kill takes no --limit/],
  [["status", "--verify", "f"], /status takes no --verify/],
  [["status", "--nope"], /Unknown option '--nope'/],
  [["kill", "--reason"], /--reason/],
] as const) {
  test(`"ctl ${args.join(" ")}" is a usage error with exit code 2`, async () => {
    const { code, out, err } = await run({ CROSSFADE_ADMIN_URL: "http://127.0.0.1:1" }, ...args);
    assert.deepEqual([code, out], [2, ""]);
    assert.match(err, expected);
    assert.match(err, /usage: crossfade ctl/);
  });
}
