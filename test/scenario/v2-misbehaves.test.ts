import assert from "node:assert/strict";
import test from "node:test";
import { askAs, circuitOf, getOf, getOnV2, ON_V2, timesInto, untilCircuit, useChaos } from "../support/chaos.ts";
import { startLoad } from "../support/load.ts";
import { connectRaw, requestText } from "../support/raw-client.ts";
import { scrape } from "../support/scrape.ts";
import type { UpstreamProcess } from "../support/spawn-upstream.ts";
import { until } from "../support/until.ts";

/** How v2 fails and gets well again, and under which kinds the tries are counted; none = its answers are the failure. */
interface Fault {
  readonly begin: (v2: UpstreamProcess) => Promise<void>;
  readonly end: (v2: UpstreamProcess) => Promise<void> | void;
  readonly kinds: readonly string[];
}

const beGood = (v2: UpstreamProcess): Promise<void> => v2.behave({ kind: "good" });

const FAULTS: Readonly<Record<string, Fault>> = {
  "is stopped (SIGSTOP)": { begin: (v2) => v2.pause(), end: (v2) => v2.resume(), kinds: ["head-timeout"] },
  "never answers": { begin: (v2) => v2.behave({ kind: "silent" }), end: beGood, kinds: ["head-timeout"] },
  "refuses connections": {
    begin: (v2) => v2.refuse(),
    end: (v2) => v2.listen(),
    // What is under way when its port closes is reset.
    kinds: ["connect-failure", "upstream-reset"],
  },
  "resets connections before the head": {
    begin: (v2) => v2.behave({ kind: "resetting before the head" }),
    end: beGood,
    kinds: ["upstream-reset"],
  },
  "answers garbage": { begin: (v2) => v2.behave({ kind: "garbling" }), end: beGood, kinds: ["bad-answer"] },
  "answers 500": { begin: (v2) => v2.behave({ kind: "failing", status: 500 }), end: beGood, kinds: [] },
};

for (const [name, { begin, end, kinds }] of Object.entries(FAULTS)) {
  test(`when v2 ${name}, no GET fails, its circuit opens, and it comes back by itself`, async (t) => {
    const { v2, sidecar } = await useChaos(t);
    const load = startLoad(t, { port: sidecar.port, connections: 12, requestsPerSecond: 200, request: getOf });
    await until(() => load.answers.some(({ servedBy }) => servedBy === "v2"), "an answer of v2");
    await begin(v2);
    await untilCircuit(sidecar, "open");
    await load.more(50);
    await end(v2);
    await untilCircuit(sidecar, "closed");
    const back = load.answers.length;
    await until(() => load.answers.slice(back).some(({ servedBy }) => servedBy === "v2"), "an answer of v2");
    await load.stop();
    assert.deepEqual(load.failures, []);
    assert.deepEqual([...new Set(load.answers.map(({ status }) => status))], [200]);
    const mended = load.answers.filter(({ fallback }) => fallback === "arm").length;
    const after = await scrape(sidecar);
    assert.ok(mended >= 3, `${mended} mended by the other arm`);
    assert.equal(after.sum("crossfade_fallbacks_total", { kind: "arm" }), mended);
    const counted = kinds.map((kind) => after.sum("crossfade_upstream_failures_total", { upstream: "v2", kind }));
    if (kinds.length > 0) assert.ok(counted.reduce((sum, count) => sum + count) >= 3, kinds.join());
    t.diagnostic(`${load.answers.length} answers, ${mended} of them mended by the other arm`);
  });
}

test("while v2 is stopped, v1 answers when the time of v2 is over, and after the third time at once", async (t) => {
  const { v2, sidecar } = await useChaos(t, { v2: { circuitBreaker: { openFor: "30s" } } });
  const client = await connectRaw(t, sidecar.port);
  assert.equal((await askAs(client, ON_V2[0] as string)).servedBy, "v2");
  await v2.pause();
  const answers = [];
  for (let n = 0; n < 6; n++) {
    const askedMs = performance.now();
    const { status, servedBy, fallback } = await askAs(client, ON_V2[n] as string);
    answers.push({ status, servedBy, fallback, isLate: performance.now() - askedMs >= 295 });
  }
  const late = { status: 200, servedBy: "v1", fallback: "arm", isLate: true };
  assert.deepEqual(answers.slice(0, 3), [late, late, late]);
  for (const { servedBy, fallback } of answers.slice(3)) assert.deepEqual([servedBy, fallback], ["v1", null]);
});

