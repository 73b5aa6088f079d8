import assert from "node:assert/strict";
import test from "node:test";
import { kill, unkill } from "../support/admin-calls.ts";
import { getOf, useChaos } from "../support/chaos.ts";
import { openSockets, untilSockets } from "../support/faults.ts";
import { startLoad } from "../support/load.ts";
import { scrape, scrapeUntil } from "../support/scrape.ts";

const FLIPS = 100;
const POOL = { idleTimeout: "500ms" };

test("100 flips of the kill switch under load fail no request and leak nothing", async (t) => {
  const { v1, v2, sidecar } = await useChaos(t, { v1: { pool: POOL }, v2: { pool: POOL } });
  // What is opened with the first use stays open, the scrape's own connection and the control API's among them.
  await kill(sidecar);
  await unkill(sidecar);
  await scrape(sidecar);
  // One more: two scrapes can overlap, each on a connection of its own.
  const idleSockets = openSockets(sidecar.pid) + 1;
  const load = startLoad(t, { port: sidecar.port, connections: 24, requestsPerSecond: 400, request: getOf });
  await load.more(100);
  for (let flip = 0; flip < FLIPS; flip++) {
    await (flip % 2 === 0 ? kill(sidecar) : unkill(sidecar));
    await load.more(5);
  }
  await load.stop();
  assert.deepEqual(load.failures, []);
  assert.deepEqual([...new Set(load.answers.map(({ status }) => status))], [200]);
  assert.equal(load.dropped.size, 0);
  const arrived = (await v1.seen()).requests.length + (await v2.seen()).requests.length;
  assert.equal(arrived, load.answers.length, "each request was sent once");
  const gauges = [
    "crossfade_requests_in_flight",
    "crossfade_downstream_connections",
    "crossfade_pool_connections",
    "crossfade_pool_pending",
    "crossfade_killed",
  ];
  await scrapeUntil(sidecar, "all gauges to be zero", (now) => gauges.every((gauge) => now.sum(gauge) === 0));
  await untilSockets(sidecar.pid, idleSockets);
  t.diagnostic(`${load.answers.length} answers`);
});
