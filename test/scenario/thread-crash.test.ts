import assert from "node:assert/strict";
import test from "node:test";
import { crashThread, CRASHABLE } from "../support/faults.ts";
import { startLoad, type Load } from "../support/load.ts";
import { connectRaw, exchangeOnce, requestText } from "../support/raw-client.ts";
import { fileScope, type Scope } from "../support/scope.ts";
import { assertMonotonic, scrape, scrapeUntil } from "../support/scrape.ts";
import { useSidecar, type Sidecar } from "../support/sidecar.ts";
import { spawnUpstream } from "../support/spawn-upstream.ts";
import { until } from "../support/until.ts";
import { openEchoSocket } from "../support/ws-peer.ts";

const CALLERS = 24;
const upstream = await spawnUpstream(fileScope, "v1");

function startCrashable(scope: Scope): Promise<Sidecar> {
  const config = {
    runtime: { threads: 2 },
    log: { access: "all" },
    upstreams: { v1: { endpoints: [upstream.url], pool: { idleTimeout: "2s" } } },
    routes: [{ name: "all", match: { pathPrefix: "/" }, split: { baseline: "v1" } }],
  };
  return useSidecar(scope, config, { nodeArguments: CRASHABLE });
}

function steadyLoad(scope: Scope, sidecar: Sidecar): Load {
  const request = (n: number) => ({ target: `/${n}`, fields: [], key: String(n) });
  return startLoad(scope, { port: sidecar.port, connections: CALLERS, requestsPerSecond: 600, request });
}

async function untilReplaced(sidecar: Sidecar, kind: "data" | "lab", times: number): Promise<void> {
  await scrapeUntil(sidecar, `${times} restarts of a ${kind} thread`, (now) => {
    const running = now.sum("crossfade_threads", { kind, state: "running" });
    return now.sum("crossfade_thread_restarts_total", { kind }) === times && running === (kind === "data" ? 2 : 1);
  });
}

test("when a data thread dies, only the callers on it notice, and only once", async (t) => {
  const sidecar = await startCrashable(t);
  const load = steadyLoad(t, sidecar);
  await load.more(300);
  crashThread(sidecar, "crossfade-data-1");
  await sidecar.log("data thread crashed");
  await untilReplaced(sidecar, "data", 1);
  const replacedMs = performance.now();
  await load.more(300);
  await load.stop();

  const { dropped, failures } = load;
  t.diagnostic(`${failures.length} failed requests; ${dropped.size} of ${CALLERS} callers had to reconnect`);
  assert.ok(dropped.size > 0 && dropped.size < CALLERS, "the kernel had dealt the callers to both threads");
  assert.ok(
    failures.every(({ caller }) => dropped.has(caller)),
    "callers on the other thread notice nothing",
  );
  assert.ok(load.answers.every(({ status }) => status === 200));
  // A caller that reconnects while the dead thread's socket is closing may be thrown out once more.
  assert.ok(failures.length <= 2 * dropped.size, JSON.stringify(failures.slice(0, 5)));
  assert.deepEqual(
    failures.filter(({ askedMs }) => askedMs > replacedMs),
    [],
  );
});

test("the thread that replaces a dead one serves, and readiness never went away", async (t) => {
  const sidecar = await startCrashable(t);
  for (const [times, thread] of ["crossfade-data-0", "crossfade-data-1"].entries()) {
    crashThread(sidecar, thread);
    await untilReplaced(sidecar, "data", times + 1);
    const ready = await fetch(`${sidecar.metricsUrl}/readyz`);
    assert.equal(ready.status, 200);
    await ready.text();
  }
  await until(() => sidecar.logs.filter(({ msg }) => msg === "data thread replaced").length === 2, "both in the log");
  // Both threads are new: whoever serves is a replacement. The kernel deals connections to both.
  for (let i = 0; i < 10; i++) assert.equal((await exchangeOnce(t, sidecar.port, requestText("GET", "/"))).status, 200);
});

test("counters do not go back when a thread dies, and what it was doing is not counted as open for ever", async (t) => {
  const sidecar = await startCrashable(t);
  const load = steadyLoad(t, sidecar);
  await load.more(300);
  const stuck = await Promise.all(Array.from({ length: 12 }, () => connectRaw(t, sidecar.port)));
  for (const client of stuck) client.request(requestText("GET", "/slow?delayMs=60000"));
  const tunnels = await Promise.all(
    Array.from({ length: 12 }, () => openEchoSocket(t, `ws://127.0.0.1:${sidecar.port}/`)),
  );
  await scrapeUntil(sidecar, "12 slow requests in flight and 12 open tunnels", (now) => {
    return now.sum("crossfade_requests_in_flight") >= 12 && now.sum("crossfade_upgrades_open") === 12;
  });
  const before = await scrape(sidecar);
  crashThread(sidecar, "crossfade-data-0");
  await untilReplaced(sidecar, "data", 1);
  const between = await scrape(sidecar);
  assertMonotonic(before, between);
  await load.more(200);
  await load.stop();
  for (const client of stuck) client.destroy();
  assert.ok(
    tunnels.some(({ closed }) => closed !== null),
    "those on the dead thread are gone",
  );
  for (const { socket } of tunnels) socket.terminate();
  const after = await scrapeUntil(sidecar, "no request in flight and no connection", (now) => {
    return now.sum("crossfade_requests_in_flight") === 0 && now.sum("crossfade_downstream_connections") === 0;
  });
  assertMonotonic(between, after);
  await scrapeUntil(sidecar, "no open tunnel", (now) => now.sum("crossfade_upgrades_open") === 0);
  await scrapeUntil(sidecar, "no upstream connection", (now) => now.sum("crossfade_pool_connections") === 0);
});

test("when the lab thread dies, requests go on and the access log comes back", async (t) => {
  const sidecar = await startCrashable(t);
  const load = steadyLoad(t, sidecar);
  await load.more(100);
  // It begins with the first record that it has to write, and runs for certain when it has written one itself.
  await scrapeUntil(sidecar, "the lab thread", (now) => now.sum("crossfade_threads", { kind: "lab" }) === 1);
  const begun = sidecar.logs.length;
  await load.more(100);
  await until(
    () => sidecar.logs.slice(begun).some(({ target }) => typeof target === "string"),
    "a record of the lab's",
  );
  crashThread(sidecar, "crossfade-lab");
  await sidecar.log("lab thread crashed");
  await untilReplaced(sidecar, "lab", 1);
  const replaced = sidecar.logs.length;
  await load.more(200);
  await load.stop();
  assert.deepEqual(load.failures, []);
  assert.ok(load.answers.every(({ status }) => status === 200));
  await until(() => sidecar.logs.slice(replaced).some(({ target }) => typeof target === "string"), "access records");
});

test("SIGTERM while a thread is being replaced still ends with 0", async (t) => {
  const sidecar = await startCrashable(t);
  crashThread(sidecar, "crossfade-data-0");
  await sidecar.log("data thread crashed");
  sidecar.signal("SIGTERM");
  const { code } = await sidecar.exited;
  assert.equal(code, 0);
});
