import assert from "node:assert/strict";
import test from "node:test";
import { view } from "../support/admin-calls.ts";
import { userKeys } from "../support/arms.ts";
import { short, timesInto, untilCircuit } from "../support/chaos.ts";
import { startLoad } from "../support/load.ts";
import { header } from "../support/message-reader.ts";
import { askOperation, armsOf, ctl, OPERATION, startPlan, usePlanServices } from "../support/plan-s0.ts";
import { scrape, scrapeUntil, type Scrape } from "../support/scrape.ts";
import type { Scope } from "../support/scope.ts";
import type { Sidecar } from "../support/sidecar.ts";
import { until } from "../support/until.ts";

const CLIENTS = userKeys(60);
const ALL_ON_V2 = { KGC_SIDECAR_V2_ROLLOUT_PERCENTAGE: "100" };
/** The checks do not take v2 out before its circuit does. */
const CIRCUIT_FIRST = { KGC_SIDECAR_HEALTH_CHECK_RETRIES: "100" };
/** The plan's own, for what must stay open for a whole test. */
const STAYS_OPEN = { ...CIRCUIT_FIRST, KGC_SIDECAR_CIRCUIT_BREAKER_TIMEOUT: "30000" };
const NO_FALLBACK = { KGC_SIDECAR_FALLBACK_MODE: "none" };

/** Refused connections to an upstream. */
function refusals(now: Scrape, upstream: string): number {
  return now.sum("crossfade_upstream_failures_total", { upstream, kind: "connect-failure" });
}

/** Until both circuits are open; gives what callers got meanwhile. */
async function openBoth(scope: Scope, sidecar: Sidecar): Promise<number[]> {
  const statuses = [];
  for (;;) {
    statuses.push((await askOperation(scope, sidecar, CLIENTS[statuses.length] as string)).status);
    const now = await scrape(sidecar);
    if (timesInto(now, "open", "v1") > 0 && timesInto(now, "open", "v2") > 0) return statuses;
    assert.ok(statuses.length < 20, "both circuits open");
  }
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? NaN;
}

test("phase 2: a health check takes less than 100 ms", async (t) => {
  const sidecar = await startPlan(t, await usePlanServices(t));
  const name = "crossfade_health_check_duration_seconds";
  const labels = { upstream: "v2" };
  const after = await scrapeUntil(sidecar, "20 checks", (now) => now.sum(`${name}_count`, labels) >= 20, 15_000);
  const [count, sum] = [after.sum(`${name}_count`, labels), after.sum(`${name}_sum`, labels)];
  assert.equal(after.types.get(name), "histogram");
  assert.ok(sum / count < 0.1, `${(sum / count) * 1000} ms on average`);
  // The plan's limit is the check's own time-out: one that took longer has failed.
  assert.equal(after.sum("crossfade_health_check_failures_total", labels), 0);
  const buckets = after.samples.filter(
    (sample) => sample.name === `${name}_bucket` && sample.labels["upstream"] === "v2",
  );
  const slowest = buckets.find(({ value }) => value === count)?.labels["le"];
  t.diagnostic(`${count} checks, ${((sum / count) * 1000).toFixed(1)} ms on average, all below ${slowest} s`);
});

test("phase 2: the breaker opens after exactly three failures, and then rejects at once", async (t) => {
  const services = await usePlanServices(t);
  const sidecar = await startPlan(t, services, { ...ALL_ON_V2, ...STAYS_OPEN, ...NO_FALLBACK });
  await Promise.all([services.v1.kill(), services.v2.kill()]);
  await openBoth(t, sidecar);
  const opened = await scrape(sidecar);
  assert.deepEqual([refusals(opened, "v1"), refusals(opened, "v2")], [3, 3]);
  const answers = [];
  for (const id of CLIENTS) answers.push(await askOperation(t, sidecar, id));
  for (const answer of answers) {
    assert.deepEqual([answer.status, short(answer).error], [503, "circuit_open"]);
    assert.match(header(answer, "retry-after") ?? "", /^\d+$/);
  }
  const after = await scrape(sidecar);
  assert.deepEqual([refusals(after, "v1"), refusals(after, "v2")], [3, 3], "nobody was asked in vain");
  const tookMs = median(answers.map(({ tookMs }) => tookMs));
  assert.ok(tookMs < 100, `${tookMs} ms`);
  t.diagnostic(`a rejection takes ${tookMs.toFixed(2)} ms (median; the plan allows 10)`);
});

