import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import type { EndpointSpec, HealthCheckSpec, HealthSpec, UpstreamTlsSpec } from "../../src/model/snapshot.ts";
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
import type { Scope } from "../support/scope.ts";
import { selfSigned } from "../support/self-signed.ts";
import { until } from "../support/until.ts";
import { findTool, startTool, testWith, useFolder, type RunningTool, type Tool } from "./tools.ts";

const SERVER = fileURLToPath(new URL("health_server.rb", import.meta.url));
const RUBY = findRubyGrpc();
const TIMEOUT_MS = 60_000;
/** So long that nothing but a message of the server can be behind what happens. */
const RARELY = { intervalMs: 3_600_000, unhealthyIntervalMs: 3_600_000, timeoutMs: 5_000 } as const;

interface RubyServer extends RunningTool {
  readonly port: number;
}

function findRubyGrpc(): Tool {
  const { command } = findTool("ruby");
  const able = command !== null && spawnSync(command, ["-e", 'require "grpc/health/checker"']).status === 0;
  return { name: "ruby-grpc", command: able ? command : null };
}

async function serve(
  scope: Scope,
  ruby: string,
  mode: "check" | "watch" | "none",
  more: readonly (string | number)[] = [0],
): Promise<RubyServer> {
  const server = startTool(scope, ruby, [SERVER, mode, ...more.map(String)]);
  const port = await until(() => /^port (\d+)$/m.exec(server.printed())?.[1], "the ruby server", {
    deadlineMs: 30_000,
  });
  return { ...server, port: Number(port) };
}

function check(
  scope: Scope,
  port: number,
  over: Partial<Extract<HealthCheckSpec, { kind: "grpc" }>> = {},
  health: Partial<HealthSpec> = QUICK,
  https: { readonly endpoint: Partial<EndpointSpec>; readonly tls: UpstreamTlsSpec } | null = null,
): HealthBench {
  const bench = openHealthBench(scope);
  const endpoint = localEndpoint(port, https?.endpoint);
  const spec = healthSpec(grpcCheck(over), health);
  bench.prober.apply(snapshotOf(checkedUpstream([endpoint], spec, { tls: https?.tls ?? null })));
  return bench;
}

testWith(
  [RUBY],
  "a ruby server that serves is healthy, as a whole and by service",
  TIMEOUT_MS,
  async (t, [ruby = ""]) => {
    const { port } = await serve(t, ruby, "check");
    const [whole, service] = [check(t, port), check(t, port, { service: "shop.Cart" })];
    await whole.becomes("healthy");
    await service.becomes("healthy");
    await until(() => whole.reading().passes >= 10, "ten passes");
    assert.ok(Object.values(whole.reading().failures).every((count) => count === 0));
  },
);

testWith([RUBY], "a ruby server without Watch is followed by checks", TIMEOUT_MS, async (t, [ruby = ""]) => {
  const { port, pid } = await serve(t, ruby, "check");
  const bench = check(t, port);
  await bench.becomes("healthy");
  process.kill(pid, "SIGUSR1");
  await bench.becomes("unhealthy");
  assert.deepEqual([bench.reading().lastReason, bench.reading().failures["not-serving"]], ["not-serving", 1]);
  process.kill(pid, "SIGUSR2");
  await bench.becomes("healthy");
});

testWith([RUBY], "a ruby server with Watch is believed at once", TIMEOUT_MS, async (t, [ruby = ""]) => {
  const { port, pid } = await serve(t, ruby, "watch");
  const bench = check(t, port, {}, RARELY);
  await bench.becomes("healthy");
  // Whatever is told before the watch is open, its first message tells again.
  process.kill(pid, "SIGUSR1");
  await bench.becomes("unhealthy");
  assert.deepEqual([bench.reading().lastReason, bench.reading().passes], ["not-serving", 1]);
});

testWith([RUBY], "a service that a ruby server does not know is unhealthy", TIMEOUT_MS, async (t, [ruby = ""]) => {
  const { port } = await serve(t, ruby, "check");
  const bench = check(t, port, { service: "shop.Nothing" });
  await bench.becomes("unhealthy");
  assert.equal(bench.reading().lastReason, "unknown-service");
});

testWith([RUBY], "a ruby server without the health service counts as told", TIMEOUT_MS, async (t, [ruby = ""]) => {
  const { port } = await serve(t, ruby, "none");
  const strict = check(t, port);
  await strict.becomes("unhealthy");
  assert.equal(strict.reading().lastReason, "unimplemented");
  await check(t, port, { unimplemented: "healthy" }).becomes("healthy");
});

testWith([RUBY], "a ruby server over TLS is healthy when trusted", TIMEOUT_MS, async (t, [ruby = ""]) => {
  const pair = selfSigned();
  const folder = useFolder(t);
  const [cert, key] = [path.join(folder, "cert.pem"), path.join(folder, "key.pem")];
  fs.writeFileSync(cert, pair.cert);
  fs.writeFileSync(key, pair.key);
  const { port } = await serve(t, ruby, "check", [0, cert, key]);
  const tls = { ca: pair.cert, cert: null, key: null, serverName: null };
  const endpoint = { scheme: "https" } as const;
  await check(t, port, {}, QUICK, { endpoint, tls }).becomes("healthy");
  await check(t, port, {}, QUICK, { endpoint: { ...endpoint, host: "localhost" }, tls }).becomes("healthy");
  const distrusting = check(t, port, {}, QUICK, { endpoint, tls: { ...tls, ca: null } });
  await distrusting.becomes("unhealthy");
  assert.equal(distrusting.reading().lastReason, "tls");
});

testWith(
  [RUBY],
  "a ruby server that is killed, stopped and started again is followed",
  TIMEOUT_MS,
  async (t, [ruby = ""]) => {
    const first = await serve(t, ruby, "check");
    const bench = check(t, first.port, {}, { ...QUICK, timeoutMs: 150 });
    await bench.becomes("healthy");
    process.kill(first.pid, "SIGSTOP");
    await bench.becomes("unhealthy");
    assert.equal(bench.reading().lastReason, "timeout");
    process.kill(first.pid, "SIGCONT");
    await bench.becomes("healthy");
    process.kill(first.pid, "SIGKILL");
    await bench.becomes("unhealthy");
    await until(() => bench.reading().lastReason === "refused", "refusals");
    await serve(t, ruby, "watch", [first.port]);
    await bench.becomes("healthy");
  },
);
