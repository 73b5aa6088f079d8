import assert from "node:assert/strict";
import { test } from "node:test";
import type { EndpointSpec, HealthCheckSpec } from "../../src/model/snapshot.ts";
import { connecting, fullPort } from "../support/full-port.ts";
import {
  checkedUpstream,
  grpcCheck,
  healthSpec,
  httpCheck,
  localEndpoint,
  openHealthBench,
  QUICK,
  snapshotOf,
} from "../support/health-bench.ts";
import { until } from "../support/until.ts";

const CHECKS: readonly (readonly [HealthCheckSpec, Partial<EndpointSpec>])[] = [
  [{ kind: "tcp" }, {}],
  [httpCheck(), {}],
  [httpCheck(), { scheme: "https" }],
  [grpcCheck(), {}],
  [grpcCheck(), { scheme: "https" }],
  [grpcCheck(), { host: "localhost" }],
];

for (const [check, endpoint] of CHECKS) {
  const name = [check.kind, endpoint.scheme ?? "http", endpoint.host ?? "by address"].join(", ");
  test(`a host that drops packets times out, and no attempts to connect pile up (${name})`, async (t) => {
    const port = await fullPort(t);
    const before = connecting(port);
    const bench = openHealthBench(t);
    const spec = healthSpec(check, { ...QUICK, timeoutMs: 30 });
    bench.prober.apply(snapshotOf(checkedUpstream([localEndpoint(port, endpoint)], spec)));
    await until(() => bench.reading().failures.timeout >= 6, "six timeouts", {
      detail: () => JSON.stringify(bench.reading().failures),
    });
    assert.equal(bench.health(), "unhealthy");
    assert.ok(connecting(port) <= before + 1, `${connecting(port)} connections are under way, ${before} are not ours`);
    await bench.prober.close();
    await until(() => connecting(port) <= before, "the last attempt to end");
  });
}
