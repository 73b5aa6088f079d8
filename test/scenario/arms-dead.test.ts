import assert from "node:assert/strict";
import test from "node:test";
import { kill, unkill } from "../support/admin-calls.ts";
import { askAs, getOf, ON_V1, ON_V2, short, untilCircuit, useChaos, type Short } from "../support/chaos.ts";
import { startLoad } from "../support/load.ts";
import { header } from "../support/message-reader.ts";
import { connectRaw, requestText } from "../support/raw-client.ts";
import type { Scope } from "../support/scope.ts";
import { scrapeUntil } from "../support/scrape.ts";
import type { Sidecar } from "../support/sidecar.ts";

const CIRCUIT = { consecutiveFailures: 3, openFor: "1s", jitter: "0%", slowStart: "0s" };
/** Stays open for the whole of a test. */
const LONG_OPEN = { ...CIRCUIT, openFor: "30s" };
const BODY = '{"items":[]}';

/** Callers, one after the other, each on a connection of its own: a refusal ends that of a request with a body. */
function askerOf(scope: Scope, sidecar: Sidecar) {
  return async (method: string, count: number, keys: readonly string[]): Promise<Short[]> => {
    const answers = [];
    for (let n = 0; n < count; n++) {
      const client = await connectRaw(scope, sidecar.port);
      answers.push(await askAs(client, keys[n] as string, method, `/${method}/${n}`));
      client.destroy();
    }
    return answers;
  };
}

test("while v1 is dead, v2 answers the GETs of its callers, never their writes", async (t) => {
  const { v1, v2, sidecar } = await useChaos(t, { v1: { circuitBreaker: LONG_OPEN } });
  const askMany = askerOf(t, sidecar);
  await v1.kill();
  const mended = { status: 200, servedBy: "v2", fallback: "arm", error: null };
  // The first two writes before the circuit opens, the others while it is open.
  const writes = await askMany("POST", 2, ON_V1);
  const gets = await askMany("GET", 10, ON_V1);
  await untilCircuit(sidecar, "open", "v1");
  writes.push(...(await askMany("POST", 10, ON_V1)));
  for (const answer of gets) assert.deepEqual(answer, mended);
  for (const { status, error } of writes) assert.deepEqual([status, error], [503, "fallback_exhausted"]);
  const { requests } = await v2.seen();
  assert.deepEqual([...new Set(requests.map(({ method }) => method))], ["GET"]);
  assert.equal(requests.length, 10);

  // Whoever is on v2 notices nothing, and its writes are its own.
  const own = await askMany("POST", 3, ON_V2);
  for (const answer of own) assert.deepEqual(answer, { status: 200, servedBy: "v2", fallback: null, error: null });
});

test("while v1 is dead and the kill switch is on, nothing at all goes to v2", async (t) => {
  const { v1, v2, sidecar } = await useChaos(t, { v1: { circuitBreaker: LONG_OPEN } });
  const askMany = askerOf(t, sidecar);
  await v1.kill();
  await kill(sidecar);
  const answers = [
    ...(await askMany("GET", 5, ON_V1)),
    ...(await askMany("GET", 5, ON_V2)),
    ...(await askMany("POST", 5, ON_V2)),
  ];
  for (const { status, error } of answers) assert.deepEqual([status, error], [503, "fallback_exhausted"]);
  assert.deepEqual((await v2.seen()).requests, []);
  await unkill(sidecar);
  const mended = { status: 200, servedBy: "v2", fallback: "arm", error: null };
  assert.deepEqual(await askMany("GET", 1, ON_V1), [mended]);
});

test("v1 that comes back under load takes its callers back by itself, and no GET has failed", async (t) => {
  const { v1, sidecar } = await useChaos(t, { v1: { circuitBreaker: CIRCUIT } });
  const load = startLoad(t, { port: sidecar.port, connections: 12, requestsPerSecond: 200, request: getOf });
  await load.more(50);
  await v1.kill();
  await untilCircuit(sidecar, "open", "v1");
  await load.more(50);
  await v1.restart();
  await untilCircuit(sidecar, "closed", "v1");
  const back = load.answers.length;
  await load.more(50);
  await load.stop();
  assert.deepEqual(load.failures, []);
  assert.deepEqual([...new Set(load.answers.map(({ status }) => status))], [200]);
  const arms = new Set(load.answers.slice(back).map(({ servedBy }) => servedBy));
  assert.deepEqual([...arms].toSorted(), ["v1", "v2"]);
});

test("while both are dead, the static fallback answers, body and all", async (t) => {
  const step = { static: { status: 200, headers: { "x-degraded": "1" }, body: BODY } };
  const { v1, v2, sidecar } = await useChaos(t, {
    v1: { circuitBreaker: LONG_OPEN },
    v2: { circuitBreaker: LONG_OPEN },
    route: { fallback: ["arm", step] },
  });
  await Promise.all([v1.kill(), v2.kill()]);
  const client = await connectRaw(t, sidecar.port);
  for (const [n, key] of [...ON_V1.slice(0, 6), ...ON_V2.slice(0, 6)].entries()) {
    const answer = await client.exchange(requestText(n % 2 === 0 ? "GET" : "DELETE", "/", [`x-user-id: ${key}`]));
    assert.equal(answer.status, 200);
    assert.equal(answer.text, BODY);
    assert.equal(header(answer, "content-type"), "application/json");
    assert.equal(header(answer, "x-degraded"), "1");
    assert.equal(header(answer, "x-crossfade-fallback"), "static");
  }
  await scrapeUntil(sidecar, "12 static answers", (now) => {
    return now.sum("crossfade_fallbacks_total", { kind: "static" }) === 12;
  });
});

test("while both are dead and nothing else is there, the answer is a 503 that says so and when to come again", async (t) => {
  const { v1, v2, sidecar } = await useChaos(t, {
    v1: { circuitBreaker: LONG_OPEN },
    v2: { circuitBreaker: LONG_OPEN },
  });
  await Promise.all([v1.kill(), v2.kill()]);
  const client = await connectRaw(t, sidecar.port);
  for (const key of [...ON_V1.slice(0, 6), ...ON_V2.slice(0, 6)]) {
    const answer = await client.exchange(requestText("GET", "/", [`x-user-id: ${key}`]));
    assert.deepEqual([short(answer).status, short(answer).error], [503, "fallback_exhausted"]);
    assert.match(header(answer, "retry-after") ?? "", /^\d+$/);
    const { error } = JSON.parse(answer.text) as { readonly error: Readonly<Record<string, unknown>> };
    assert.equal(error["code"], "fallback_exhausted");
    assert.equal(error["requestId"], header(answer, "x-request-id"));
  }
  await scrapeUntil(sidecar, "12 ladders without an answer", (now) => {
    return now.sum("crossfade_fallbacks_total", { kind: "none" }) === 12;
  });
});
