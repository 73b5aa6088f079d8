import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import type { HealthCheckSpec, UpstreamTlsSpec } from "../../src/model/snapshot.ts";
import { startHealthServer } from "../support/grpc-health-server.ts";
import {
  checkedUpstream,
  grpcCheck,
  healthSpec,
  httpCheck,
  localEndpoint,
  openHealthBench,
  QUICK,
  snapshotOf,
  type HealthBench,
} from "../support/health-bench.ts";
import { answering, OK_ANSWER, startRawUpstream } from "../support/raw-upstream.ts";
import { selfSigned } from "../support/self-signed.ts";
import { startTlsUpstream } from "../support/tls-peers.ts";

const pair = selfSigned("server");
const client = selfSigned("sidecar");
const TRUSTING: UpstreamTlsSpec = { ca: pair.cert, cert: null, key: null, serverName: null };

function check(
  t: TestContext,
  kind: HealthCheckSpec,
  port: number,
  tls: UpstreamTlsSpec | null,
  host = "127.0.0.1",
): HealthBench {
  const bench = openHealthBench(t);
  const spec = healthSpec(kind, { ...QUICK, unhealthyThreshold: 1 });
  bench.prober.apply(snapshotOf(checkedUpstream([localEndpoint(port, { scheme: "https", host })], spec, { tls })));
  return bench;
}

async function failsByTls(bench: HealthBench): Promise<void> {
  await bench.becomes("unhealthy");
  assert.equal(bench.reading().lastReason, "tls", bench.reading().lastDetail ?? "");
}

test("an https upstream with a trusted certificate is healthy, by address and by name", async (t) => {
  const upstream = await startTlsUpstream(t, pair);
  await check(t, httpCheck(), upstream.port, TRUSTING).becomes("healthy");
  await check(t, httpCheck(), upstream.port, TRUSTING, "localhost").becomes("healthy");
  await check(t, httpCheck(), upstream.port, { ...TRUSTING, serverName: "localhost" }).becomes("healthy");
  assert.deepEqual(upstream.names.slice(0, 3), [false, "localhost", "localhost"]);
});

test("an https upstream that is not trusted, or has another name, is a tls failure", async (t) => {
  const upstream = await startTlsUpstream(t, pair);
  await failsByTls(check(t, httpCheck(), upstream.port, null));
  await failsByTls(check(t, httpCheck(), upstream.port, { ...TRUSTING, serverName: "other.test" }));
  assert.equal(upstream.requests, 0);
});

test("a plain upstream behind an https endpoint is a tls failure", async (t) => {
  const upstream = await startRawUpstream(t);
  upstream.onConnection = ({ socket }) => socket.end("HTTP/1.1 400 Bad Request\r\n\r\n");
  upstream.onRequest = answering(OK_ANSWER);
  await failsByTls(check(t, httpCheck(), upstream.port, TRUSTING));
});

test("probes show the client certificate of the upstream", async (t) => {
  const upstream = await startTlsUpstream(t, pair, { clientCa: [client.cert] });
  const bench = check(t, httpCheck(), upstream.port, { ...TRUSTING, ...client });
  await bench.becomes("healthy");
  assert.equal(upstream.identities[0], "sidecar");
  await check(t, httpCheck(), upstream.port, TRUSTING).becomes("unhealthy");
});

test("a gRPC upstream over TLS is healthy when trusted, by address and by name", async (t) => {
  const server = await startHealthServer(t, { tls: pair });
  await check(t, grpcCheck(), server.port, TRUSTING).becomes("healthy");
  await check(t, grpcCheck(), server.port, TRUSTING, "localhost").becomes("healthy");
  await check(t, grpcCheck(), server.port, { ...TRUSTING, serverName: "localhost" }).becomes("healthy");
});

test("a gRPC upstream that is not trusted, or has another name, is a tls failure", async (t) => {
  const server = await startHealthServer(t, { tls: pair });
  await failsByTls(check(t, grpcCheck(), server.port, null));
  await failsByTls(check(t, grpcCheck(), server.port, { ...TRUSTING, serverName: "other.test" }));
  assert.deepEqual(server.calls, []);
});

test("gRPC probes show the client certificate of the upstream", async (t) => {
  const server = await startHealthServer(t, { tls: pair, clientCa: client.cert });
  await check(t, grpcCheck(), server.port, { ...TRUSTING, ...client }).becomes("healthy");
  await check(t, grpcCheck(), server.port, TRUSTING).becomes("unhealthy");
});
