import assert from "node:assert/strict";
import fs from "node:fs";
import http2 from "node:http2";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import { test, type TestContext } from "node:test";
import { Server, ServerCredentials } from "@grpc/grpc-js";
import type { EndpointSpec, HealthCheckSpec, HealthSpec } from "../../src/model/snapshot.ts";
import type { ProbeFailure } from "../../src/policy/health.ts";
import { startHealthServer, type HealthServer } from "../support/grpc-health-server.ts";
import {
  checkedUpstream,
  grpcCheck,
  healthSpec,
  localEndpoint,
  openHealthBench,
  QUICK,
  snapshotOf,
  type HealthBench,
} from "../support/health-bench.ts";
import { answering, OK_ANSWER, startRawUpstream } from "../support/raw-upstream.ts";
import { changed, until } from "../support/until.ts";

type GrpcOver = Partial<Extract<HealthCheckSpec, { kind: "grpc" }>>;

/** So long that nothing but a message of the server can be behind what happens. */
const RARELY = { intervalMs: 3_600_000, unhealthyIntervalMs: 3_600_000 } as const;

function check(
  t: TestContext,
  port: number,
  over: GrpcOver = {},
  health: Partial<HealthSpec> = {},
  endpoint: Partial<EndpointSpec> = {},
): HealthBench {
  const bench = openHealthBench(t);
  const spec = healthSpec(grpcCheck(over), { ...QUICK, ...health });
  bench.prober.apply(snapshotOf(checkedUpstream([localEndpoint(port, endpoint)], spec)));
  return bench;
}

async function failsWith(bench: HealthBench, reason: ProbeFailure, detail: RegExp): Promise<void> {
  await bench.becomes("unhealthy");
  const { lastReason, lastDetail, failures } = bench.reading();
  assert.deepEqual([lastReason, failures[reason] > 0], [reason, true], lastDetail ?? "");
  assert.match(lastDetail ?? "", detail);
}

function count(server: HealthServer, method: "check" | "watch"): number {
  return server.calls.filter((call) => call.method === method).length;
}

test("a server that serves is healthy; the service and the authority of the check are sent", async (t) => {
  const server = await startHealthServer(t, { statuses: { "shop.Cart": "SERVING" } });
  await check(t, server.port, { service: "shop.Cart", authority: "cart.internal" }).becomes("healthy");
  const { service, authority } = server.calls[0] ?? {};
  assert.deepEqual([service, authority], ["shop.Cart", "cart.internal"]);
});

test("without a service the server as a whole is asked about, under the endpoint's address", async (t) => {
  const server = await startHealthServer(t);
  await check(t, server.port).becomes("healthy");
  const { service, authority } = server.calls[0] ?? {};
  assert.deepEqual([service, authority], ["", `127.0.0.1:${server.port}`]);
});

test("an upstream is asked by name, and on a Unix socket", async (t) => {
  const server = await startHealthServer(t);
  await check(t, server.port, {}, {}, { host: "localhost" }).becomes("healthy");
  assert.equal(server.calls[0]?.authority, `localhost:${server.port}`);
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "crossfade-health-"));
  t.after(() => fs.rmSync(folder, { recursive: true, force: true }));
  const socketPath = path.join(folder, "v2.sock");
  const local = await startHealthServer(t, { socketPath });
  await check(t, 0, {}, {}, { host: "localhost", socketPath }).becomes("healthy");
  assert.equal(local.calls[0]?.authority, "localhost");
});

test("checks and the watch share one connection", async (t) => {
  const server = await startHealthServer(t);
  check(t, server.port);
  await until(() => server.calls.length >= 10 && server.watches() === 1, "ten calls and a watch");
  assert.equal(count(server, "watch"), 1);
  assert.equal(new Set(server.calls.map((call) => call.peer)).size, 1);
});

test("NOT_SERVING by a Watch is believed at once, long before the next probe", async (t) => {
  const server = await startHealthServer(t);
  const bench = check(t, server.port, {}, RARELY);
  await bench.becomes("healthy");
  await until(() => server.watches() === 1, "the watch");
  server.set("", "NOT_SERVING");
  await failsWith(bench, "not-serving", /^NOT_SERVING$/);
  assert.equal(bench.reading().passes, 1);
});

