import assert from "node:assert/strict";
import fs from "node:fs";
import http from "node:http";
import os from "node:os";
import path from "node:path";
import { test, type TestContext } from "node:test";
import type { HealthCheckSpec, HealthSpec } from "../../src/model/snapshot.ts";
import type { ProbeFailure } from "../../src/policy/health.ts";
import {
  checkedUpstream,
  healthSpec,
  httpCheck,
  localEndpoint,
  openHealthBench,
  QUICK,
  snapshotOf,
  type HealthBench,
} from "../support/health-bench.ts";
import { startHttpUpstream, type HttpHandler } from "../support/http-upstream.ts";
import { answering, OK_ANSWER, okText, startRawUpstream, type Then } from "../support/raw-upstream.ts";
import { until } from "../support/until.ts";

type HttpOver = Partial<Extract<HealthCheckSpec, { kind: "http" }>>;

/** Checks a port of this machine; the first failure is enough, so that it shows. */
function check(t: TestContext, port: number, over: HttpOver = {}, health: Partial<HealthSpec> = {}): HealthBench {
  const bench = openHealthBench(t);
  const spec = healthSpec(httpCheck(over), { ...QUICK, unhealthyThreshold: 1, ...health });
  bench.prober.apply(snapshotOf(checkedUpstream([localEndpoint(port)], spec)));
  return bench;
}

async function failsWith(bench: HealthBench, reason: ProbeFailure, detail: RegExp): Promise<void> {
  await bench.becomes("unhealthy");
  const { lastReason, lastDetail, failures } = bench.reading();
  assert.deepEqual([lastReason, failures[reason] > 0], [reason, true]);
  assert.match(lastDetail ?? "", detail);
}

/** An upstream that answers every probe with these bytes. */
async function scripted(t: TestContext, text: string | Buffer, then: Then = "keep"): Promise<number> {
  const upstream = await startRawUpstream(t);
  upstream.onRequest = answering(text, then);
  return upstream.port;
}

async function serving(t: TestContext, handler: HttpHandler): Promise<number> {
  return (await startHttpUpstream(t, { handler })).port;
}

test("a probe asks for the path with a Host, a user agent and the headers of the check", async (t) => {
  const upstream = await startHttpUpstream(t);
  const bench = check(t, upstream.port, { path: "/ready?deep=1", method: "GET", headers: { "X-Probe": "yes" } });
  await bench.becomes("healthy");
  const { method, url, rawHeaders } = await upstream.request();
  const fields = Object.fromEntries(rawHeaders.map((name, i) => [name.toLowerCase(), rawHeaders[i + 1]]));
  assert.deepEqual([method, url], ["GET", "/ready?deep=1"]);
  assert.equal(fields["host"], `127.0.0.1:${upstream.port}`);
  assert.equal(fields["x-probe"], "yes");
  assert.match(fields["user-agent"] ?? "", /^crossfade-health\/\d/);
});

test("a probe may name another host and use HEAD", async (t) => {
  const upstream = await startHttpUpstream(t);
  const bench = check(t, upstream.port, { method: "HEAD", host: "v2.internal", headers: { Host: "other" } });
  await bench.becomes("healthy");
  const { method, rawHeaders } = await upstream.request();
  const hosts = rawHeaders.filter((_field, i) => rawHeaders[i - 1]?.toLowerCase() === "host");
  assert.deepEqual([method, hosts], ["HEAD", ["v2.internal"]]);
});

test("probes of a healthy upstream go over one connection", async (t) => {
  const upstream = await startRawUpstream(t);
  upstream.onRequest = answering(OK_ANSWER);
  check(t, upstream.port);
  await until(() => upstream.requests.length >= 10, "ten probes");
  assert.equal(upstream.connections.length, 1);
});

test("an upstream that closes each connection is healthy all the same", async (t) => {
  const upstream = await startRawUpstream(t);
  upstream.onRequest = answering(OK_ANSWER, "close");
  const bench = check(t, upstream.port);
  await until(() => upstream.requests.length >= 10, "ten probes");
  assert.deepEqual([bench.health(), bench.reading().failures.reset], ["healthy", 0]);
});

