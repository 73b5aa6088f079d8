/**
 * Checks endpoints until each is healthy, says what it has loaded, and then does nothing: it ends when nothing keeps it
 * alive. Arguments: KIND=PORT …
 */
import { createRequire } from "node:module";
import { EndpointStatus } from "../../src/control/endpoint-status.ts";
import { openProber } from "../../src/control/prober.ts";
import type { HealthCheckSpec } from "../../src/model/snapshot.ts";
import { systemClock } from "../../src/system-clock.ts";
import { checkedUpstream, grpcCheck, healthSpec, httpCheck, localEndpoint, snapshotOf } from "./health-bench.ts";
import { GATES, gateStride } from "../../src/base/gates.ts";

const CHECKS: Readonly<Record<string, HealthCheckSpec>> = {
  http: httpCheck(),
  grpc: grpcCheck(),
  tcp: { kind: "tcp" },
};

const status = new EndpointStatus(new Int32Array(GATES * gateStride(1)), 1, systemClock);
const prober = openProber({ clock: systemClock, random: Math.random, status, onEvent: () => {} });
const targets = process.argv.slice(2).map((argument) => argument.split("=") as [string, string]);
prober.apply(
  snapshotOf(
    ...targets.map(([kind, port], index) =>
      checkedUpstream([localEndpoint(Number(port))], healthSpec(CHECKS[kind] as HealthCheckSpec, { intervalMs: 50 }), {
        name: `${kind}${index}`,
        gate: index,
      }),
    ),
  ),
);
const poll = setInterval(() => {
  if (!prober.readings().every((reading) => reading.passes >= 3)) return;
  clearInterval(poll);
  const files = Object.keys(createRequire(import.meta.url).cache);
  const loaded = ["undici", "@grpc/grpc-js"].filter((name) => files.some((file) => file.includes(`/${name}/`)));
  process.stdout.write(`${JSON.stringify(loaded)}\n`);
}, 10);