test("the way back is heard of by a Watch and taken by checks", async (t) => {
  const server = await startHealthServer(t, { statuses: { "": "NOT_SERVING" } });
  const bench = check(t, server.port, {}, { ...QUICK, healthyThreshold: 3 });
  await bench.becomes("unhealthy");
  server.set("", "SERVING");
  await bench.becomes("healthy");
  assert.equal(bench.reading().passes, 3);
});

test("NOT_SERVING that is not believed at once is a failed probe like others", async (t) => {
  const server = await startHealthServer(t);
  const bench = check(t, server.port, {}, { believeExplicit: false });
  await bench.becomes("healthy");
  await until(() => server.watches() === 1, "the watch");
  server.set("", "NOT_SERVING");
  await bench.becomes("unhealthy");
  assert.equal(bench.reading().failures["not-serving"], 3);
});

test("a server without Watch is checked, and not asked to watch again", async (t) => {
  const server = await startHealthServer(t, { without: ["watch"] });
  const bench = check(t, server.port);
  await until(() => count(server, "check") >= 6, "six checks");
  assert.equal(count(server, "watch"), 1);
  server.set("", "NOT_SERVING");
  await bench.becomes("unhealthy");
  server.set("", "SERVING");
  await bench.becomes("healthy");
});

test("a Watch is not opened when the check says so", async (t) => {
  const server = await startHealthServer(t);
  check(t, server.port, { watch: false });
  await until(() => count(server, "check") >= 5, "five checks");
  assert.equal(count(server, "watch"), 0);
});

test("a server without the health service is unhealthy and told about once, or healthy by option", async (t) => {
  const server = await startHealthServer(t, { without: ["check", "watch"] });
  const bench = check(t, server.port);
  await failsWith(bench, "unimplemented", /^UNIMPLEMENTED: /);
  assert.deepEqual(
    bench.events.map((event) => event.name),
    ["health-unimplemented", "endpoint-unhealthy"],
  );
  const lenient = check(t, server.port, { unimplemented: "healthy" });
  await lenient.becomes("healthy");
  assert.deepEqual(
    lenient.events.map((event) => event.name),
    ["endpoint-first-pass"],
  );
});

test("a server that knows no such service at all is unimplemented too", async (t) => {
  const server = new Server();
  t.after(() => server.forceShutdown());
  const { promise, resolve } = Promise.withResolvers<number>();
  server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (_error, port) => resolve(port));
  await failsWith(check(t, await promise), "unimplemented", /^UNIMPLEMENTED: /);
});

test("a service that the server does not know is unhealthy until it is registered", async (t) => {
  const server = await startHealthServer(t);
  const bench = check(t, server.port, { service: "shop.Cart" });
  await failsWith(bench, "unknown-service", /^NOT_FOUND: /);
  server.set("shop.Cart", "SERVING");
  await bench.becomes("healthy");
});

test("the status UNKNOWN does not pass, and is no plain no", async (t) => {
  const server = await startHealthServer(t, { statuses: { "": "UNKNOWN" } });
  const bench = check(t, server.port);
  await failsWith(bench, "not-serving", /UNKNOWN/);
  assert.equal(bench.reading().failures["not-serving"], 3);
});

test("a server that stops answering its calls times out, although its connection is alive", async (t) => {
  let stalled = false;
  const server = await startHealthServer(t, { stalls: () => stalled });
  const bench = check(t, server.port, {}, { timeoutMs: 60 });
  await bench.becomes("healthy");
  stalled = true;
  await failsWith(bench, "timeout", /no answer within 60 ms/);
  stalled = false;
  await bench.becomes("healthy");
});

