import assert from "node:assert/strict";
import { test } from "node:test";
import { openProbe } from "../../src/control/probe.ts";
import type { HealthCheckSpec } from "../../src/model/snapshot.ts";
import { PASS } from "../../src/policy/health.ts";
import { settled } from "../support/fake-timers.ts";
import { startHealthServer } from "../support/grpc-health-server.ts";
import { checkedUpstream, grpcCheck, healthSpec, httpCheck, localEndpoint } from "../support/health-bench.ts";
import { spawnUpstream } from "../support/spawn-upstream.ts";

const TIMEOUT_MS = 100;
const CHECKS: readonly HealthCheckSpec[] = [httpCheck({ path: "/" }), { kind: "tcp" }];

for (const check of CHECKS) {
  test(`an answer that came while this thread stood still is no timeout (${check.kind})`, async (t) => {
    const { port } = await spawnUpstream(t, "v2");
    const endpoint = localEndpoint(port);
    const health = healthSpec(check, { timeoutMs: TIMEOUT_MS });
    const upstream = checkedUpstream([endpoint], health);
    const probe = await openProbe({ upstream, endpoint, health }, { onHint: () => {}, onDenied: () => {} });
    t.after(() => probe.close());
    assert.deepEqual(await probe.run(), PASS);
    const result = probe.run();
    // undici first looks for one turn of the loop whether an idle connection is still there; then the question leaves.
    await settled();
    standStill(3 * TIMEOUT_MS);
    assert.deepEqual(await result, PASS);
  });
}

test("a probe that was given up resolves, whatever it waits for", async (t) => {
  const server = await startHealthServer(t, { stalls: () => true });
  for (const check of [grpcCheck(), httpCheck()]) {
    const endpoint = localEndpoint(server.port);
    const health = healthSpec(check, { timeoutMs: 60_000 });
    const upstream = checkedUpstream([endpoint], health);
    const probe = await openProbe({ upstream, endpoint, health }, { onHint: () => {}, onDenied: () => {} });
    const result = probe.run();
    await settled();
    probe.close();
    assert.equal((await result).kind, "fail");
  }
});

function standStill(ms: number): void {
  const endMs = performance.now() + ms;
  while (performance.now() < endMs);
}