test("phase 2: local mode answers what the services would have, when neither of them can", async (t) => {
  const services = await usePlanServices(t);
  const { v1, v2, local } = services;
  const sidecar = await startPlan(t, services, { ...ALL_ON_V2, ...STAYS_OPEN });
  const remote = await askOperation(t, sidecar, "user-0");
  assert.equal(short(remote).servedBy, "v2");
  await Promise.all([v1.kill(), v2.kill()]);
  assert.deepEqual([...new Set(await openBoth(t, sidecar))], [200], "nobody saw an error on the way");
  const answers = [];
  for (const id of CLIENTS) answers.push(await askOperation(t, sidecar, id));
  for (const answer of answers) {
    assert.deepEqual(short(answer), { status: 200, servedBy: "local", fallback: "upstream", error: null });
    assert.equal(answer.text, remote.text);
  }
  const tookMs = median(answers.map(({ tookMs }) => tookMs));
  assert.ok(tookMs < 200, `${tookMs} ms`);
  t.diagnostic(`local mode answers in ${tookMs.toFixed(2)} ms (median; the plan allows 50)`);
  const counted = await scrape(sidecar);
  assert.ok(counted.sum("crossfade_fallbacks_total", { kind: "upstream" }) >= CLIENTS.length);
  assert.equal(counted.sum("crossfade_fallbacks_total", { kind: "none" }), 0);

  await local.kill();
  const last = await askOperation(t, sidecar, "user-0");
  assert.deepEqual([last.status, short(last).fallback], [503, "static"]);
  assert.match(last.text, /LOCAL_MODE/);
});

test("phase 2: it recovers by itself when the services are back, and leaves local mode", async (t) => {
  const services = await usePlanServices(t);
  const { v1, v2, local } = services;
  const sidecar = await startPlan(t, services, { ...ALL_ON_V2, ...CIRCUIT_FIRST });
  await Promise.all([v1.kill(), v2.kill()]);
  await openBoth(t, sidecar);
  await Promise.all([v1.restart(), v2.restart()]);
  const load = startLoad(t, {
    port: sidecar.port,
    connections: 4,
    requestsPerSecond: 200,
    request: (n) => {
      const key = CLIENTS[n % CLIENTS.length] as string;
      return { target: OPERATION, fields: [`x-client-id: ${key}`], key };
    },
  });
  await untilCircuit(sidecar, "closed", "v2");
  // Callers come back over the slow start, those of the lowest buckets first.
  const lastServedBy = (key: string) => load.answers.findLast((answer) => answer.key === key)?.servedBy;
  await until(() => CLIENTS.every((key) => lastServedBy(key) === "v2"), "everybody to be on v2 again", {
    deadlineMs: 12_000,
  });
  await load.stop();
  assert.deepEqual([...new Set(load.answers.map(({ status }) => status))], [200]);
  const asked = (await local.seen()).requests.length;
  await armsOf(t, sidecar, CLIENTS);
  assert.equal((await local.seen()).requests.length, asked);
  const openTimes = (await scrape(sidecar)).sum("crossfade_circuit_open_seconds_count", { upstream: "v2" });
  assert.equal(openTimes, 1);
});

test("with auto-recovery off an open circuit waits for a person", async (t) => {
  const services = await usePlanServices(t);
  const sidecar = await startPlan(t, services, {
    ...ALL_ON_V2,
    KGC_SIDECAR_CIRCUIT_BREAKER_TIMEOUT: "100",
    KGC_SIDECAR_FALLBACK_AUTO_RECOVER: "false",
  });
  await services.v2.behave({ kind: "failing", status: 500 });
  for (const id of CLIENTS.slice(0, 3)) assert.equal((await askOperation(t, sidecar, id)).status, 200);
  const openedMs = performance.now();
  await untilCircuit(sidecar, "open");
  await services.v2.behave({ kind: "good" });
  await until(() => performance.now() - openedMs > 1_000, "ten times the open time");
  assert.equal(short(await askOperation(t, sidecar, "user-0")).servedBy, "v1");
  assert.equal((await services.v2.seen()).requests.length, 3);
  await ctl(sidecar, "circuit", "v2", "reset", "--reason", "it is well");
  assert.equal(short(await askOperation(t, sidecar, "user-0")).servedBy, "v2");
});