test("a connection that breaks just as it is used again is no failure", async (t) => {
  const upstream = await startRawUpstream(t);
  upstream.onRequest = ({ connection }) => {
    const seen = upstream.requests.filter((request) => request.connection === connection).length;
    connection.answer(seen === 1 ? OK_ANSWER : "", seen === 1 ? "keep" : "reset");
  };
  const bench = check(t, upstream.port);
  await until(() => bench.reading().passes >= 5, "five passes");
  assert.ok(upstream.connections.length >= 5);
  assert.deepEqual([bench.health(), bench.reading().failures.reset], ["healthy", 0]);
});

test("statuses outside of the ranges fail, those inside pass", async (t) => {
  let status = 204;
  const port = await serving(t, (_request, response) => response.writeHead(status).end());
  const bench = check(t, port, {
    expectStatus: [
      [200, 204],
      [418, 418],
    ],
  });
  await bench.becomes("healthy");
  status = 205;
  await failsWith(bench, "status", /^status 205$/);
  status = 418;
  await bench.becomes("healthy");
});

test("an explicit 503 is believed at once, a 500 only at the threshold", async (t) => {
  let status = 200;
  const port = await serving(t, (_request, response) => response.writeHead(status).end("no"));
  const bench = check(t, port, {}, { unhealthyThreshold: 4 });
  await bench.becomes("healthy");
  status = 503;
  await bench.becomes("unhealthy");
  assert.equal(bench.reading().failures.status, 1);
  status = 200;
  await bench.becomes("healthy");
  status = 500;
  await bench.becomes("unhealthy");
  assert.ok(bench.reading().failures.status >= 5);
});

test("redirects are not followed", async (t) => {
  const port = await serving(t, (_request, response) => response.writeHead(302, { location: "/ok" }).end());
  await failsWith(check(t, port), "status", /^status 302$/);
});

test("the body must hold the expected text, wherever the pieces end", async (t) => {
  let pieces: readonly string[] = ["all sys", "tems g", "o"];
  const port = await serving(t, (_request, response) => {
    for (const piece of pieces) response.write(piece);
    response.end();
  });
  const bench = check(t, port, { expectBody: "systems go" });
  await bench.becomes("healthy");
  pieces = ["all systems ", "no"];
  await failsWith(bench, "body", /expected text/);
});

test("text behind the first 64 KiB of a body does not count, and the rest is not read", async (t) => {
  let before = 65_536 - 2;
  const port = await serving(t, (_request, response) => {
    response.write("x".repeat(before));
    response.end(`ok${"x".repeat(8_000_000)}`);
  });
  const bench = check(t, port, { expectBody: "ok" });
  await bench.becomes("healthy");
  before++;
  await failsWith(bench, "body", /64 KiB/);
});

test("a body without end passes when nothing is expected of it", async (t) => {
  const port = await serving(t, (_request, response) => {
    const pour = (): void => {
      while (response.write("x".repeat(16_384)));
      response.once("drain", pour);
    };
    pour();
  });
  await check(t, port).becomes("healthy");
});

test("the answer must carry the expected headers", async (t) => {
  let value = "v2";
  const port = await serving(t, (_request, response) =>
    response.writeHead(200, { "X-Version": value, "set-cookie": ["a", "b"] }).end(),
  );
  const bench = check(t, port, { expectHeaders: { "x-version": "v2", "set-cookie": "b" } });
  await bench.becomes("healthy");
  value = "v1";
  await failsWith(bench, "header", /^header x-version /);
  assert.doesNotMatch(bench.reading().lastDetail ?? "", /v1/);
});

test("an upstream that accepts and says nothing times out", async (t) => {
  const port = await scripted(t, "", "hold");
  await failsWith(check(t, port, {}, { timeoutMs: 50 }), "timeout", /no answer within 50 ms/);
});

