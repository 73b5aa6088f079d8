import assert from "node:assert/strict";
import test from "node:test";
import type { UpstreamView } from "../../src/admin/views.ts";
import { reload, rollBack, view } from "../support/admin-calls.ts";
import { askAs, chaosConfig, getOf, getOnV2, ON_V2, untilServedByV2, useChaos } from "../support/chaos.ts";
import { startLoad } from "../support/load.ts";
import { connectRaw } from "../support/raw-client.ts";
import { scrape, scrapeUntil, type Scrape } from "../support/scrape.ts";
import { useSidecar, type Sidecar } from "../support/sidecar.ts";
import { spawnUpstream, type UpstreamProcess } from "../support/spawn-upstream.ts";

const HEALTH = { http: { path: "/healthz" }, interval: "100ms", unhealthyInterval: "100ms", timeout: "100ms" };

function isUp(scrape: Scrape): boolean {
  return scrape.sum("crossfade_health_up", { upstream: "v2" }) === 1;
}

function unhealthyPicks(scrape: Scrape): number {
  return scrape.sum("crossfade_decisions_total", { reason: "unhealthy" });
}

/** What the control API says of v2's only endpoint. */
async function healthOf(sidecar: Sidecar): Promise<string | undefined> {
  const { upstreams } = await view(sidecar, "status");
  return (upstreams as readonly UpstreamView[]).find(({ name }) => name === "v2")?.endpointStates[0]?.health;
}

async function untilChecked(v2: UpstreamProcess, times: number): Promise<void> {
  const from = (await v2.seen()).healthChecks;
  const deadlineMs = performance.now() + 5_000;
  while ((await v2.seen()).healthChecks < from + times) assert.ok(performance.now() < deadlineMs, "checks go on");
}

test("a candidate gets nothing before its first pass, and callers from then on", async (t) => {
  const [v1, v2] = await Promise.all([spawnUpstream(t, "v1"), spawnUpstream(t, "v2")]);
  await v2.answerHealthChecks("silent");
  const health = { ...HEALTH, unhealthyThreshold: 100 };
  const sidecar = await useSidecar(t, chaosConfig({ v1: v1.url, v2: v2.url }, { v2: { health } }));
  const load = startLoad(t, { port: sidecar.port, connections: 8, requestsPerSecond: 400, request: getOnV2 });
  await load.more(100);
  assert.equal(await healthOf(sidecar), "unknown");
  assert.deepEqual((await v2.seen()).requests, []);
  assert.deepEqual([...new Set(load.answers.map(({ servedBy }) => servedBy))], ["v1"]);
  await v2.answerHealthChecks(200);
  await scrapeUntil(sidecar, "v2 to be healthy", isUp);
  const back = load.answers.length;
  await load.more(50);
  await load.stop();
  // Those under way at the moment of the pass had been decided before it.
  assert.deepEqual([...new Set(load.answers.slice(back + 8).map(({ servedBy }) => servedBy))], ["v2"]);
  assert.deepEqual(load.failures, []);
});

test("an unhealthy candidate is replaced by the baseline without a failed request, and comes back when it is well", async (t) => {
  const { v2, sidecar } = await useChaos(t, { v2: { health: HEALTH } });
  await untilServedByV2(await connectRaw(t, sidecar.port));
  const load = startLoad(t, { port: sidecar.port, connections: 12, requestsPerSecond: 200, request: getOf });
  await load.more(50);
  for (let round = 0; round < 3; round++) {
    await v2.answerHealthChecks(round === 1 ? 500 : 503);
    await scrapeUntil(sidecar, "v2 to be unhealthy", (now) => !isUp(now));
    const before = load.answers.length;
    await load.more(50);
    const meanwhile = load.answers.slice(before + 12);
    assert.deepEqual([...new Set(meanwhile.map(({ servedBy }) => servedBy))], ["v1"]);
    await v2.answerHealthChecks(200);
    await scrapeUntil(sidecar, "v2 to be healthy", isUp);
    const back = load.answers.length;
    await load.more(50);
    assert.ok(load.answers.slice(back).some(({ servedBy }) => servedBy === "v2"));
  }
  await load.stop();
  assert.deepEqual(load.failures, []);
  assert.deepEqual([...new Set(load.answers.map(({ status }) => status))], [200]);
  assert.equal(load.answers.filter(({ fallback }) => fallback !== null).length, 0, "nobody had to be asked in vain");
});

test("a reload keeps what is known of the candidate's health, good or bad", async (t) => {
  const { v1, v2, sidecar } = await useChaos(t, { v2: { health: HEALTH } });
  const urls = { v1: v1.url, v2: v2.url };
  const client = await connectRaw(t, sidecar.port);
  await untilServedByV2(client);
  const picks = unhealthyPicks(await scrape(sidecar));
  // Another timeout is another spec, so the data threads get new pools; the check is left alone, or begun anew.
  const edits = [{ timeouts: { idle: "50s" } }, { timeouts: { idle: "40s" }, health: { ...HEALTH, timeout: "90ms" } }];
  for (const edit of edits) {
    sidecar.writeConfig(chaosConfig(urls, { v2: { health: HEALTH, ...edit } }));
    await reload(sidecar);
    for (const key of ON_V2.slice(0, 10)) assert.equal((await askAs(client, key)).servedBy, "v2");
  }
  assert.equal(unhealthyPicks(await scrape(sidecar)), picks);

  await v2.answerHealthChecks(503);
  await scrapeUntil(sidecar, "v2 to be unhealthy", (now) => !isUp(now));
  sidecar.writeConfig(chaosConfig(urls, { v2: { health: HEALTH, timeouts: { idle: "30s" } } }));
  await reload(sidecar);
  assert.equal(await healthOf(sidecar), "unhealthy");
  assert.equal((await askAs(client, ON_V2[0] as string)).servedBy, "v1");
});

test("checks go on while the share is 0, and see the candidate fall and come back", async (t) => {
  const { v2, sidecar } = await useChaos(t, { v2: { health: HEALTH } });
  await rollBack(sidecar, "api");
  await scrapeUntil(sidecar, "v2 to be healthy", isUp);
  await untilChecked(v2, 3);
  await v2.kill();
  await scrapeUntil(sidecar, "v2 to be unhealthy", (now) => !isUp(now));
  await v2.restart();
  await scrapeUntil(sidecar, "v2 to be healthy", isUp);
  assert.deepEqual((await v2.seen()).requests, []);
});