test("a refused connection is tried three times with the plan's backoff", async (t) => {
  const services = await usePlanServices(t);
  // Four failures open it, so that it is the attempts that end.
  const threshold = { KGC_SIDECAR_CIRCUIT_BREAKER_THRESHOLD: "4" };
  const sidecar = await startPlan(t, services, { ...ALL_ON_V2, ...CIRCUIT_FIRST, ...NO_FALLBACK, ...threshold });
  const { routes } = (await view(sidecar, "config"))["config"] as { routes: readonly Record<string, unknown>[] };
  const retry = routes[0]?.["retry"] as Readonly<Record<string, unknown>>;
  assert.equal(retry["attempts"], 3);
  assert.deepEqual(retry["backoff"], { initial: "100ms", max: "1600ms", multiplier: 2 });
  await services.v2.refuse();
  const { status, tookMs } = await askOperation(t, sidecar, "user-0");
  assert.equal(status, 502);
  const after = await scrape(sidecar);
  assert.equal(refusals(after, "v2"), 3);
  assert.equal(after.sum("crossfade_retries_total", { reason: "connect-failure" }), 2);
  assert.equal(after.sum("crossfade_retries_skipped_total", { reason: "attempts" }), 1);
  t.diagnostic(`three tries took ${tookMs.toFixed(0)} ms; the longest waits are 100 and 200 ms`);
});

test("the pool keeps two connections ready, never has more than ten, and uses them again", async (t) => {
  const services = await usePlanServices(t);
  const sidecar = await startPlan(t, services, ALL_ON_V2);
  await scrapeUntil(sidecar, "two idle connections to v2", (now) => {
    return now.sum("crossfade_pool_connections", { upstream: "v2", state: "idle" }) >= 2;
  });
  await services.v2.behave({ kind: "slow", delayMs: 5 });
  const request = (n: number) => ({ target: OPERATION, fields: [`x-client-id: ${CLIENTS[n % 60]}`], key: String(n) });
  const load = startLoad(t, { port: sidecar.port, connections: 40, requestsPerSecond: 600, request });
  await load.more(1_200);
  await load.stop();
  assert.deepEqual(load.failures, []);
  assert.deepEqual([...new Set(load.answers.map(({ status }) => status))], [200]);
  const after = await scrape(sidecar);
  const reused = after.sum("crossfade_pool_reused_total", { upstream: "v2" });
  const opened = after.sum("crossfade_pool_opened_total", { upstream: "v2" });
  // The health check has one of its own.
  assert.ok((await services.v2.seen()).mostConnections <= 11);
  assert.ok(opened <= 10, `${opened} opened`);
  const share = reused / (reused + opened);
  assert.ok(share >= 0.8, `${share}`);
  t.diagnostic(`${(share * 100).toFixed(1)} % of the tries on a used connection (the plan wants 80), ${opened} opened`);
});

test("every metric of the plan is there, of the kind that it asks for", async (t) => {
  const services = await usePlanServices(t);
  const sidecar = await startPlan(t, services, ALL_ON_V2);
  await services.v2.behave({ kind: "failing", status: 500 });
  for (const id of CLIENTS.slice(0, 6)) assert.equal((await askOperation(t, sidecar, id)).status, 200);
  await askOperation(t, sidecar, "user-0", "POST");
  await untilCircuit(sidecar, "open");
  await services.v2.behave({ kind: "good" });
  const ask = async (): Promise<Scrape> => {
    await askOperation(t, sidecar, CLIENTS[0] as string);
    return scrape(sidecar);
  };
  let now = await ask();
  for (let tries = 0; tries < 500 && timesInto(now, "closed") === 0; tries++) now = await ask();
  const wanted = {
    crossfade_circuit_state: "gauge",
    crossfade_pool_connections: "gauge",
    crossfade_requests_total: "counter",
    crossfade_fallbacks_total: "counter",
    crossfade_health_check_duration_seconds: "histogram",
    crossfade_circuit_open_seconds: "histogram",
    crossfade_health_check_failures_total: "counter",
  };
  for (const [name, type] of Object.entries(wanted)) assert.equal(now.types.get(name), type, name);
  assert.equal(now.sum("crossfade_circuit_state", { upstream: "v2" }), 1, "one of its states is 1");
  assert.equal(now.sum("crossfade_circuit_open_seconds_count", { upstream: "v2" }), 1);
  assert.equal(now.sum("crossfade_fallbacks_total", { kind: "arm" }), 3);
});