test("a v2 that only became slow opens its circuit, and nobody's request fails", async (t) => {
  const circuitBreaker = {
    consecutiveFailures: 0,
    errorRatio: "0%",
    slowCallRatio: "50%",
    slowCallDuration: "100ms",
    minRequests: 10,
  };
  const { v2, sidecar } = await useChaos(t, { v2: { timeouts: { responseHead: "5s" }, circuitBreaker } });
  const load = startLoad(t, { port: sidecar.port, connections: 12, requestsPerSecond: 200, request: getOnV2 });
  await load.more(20);
  assert.equal(circuitOf(await scrape(sidecar)), "closed");
  await v2.behave({ kind: "slow", delayMs: 150 });
  await untilCircuit(sidecar, "open");
  await v2.behave({ kind: "good" });
  await untilCircuit(sidecar, "closed");
  const back = load.answers.length;
  await until(() => load.answers.slice(back).some(({ servedBy }) => servedBy === "v2"), "an answer of v2");
  await load.stop();
  assert.deepEqual(load.failures, []);
  assert.deepEqual([...new Set(load.answers.map(({ status }) => status))], [200]);
  assert.equal(load.answers.filter(({ fallback }) => fallback !== null).length, 0, "slow answers are answers");
});

test("a v2 that resets after the head cuts exactly three callers off, who can tell, and then nobody", async (t) => {
  const { v2, sidecar } = await useChaos(
    t,
    { v2: { circuitBreaker: { openFor: "30s" } } },
    { conduct: { kind: "resetting after the head" } },
  );
  const wholes = [];
  for (let n = 0; n < 10; n++) {
    const client = await connectRaw(t, sidecar.port);
    const answer = await client.exchange(requestText("GET", "/", [`x-user-id: ${ON_V2[n]}`]));
    wholes.push(answer.complete);
    client.destroy();
  }
  assert.deepEqual(wholes, [false, false, false, true, true, true, true, true, true, true]);
  assert.equal((await v2.seen()).requests.length, 3);
});

test("when a tenth of v2's answers are errors, no GET sees one, and no POST is sent twice", async (t) => {
  const { v1, v2, sidecar } = await useChaos(
    t,
    { route: { retry: { attempts: 3, on: ["5xx"], backoff: { initial: "1ms" } } } },
    { conduct: { kind: "failing", status: 500, every: 10 } },
  );
  const request = (n: number) => ({ ...getOf(n), method: n % 3 === 0 ? "POST" : "GET" }) as const;
  const load = startLoad(t, { port: sidecar.port, connections: 12, requestsPerSecond: 400, request });
  await load.more(1_200);
  await load.stop();
  const after = await scrape(sidecar);
  assert.deepEqual(load.failures, []);
  const isPost = ({ target }: { readonly target: string }): boolean => Number(target.slice(1)) % 3 === 0;
  const gets = load.answers.filter((answer) => !isPost(answer));
  assert.deepEqual([...new Set(gets.map(({ status }) => status))], [200]);
  const seen = [...(await v1.seen()).requests, ...(await v2.seen()).requests];
  const posts = seen.filter(({ method }) => method === "POST");
  assert.equal(new Set(posts.map(({ target }) => target)).size, posts.length, "each POST arrived once");
  assert.equal(posts.length, load.answers.filter(isPost).length);
  const failed = load.answers.filter(({ status }) => status === 500);
  assert.ok(failed.length > 0 && failed.every((answer) => isPost(answer) && answer.servedBy === "v2"));
  assert.ok(after.sum("crossfade_retries_total", { reason: "5xx" }) > 0);
  assert.equal(timesInto(after, "open"), 0, "a tenth is no reason to open");
  t.diagnostic(`${failed.length} POSTs got the 500 that v2 answered; ${gets.length} GETs, all of them 200`);
});
