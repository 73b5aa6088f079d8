import assert from "node:assert/strict";
import test from "node:test";
import { expectedArms, userKeys } from "../support/arms.ts";
import { startLoad, type Load, type LoadAnswer } from "../support/load.ts";
import { armsOf, ctl, OPERATION, startPlan, usePlanServices } from "../support/plan-s0.ts";
import { fileScope, type Scope } from "../support/scope.ts";
import { scrape } from "../support/scrape.ts";
import type { Sidecar } from "../support/sidecar.ts";

const CLIENTS = userKeys(200);
const ROUTE = "kgc";
const PPM = 10_000;
const services = await usePlanServices(fileScope);

function steadyLoad(scope: Scope, sidecar: Sidecar, method: "GET" | "POST"): Load {
  const request = (n: number) => {
    const key = CLIENTS[n % CLIENTS.length] as string;
    return { target: OPERATION, fields: [`x-client-id: ${key}`], key, method };
  };
  return startLoad(scope, { port: sidecar.port, connections: 8, requestsPerSecond: 400, request });
}

function errorShare(answers: readonly LoadAnswer[]): number {
  return answers.filter(({ status }) => status >= 500).length / answers.length;
}

test("phase 1: with v2 disabled everybody is on v1, whatever the percentage says", async (t) => {
  const before = (await services.v2.seen()).requests.length;
  const off = { KGC_SIDECAR_V2_ENABLED: "false", KGC_SIDECAR_V2_ROLLOUT_PERCENTAGE: "50" };
  const sidecar = await startPlan(t, services, off);
  assert.deepEqual(await armsOf(t, sidecar, CLIENTS), expectedArms(CLIENTS, ROUTE, 0));
  assert.equal((await services.v2.seen()).requests.length, before);
});

test("phase 3: the percentage variable takes clients to v2 in steps, and 0 takes all of them back", async (t) => {
  for (const percent of [10, 50, 100, 0]) {
    const sidecar = await startPlan(t, services, { KGC_SIDECAR_V2_ROLLOUT_PERCENTAGE: String(percent) });
    const arms = await armsOf(t, sidecar, CLIENTS);
    assert.deepEqual(arms, expectedArms(CLIENTS, ROUTE, percent * PPM), `at ${percent} %`);
    assert.equal((await scrape(sidecar)).sum("crossfade_split_share", { route: ROUTE }), percent / 100);
    assert.equal((await sidecar.stop()).code, 0);
  }
});

test("phase 3: an operator goes 10, 50, 100 % while it runs, and no request fails", async (t) => {
  const sidecar = await startPlan(t, services, { KGC_SIDECAR_V2_ROLLOUT_PERCENTAGE: "10" });
  const load = steadyLoad(t, sidecar, "GET");
  for (const percent of [10, 50, 100]) {
    if (percent !== 10) await ctl(sidecar, "split", ROUTE, `${percent}%`, "--reason", "the plan's next step");
    const setMs = performance.now();
    await load.more(300);
    const expected = expectedArms(CLIENTS, ROUTE, percent * PPM);
    const wrong = load.answers.filter(
      ({ askedMs, key, servedBy }) => askedMs > setMs && servedBy !== expected.get(key),
    );
    assert.deepEqual(wrong, [], `at ${percent} %`);
  }
  await load.stop();
  assert.deepEqual(load.failures, []);
  assert.deepEqual([...new Set(load.answers.map(({ status }) => status))], [200]);
});

test("phase 3: when the error rate rises, a rollback brings it back to where it was", async (t) => {
  t.after(() => services.v2.behave({ kind: "good" }));
  const sidecar = await startPlan(t, services, { KGC_SIDECAR_V2_ROLLOUT_PERCENTAGE: "100" });
  // What is no safe method is answered as v2 answers it, so that its errors show.
  const load = steadyLoad(t, sidecar, "POST");
  await load.more(200);
  assert.equal(errorShare(load.answers), 0);
  // A third: above the plan's limit of 10 %, and no reason for the circuit to open.
  await services.v2.behave({ kind: "failing", status: 500, every: 3 });
  await load.more(50);
  const bad = load.answers.length;
  await load.more(200);
  const share = errorShare(load.answers.slice(bad));
  assert.ok(share > 0.1, `${share}`);
  await ctl(sidecar, "rollback", ROUTE, "--reason", "the error rate rose by more than 10 %");
  const rolledBackMs = performance.now();
  await load.more(200);
  await load.stop();
  const after = load.answers.filter(({ askedMs }) => askedMs > rolledBackMs);
  assert.ok(after.length > 100);
  assert.equal(errorShare(after), 0);
  assert.deepEqual([...new Set(after.map(({ servedBy }) => servedBy))], ["v1"]);
  assert.deepEqual(load.failures, []);
  const totals = await scrape(sidecar);
  const errors = load.answers.filter(({ status }) => status === 500).length;
  assert.equal(totals.sum("crossfade_requests_total", { route: ROUTE, arm: "candidate", code: "500" }), errors);
  assert.equal(totals.sum("crossfade_requests_total", { route: ROUTE, arm: "baseline", code: "500" }), 0);
  t.diagnostic(`error rate ${(share * 100).toFixed(0)} % before the rollback, 0 % after it`);
});