test("a server that is killed is noticed through its Watch and found again on its port", async (t) => {
  const server = await startHealthServer(t);
  const bench = check(
    t,
    server.port,
    {},
    { ...RARELY, unhealthyIntervalMs: 30, timeoutMs: 500, unhealthyThreshold: 1 },
  );
  await bench.becomes("healthy");
  await until(() => server.watches() === 1, "the watch");
  server.kill();
  await failsWith(bench, "refused", /ECONNREFUSED/);
  const failures = bench.reading().failures.refused;
  // Long enough for a channel to be deep in its backoff.
  await until(() => bench.reading().failures.refused >= failures + 10, "ten more failures");
  const sinceMs = performance.now();
  const again = await startHealthServer(t, { port: server.port });
  await bench.becomes("healthy");
  assert.ok(performance.now() - sinceMs < 1_000, "recovery waits for a backoff");
  await until(() => again.watches() === 1, "a new watch");
});

test("a port that accepts and says nothing times out and leaves no connections behind", async (t) => {
  for (const scheme of ["http", "https"] as const) {
    const silent = await startRawUpstream(t);
    const bench = check(t, silent.port, {}, { timeoutMs: 30 }, { scheme });
    await failsWith(bench, "timeout", /no answer within 30 ms/);
    await until(() => silent.connections.length >= 5, "five tries");
    const open = silent.connections.filter((connection) => connection.state === "open");
    assert.ok(open.length <= 2, `${open.length} are open`);
    await bench.prober.close();
    await until(() => silent.connections.every(({ state }) => state !== "open"), "the connections to end");
  }
});

test("a connection that is reset is a reset", async (t) => {
  const upstream = await startRawUpstream(t);
  upstream.onConnection = ({ socket }) => socket.resetAndDestroy();
  await failsWith(check(t, upstream.port), "reset", /./);
});

test("a server that speaks HTTP/1 only is a protocol failure", async (t) => {
  const upstream = await startRawUpstream(t);
  upstream.onConnection = ({ socket }) => socket.write(OK_ANSWER);
  upstream.onRequest = answering(OK_ANSWER);
  await failsWith(check(t, upstream.port), "protocol", /./);
});

test("an HTTP/2 server that is no gRPC server fails with its status", async (t) => {
  const server = http2.createServer((_request, response) => {
    response.writeHead(403);
    response.end();
  });
  const sessions = new Set<http2.ServerHttp2Session>();
  server.on("session", (session) => sessions.add(session));
  server.listen(0, "127.0.0.1");
  t.after(() => {
    for (const session of sessions) session.destroy();
    server.close();
  });
  await until(() => server.listening, "the server to listen");
  await failsWith(check(t, (server.address() as net.AddressInfo).port), "status", /PERMISSION_DENIED/);
});

test("a name that does not resolve is a dns failure", async (t) => {
  const bench = check(t, 80, {}, { timeoutMs: 4_000, unhealthyThreshold: 1 }, { host: "no-such-host.invalid" });
  await failsWith(bench, "dns", /ENOTFOUND|EAI_AGAIN/);
});

test("proxies of the environment are not used", async (t) => {
  const proxy = await startRawUpstream(t);
  for (const name of ["grpc_proxy", "http_proxy", "https_proxy"]) {
    process.env[name] = `http://127.0.0.1:${proxy.port}`;
    t.after(() => {
      delete process.env[name];
    });
  }
  const server = await startHealthServer(t);
  await check(t, server.port, {}, {}, { host: "localhost" }).becomes("healthy");
  assert.equal(proxy.connections.length, 0);
});

test("connections that are not the probes' are left alone", async (t) => {
  const server = await startHealthServer(t);
  const bench = check(t, server.port);
  await bench.becomes("healthy");
  const other = net.createServer();
  other.listen(0, "127.0.0.1");
  t.after(() => {
    other.close();
  });
  await until(() => other.listening, "the server to listen");
  const socket = net.connect((other.address() as net.AddressInfo).port, "127.0.0.1");
  socket.on("connect", changed);
  t.after(() => {
    socket.destroy();
  });
  await until(() => socket.readyState === "open", "the connection");
  await bench.prober.close();
  await until(() => server.watches() === 0, "the watch to end");
  assert.deepEqual([socket.destroyed, Object.hasOwn(socket, "ref")], [false, false]);
});
