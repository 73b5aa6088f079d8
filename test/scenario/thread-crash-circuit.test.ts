import assert from "node:assert/strict";
import test from "node:test";
import { connectMany } from "../support/arms.ts";
import {
  askAs,
  circuitOf,
  ON_V2,
  timesInto,
  untilCircuit,
  untilSeen,
  untilServedByV2,
  useChaos,
} from "../support/chaos.ts";
import { crashThread, CRASHABLE } from "../support/faults.ts";
import { connectRaw, requestText, type RawClient } from "../support/raw-client.ts";
import type { Scope } from "../support/scope.ts";
import { scrape, scrapeUntil } from "../support/scrape.ts";
import type { Sidecar } from "../support/sidecar.ts";
import { until } from "../support/until.ts";

/** As many as a half-open circuit lets through. */
const PERMITS = 3;

async function untilReplaced(sidecar: Sidecar, times: number): Promise<void> {
  await scrapeUntil(sidecar, `${times} replaced threads`, (now) => {
    const running = now.sum("crossfade_threads", { kind: "data", state: "running" });
    return now.sum("crossfade_thread_restarts_total", { kind: "data" }) === times && running === 2;
  });
}

/** Connections on data thread 1: those that outlive a crash of the other one. */
async function connectToThread1(scope: Scope, sidecar: Sidecar): Promise<RawClient[]> {
  const clients = await connectMany(scope, sidecar.port, 24);
  // Accepted by the kernel is not yet taken by a thread.
  for (const client of clients) assert.equal((await askAs(client, ON_V2[0] as string)).status, 200);
  crashThread(sidecar, "crossfade-data-0");
  await untilReplaced(sidecar, 1);
  await until(() => clients.some(({ state }) => state !== "open"), "the connections of the dead thread to end");
  const left = clients.filter(({ state }) => state === "open");
  assert.ok(left.length >= PERMITS && left.length < clients.length, `${left.length} of ${clients.length} are left`);
  return left;
}

test("an open circuit stays open when a data thread dies, for the others and for its replacement", async (t) => {
  const wish = { v2: { circuitBreaker: { openFor: "60s" } } };
  const options = { nodeArguments: CRASHABLE, conduct: { kind: "failing", status: 500 } } as const;
  const { v2, sidecar } = await useChaos(t, wish, options);
  const client = await connectRaw(t, sidecar.port);
  for (const key of ON_V2.slice(0, 3)) await askAs(client, key);
  await untilCircuit(sidecar, "open");
  for (const [times, thread] of ["crossfade-data-0", "crossfade-data-1"].entries()) {
    crashThread(sidecar, thread);
    await untilReplaced(sidecar, times + 1);
    for (const one of await connectMany(t, sidecar.port, 8)) {
      assert.deepEqual(await askAs(one, ON_V2[0] as string), {
        status: 200,
        servedBy: "v1",
        fallback: null,
        error: null,
      });
    }
  }
  assert.equal((await v2.seen()).requests.length, 3);
  const after = await scrape(sidecar);
  assert.deepEqual([circuitOf(after), timesInto(after, "open")], ["open", 1]);
});

test("a half-open circuit whose probes died with their thread gives their permits out again", async (t) => {
  // No probe fails by itself: it waits for v2 for longer than the test takes.
  const timeouts = { responseHead: "60s", request: "60s" };
  const { v2, sidecar } = await useChaos(t, { v2: { timeouts } }, { nodeArguments: CRASHABLE });
  const onThread1 = await connectToThread1(t, sidecar);
  await v2.behave({ kind: "failing", status: 500 });
  for (const key of ON_V2.slice(0, 3)) await askAs(onThread1[0] as RawClient, key);
  const { requests } = await v2.seen();
  await v2.behave({ kind: "silent" });
  await untilCircuit(sidecar, "half_open");
  for (const client of onThread1.slice(0, PERMITS)) client.request(requestText("GET", "/", [`x-user-id: ${ON_V2[0]}`]));
  await untilSeen(v2, requests.length + PERMITS);
  const bystander = await connectRaw(t, sidecar.port);
  assert.equal((await askAs(bystander, ON_V2[0] as string)).servedBy, "v1", "all permits are out");

  crashThread(sidecar, "crossfade-data-1");
  await untilReplaced(sidecar, 2);
  await v2.behave({ kind: "good" });
  const client = await connectRaw(t, sidecar.port);
  for (let n = 0; n < PERMITS; n++) await untilServedByV2(client);
  await untilCircuit(sidecar, "closed");
});