test("an answer that stalls inside its body times out, one with a wrong status says so", async (t) => {
  const half = (line: string): string => `HTTP/1.1 ${line}\r\nContent-Length: 10\r\n\r\nhalf`;
  const slow = await scripted(t, half("200 OK"), "hold");
  await failsWith(check(t, slow, {}, { timeoutMs: 50 }), "timeout", /no complete answer within 50 ms/);
  const wrong = await scripted(t, half("404 Not Found"), "hold");
  await failsWith(check(t, wrong, {}, { timeoutMs: 50 }), "status", /^status 404$/);
});

test("stalled probes leave no connections behind", async (t) => {
  const upstream = await startRawUpstream(t);
  upstream.onRequest = answering("", "hold");
  check(t, upstream.port, {}, { timeoutMs: 20 });
  await until(() => upstream.connections.length >= 5, "five tries");
  const open = upstream.connections.filter((connection) => connection.state === "open");
  assert.ok(open.length <= 2, `${open.length} are open`);
});

test("a port where nobody listens is refused", async (t) => {
  const upstream = await startHttpUpstream(t);
  await upstream.close();
  await failsWith(check(t, upstream.port), "refused", /ECONNREFUSED/);
});

test("a reset before and inside the answer is a reset", async (t) => {
  await failsWith(check(t, await scripted(t, "", "reset")), "reset", /./);
  const half = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf";
  await failsWith(check(t, await scripted(t, half, "reset")), "reset", /./);
});

test("an answer that is no HTTP is a protocol failure", async (t) => {
  await failsWith(check(t, await scripted(t, "SSH-2.0-OpenSSH_9.9\r\n")), "protocol", /./);
});

test("interim answers are not the answer", async (t) => {
  const early = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n";
  await check(t, await scripted(t, early + okText("fine"))).becomes("healthy");
});

test("a name that does not resolve is a dns failure", async (t) => {
  const bench = openHealthBench(t);
  const endpoint = localEndpoint(80, { host: "no-such-host.invalid" });
  const spec = healthSpec(httpCheck(), { ...QUICK, timeoutMs: 4_000, unhealthyThreshold: 1 });
  bench.prober.apply(snapshotOf(checkedUpstream([endpoint], spec)));
  await failsWith(bench, "dns", /ENOTFOUND|EAI_AGAIN/);
});

test("an upstream on a Unix socket is asked there, by the name localhost", async (t) => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "crossfade-health-"));
  t.after(() => fs.rmSync(folder, { recursive: true, force: true }));
  const socketPath = path.join(folder, "v2.sock");
  const hosts: (string | undefined)[] = [];
  const server = http.createServer((request, response) => {
    hosts.push(request.headers.host);
    response.end();
  });
  server.listen(socketPath);
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  const bench = openHealthBench(t);
  const endpoint = localEndpoint(0, { host: "localhost", socketPath });
  bench.prober.apply(snapshotOf(checkedUpstream([endpoint], healthSpec(httpCheck(), QUICK))));
  await bench.becomes("healthy");
  assert.equal(hosts[0], "localhost");
  assert.equal(bench.reading().endpoint, `http+unix://${socketPath}`);
});

test("an upstream that is killed and comes back on its port is seen to go and to come", async (t) => {
  const first = await startRawUpstream(t);
  const { port } = first;
  first.onRequest = answering(OK_ANSWER);
  const bench = check(t, port, {}, { unhealthyThreshold: 3 });
  await bench.becomes("healthy");
  await first.close();
  await bench.becomes("unhealthy");
  assert.equal(bench.backSince(), 0);
  const server = http.createServer((_request, response) => response.end());
  server.listen(port, "127.0.0.1");
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  await bench.becomes("healthy");
  assert.notEqual(bench.backSince(), 0);
});

test("close drops the connections", async (t) => {
  const upstream = await startRawUpstream(t);
  upstream.onRequest = answering(OK_ANSWER);
  const bench = check(t, upstream.port);
  await bench.becomes("healthy");
  await bench.prober.close();
  await until(() => upstream.connections.every(({ state }) => state !== "open"), "the connections to end");
});
