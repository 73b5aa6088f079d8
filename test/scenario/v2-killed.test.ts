import assert from "node:assert/strict";
import test from "node:test";
import { askAs, circuitOf, getOf, ON_V2, timesInto, untilCircuit, useChaos } from "../support/chaos.ts";
import { startLoad } from "../support/load.ts";
import { connectMany } from "../support/arms.ts";
import { scrape } from "../support/scrape.ts";
import { until } from "../support/until.ts";

/** Long enough that a new v2 is up well before it is over. */
const OPEN_FOR = "4s";

test("v2 killed under load fails no GET, is left alone while its circuit is open, and comes back by itself", async (t) => {
  const conduct = { kind: "slow", delayMs: 20 } as const;
  const { v2, sidecar } = await useChaos(t, { v2: { circuitBreaker: { openFor: OPEN_FOR } } }, { conduct });
  const load = startLoad(t, { port: sidecar.port, connections: 24, requestsPerSecond: 400, request: getOf });
  await load.more(200);
  await until(() => load.answers.some(({ servedBy }) => servedBy === "v2"), "an answer of v2");
  await v2.kill();
  const opened = await untilCircuit(sidecar, "open");
  const mended = load.answers.filter(({ fallback }) => fallback === "arm").length;

  await v2.restart();
  const from = load.answers.length;
  await load.more(100);
  const { requests } = await v2.seen();
  const stillOpen = await scrape(sidecar);
  assert.equal(circuitOf(stillOpen), "open", "the new v2 was up within the open time");
  assert.equal(timesInto(stillOpen, "half_open"), timesInto(opened, "half_open"));
  assert.deepEqual(requests, [], "an open circuit lets nobody through");
  const meanwhile = new Set(load.answers.slice(from, from + 100).map(({ servedBy }) => servedBy));
  assert.deepEqual([...meanwhile], ["v1"]);

  await v2.behave(conduct);
  await untilCircuit(sidecar, "closed");
  const back = load.answers.length;
  await load.more(200);
  await load.stop();
  const arms = new Set(load.answers.slice(back).map(({ servedBy }) => servedBy));
  assert.deepEqual([...arms].toSorted(), ["v1", "v2"], "callers of the candidate are served by v2 again");
  assert.deepEqual(load.failures, []);
  assert.deepEqual([...new Set(load.answers.map(({ status }) => status))], [200]);
  assert.ok(mended >= 3, `${mended} answers of the other arm opened the circuit`);
  t.diagnostic(`${load.answers.length} answers, ${mended} of them mended by the other arm`);
  assertProbedBefore((await v2.seen()).requests);
});

/** Half-open lets exactly three through; everybody else comes after all of them were answered. */
function assertProbedBefore(requests: readonly { readonly arrived: number; readonly answered: number | null }[]): void {
  const probed = Math.max(...requests.slice(0, 3).map(({ answered }) => answered ?? Infinity));
  const fourth = requests[3]?.arrived ?? Infinity;
  assert.ok(fourth > probed, `the fourth request arrived at ${fourth}, the probes were answered at ${probed}`);
}

test("after the third failure in a row v2 gets nothing more, whichever thread asks", async (t) => {
  const { v2, sidecar } = await useChaos(
    t,
    { v2: { circuitBreaker: { openFor: "30s" } } },
    { conduct: { kind: "failing", status: 500 } },
  );
  // The kernel deals them to both threads.
  const clients = await connectMany(t, sidecar.port, 8);
  const answers = [];
  for (let n = 0; n < 40; n++) {
    const client = clients[n % clients.length];
    assert.ok(client !== undefined);
    answers.push(await askAs(client, ON_V2[n] as string));
  }
  const { requests } = await v2.seen();
  assert.equal(requests.length, 3);
  assert.deepEqual([...new Set(answers.map(({ status }) => status))], [200]);
  const mended = answers.map(({ fallback }) => fallback === "arm");
  assert.deepEqual(mended, [true, true, true, ...Array.from({ length: 37 }, () => false)]);
  const after = await scrape(sidecar);
  assert.equal(after.sum("crossfade_decisions_total", { reason: "circuit-open" }), 37);
});
