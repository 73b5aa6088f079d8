import assert from "node:assert/strict";
import test from "node:test";
import { startLoad, type Load } from "../support/load.ts";
import { connectRaw, requestText } from "../support/raw-client.ts";
import { fileScope, type Scope } from "../support/scope.ts";
import { scrapeUntil } from "../support/scrape.ts";
import { startSidecar, type Sidecar } from "../support/sidecar.ts";
import { spawnUpstream } from "../support/spawn-upstream.ts";
import { until } from "../support/until.ts";
import { openEchoSocket } from "../support/ws-peer.ts";

const upstream = await spawnUpstream(fileScope, "v1");

interface DrainTimes {
  readonly lameDuckMs: number;
  readonly deadlineMs: number;
}

async function startDraining(scope: Scope, { lameDuckMs, deadlineMs }: DrainTimes): Promise<Sidecar> {
  const sidecar = await startSidecar({
    runtime: { threads: 2, drain: { lameDuck: `${lameDuckMs}ms`, deadline: `${deadlineMs}ms` } },
    upstreams: { v1: { endpoints: [upstream.url] } },
    routes: [{ name: "all", match: { pathPrefix: "/" }, split: { baseline: "v1" } }],
  });
  scope.after(async () => {
    await sidecar.stop();
  });
  return sidecar;
}

function steadyLoad(scope: Scope, sidecar: Sidecar): Load {
  const request = (n: number) => ({ target: `/${n}`, fields: [], key: String(n) });
  return startLoad(scope, { port: sidecar.port, connections: 30, requestsPerSecond: 600, request });
}

/** What a balancer does: asks again and again, and resolves when the answer is no. */
async function untilNotReady(sidecar: Sidecar): Promise<void> {
  for (;;) {
    const answer = await fetch(`${sidecar.metricsUrl}/readyz`, { signal: AbortSignal.timeout(2_000) });
    await answer.text();
    if (answer.status === 503) return;
    assert.equal(answer.status, 200);
  }
}

async function inFlight(sidecar: Sidecar, count: number): Promise<void> {
  const arrived = `${count} requests in flight`;
  await scrapeUntil(sidecar, arrived, (now) => now.sum("crossfade_requests_in_flight") === count);
}

async function exitOf(
  sidecar: Sidecar,
  sinceMs: number,
): Promise<{ readonly code: number | null; readonly ms: number }> {
  const { code } = await sidecar.exited;
  return { code, ms: performance.now() - sinceMs };
}

test("SIGTERM under load fails no request of clients that reconnect while the balancer still sends them", async (t) => {
  const sidecar = await startDraining(t, { lameDuckMs: 1_000, deadlineMs: 5_000 });
  const load = steadyLoad(t, sidecar);
  await load.more(300);
  const signalledMs = performance.now();
  sidecar.signal("SIGTERM");
  await untilNotReady(sidecar);
  const notReadyMs = performance.now() - signalledMs;
  // The balancer has seen it, and its word takes a while to get round: the load goes on for half the lame duck.
  await until(() => performance.now() - signalledMs > 500, "half the lame duck");
  await load.stop();
  const exit = await exitOf(sidecar, signalledMs);
  t.diagnostic(`not ready after ${Math.round(notReadyMs)} ms, exit ${Math.round(exit.ms)} ms after the signal`);
  assert.ok(notReadyMs < 500, `not ready after ${notReadyMs} ms`);
  assert.deepEqual(load.failures, []);
  assert.deepEqual([...new Set(load.answers.map(({ status }) => status))], [200]);
  const late = load.answers.filter(({ askedMs }) => askedMs > signalledMs + notReadyMs);
  assert.ok(late.length > 50, "the load went on after the signal");
  assert.ok(
    late.every(({ closing }) => closing),
    "every answer after it sends its client elsewhere",
  );
  assert.equal(exit.code, 0);
  assert.ok(exit.ms >= 1_000 && exit.ms < 2_500, `exit after ${exit.ms} ms: nothing was left to wait for`);
});

