import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import type { EndpointSpec, HealthSpec } from "../../src/model/snapshot.ts";
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
import { startRawUpstream } from "../support/raw-upstream.ts";
import { spawnUpstream } from "../support/spawn-upstream.ts";
import { until } from "../support/until.ts";

function check(
  t: TestContext,
  port: number,
  health: Partial<HealthSpec> = {},
  endpoint: Partial<EndpointSpec> = {},
): HealthBench {
  const bench = openHealthBench(t);
  const spec = healthSpec({ kind: "tcp" }, { ...QUICK, unhealthyThreshold: 1, ...health });
  bench.prober.apply(snapshotOf(checkedUpstream([localEndpoint(port, endpoint)], spec)));
  return bench;
}

test("a port that accepts is healthy; nothing is sent to it and the connection ends with a FIN", async (t) => {
  const upstream = await startRawUpstream(t);
  const bench = check(t, upstream.port);
  await bench.becomes("healthy");
  const first = await until(() => upstream.connections[0], "a connection");
  await until(() => first.state !== "open", "its end");
  assert.deepEqual([first.state, first.socket.bytesRead], ["fin", 0]);
});

test("an https endpoint is only connected to", async (t) => {
  const upstream = await startRawUpstream(t);
  await check(t, upstream.port, {}, { scheme: "https" }).becomes("healthy");
  assert.equal(upstream.connections[0]?.socket.bytesRead, 0);
});

test("a port where nobody listens is refused", async (t) => {
  const upstream = await startRawUpstream(t);
  const { port } = upstream;
  await upstream.close();
  const bench = check(t, port);
  await bench.becomes("unhealthy");
  assert.deepEqual([bench.reading().lastReason, bench.reading().kind], ["refused", "tcp"]);
});

test("a half-open port, where the kernel answers for a process that stands still, passes for tcp only", async (t) => {
  const upstream = await spawnUpstream(t, "v2");
  process.kill(upstream.pid, "SIGSTOP");
  const tcp = check(t, upstream.port);
  await until(() => tcp.reading().passes >= 3, "three passes");
  assert.equal(tcp.health(), "healthy");
  for (const kind of [httpCheck(), grpcCheck()]) {
    const bench = openHealthBench(t);
    const spec = healthSpec(kind, { ...QUICK, timeoutMs: 50 });
    bench.prober.apply(snapshotOf(checkedUpstream([localEndpoint(upstream.port)], spec)));
    await bench.becomes("unhealthy");
    assert.equal(bench.reading().lastReason, "timeout");
  }
});