test("what is under way when SIGTERM comes is finished, and the exit is inside the deadline", async (t) => {
  const sidecar = await startDraining(t, { lameDuckMs: 300, deadlineMs: 4_000 });
  const slow = await connectRaw(t, sidecar.port);
  slow.request(requestText("GET", "/slow?delayMs=1200"));
  const upload = await connectRaw(t, sidecar.port);
  upload.request(requestText("POST", "/upload", ["Content-Length: 10"]));
  upload.send("hello");
  await inFlight(sidecar, 2);
  const signalledMs = performance.now();
  sidecar.signal("SIGTERM");
  await sidecar.log("drain started");
  await until(() => performance.now() - signalledMs > 600, "the lame duck to be over");
  upload.send("world");
  const [slowAnswer, uploadAnswer] = await Promise.all([slow.answer(), upload.answer()]);
  const exit = await exitOf(sidecar, signalledMs);
  assert.deepEqual([slowAnswer.status, uploadAnswer.status], [200, 200]);
  assert.ok(slowAnswer.complete && uploadAnswer.complete);
  assert.equal(exit.code, 0);
  assert.ok(exit.ms < 4_000, `exit after ${exit.ms} ms`);
  assert.ok(sidecar.logs.some(({ msg }) => msg === "drain finished"));
});

test("an open WebSocket gets four fifths of the drain, and then the process ends with 0", async (t) => {
  const sidecar = await startDraining(t, { lameDuckMs: 0, deadlineMs: 2_000 });
  const peer = await openEchoSocket(t, `${sidecar.url.replace("http:", "ws:")}/ws`);
  await peer.echo("before");
  const signalledMs = performance.now();
  sidecar.signal("SIGTERM");
  await sidecar.log("drain started");
  await peer.echo("during the drain");
  await until(() => peer.closed, "the WebSocket to end");
  const closedMs = performance.now() - signalledMs;
  const exit = await exitOf(sidecar, signalledMs);
  t.diagnostic(
    `the WebSocket ended ${Math.round(closedMs)} ms after the signal, the process ${Math.round(exit.ms)} ms`,
  );
  assert.ok(closedMs >= 1_500 && closedMs < 2_000, `ended after ${closedMs} ms`);
  assert.equal(exit.code, 0);
  // Not more than the exit itself takes on a busy machine.
  assert.ok(exit.ms < 3_000, `exit after ${exit.ms} ms`);
});

test("a request that outlasts the deadline is cut, and the exit is still 0", async (t) => {
  const sidecar = await startDraining(t, { lameDuckMs: 0, deadlineMs: 700 });
  const client = await connectRaw(t, sidecar.port);
  client.request(requestText("GET", "/slow?delayMs=20000"));
  await inFlight(sidecar, 1);
  const signalledMs = performance.now();
  sidecar.signal("SIGTERM");
  await client.closed();
  const exit = await exitOf(sidecar, signalledMs);
  assert.equal(exit.code, 0);
  assert.ok(exit.ms >= 650 && exit.ms < 2_000, `exit after ${exit.ms} ms`);
});

test("a second SIGTERM ends now", async (t) => {
  const sidecar = await startDraining(t, { lameDuckMs: 10_000, deadlineMs: 60_000 });
  const client = await connectRaw(t, sidecar.port);
  client.request(requestText("GET", "/slow?delayMs=20000"));
  await inFlight(sidecar, 1);
  sidecar.signal("SIGTERM");
  await sidecar.log("drain started");
  const signalledMs = performance.now();
  sidecar.signal("SIGTERM");
  const exit = await exitOf(sidecar, signalledMs);
  t.diagnostic(`exit ${Math.round(exit.ms)} ms after the second signal`);
  assert.equal(exit.code, 0);
  assert.ok(exit.ms < 1_500, `exit after ${exit.ms} ms`);
});
