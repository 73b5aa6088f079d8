import assert from "node:assert/strict";
import test from "node:test";
import { setSplit } from "../support/admin-calls.ts";
import { assertLocalReply } from "../support/local-reply.ts";
import { connectRaw, exchangeOnce, requestText } from "../support/raw-client.ts";
import { answering, okText, startRawUpstream } from "../support/raw-upstream.ts";
import { fileScope } from "../support/scope.ts";
import { assertMonotonic, scrape, scrapeUntil } from "../support/scrape.ts";
import { useSidecar } from "../support/sidecar.ts";

const upstream = await startRawUpstream(fileScope);
upstream.onRequest = answering(okText("served"));

/** Two routes with a split over one raw upstream; `over` is laid on the whole. */
function configOf(over: object = {}): object {
  const split = { baseline: "v1", candidate: "v2", share: "50%", sticky: [{ header: "x-user-id" }] };
  return {
    upstreams: { v1: { endpoints: [upstream.url] }, v2: { endpoints: [upstream.url] } },
    routes: [
      { name: "api", match: { pathPrefix: "/api" }, split },
      { name: "rest", match: { pathPrefix: "/rest" }, split },
    ],
    ...over,
  };
}

const shared = await useSidecar(fileScope, configOf());

const LABELS: Readonly<Record<string, RegExp>> = {
  route: /^(?:api|rest|_none)$/,
  arm: /^(?:baseline|candidate|none)$/,
  upstream: /^(?:v1|v2|none)$/,
  code: /^(?:\d{3}|_other)$/,
};

test("nothing that clients or upstreams say becomes a label", async (t) => {
  const client = await connectRaw(t, shared.port);
  const sendSome = async (from: number): Promise<void> => {
    for (let n = from; n < from + 200; n++) {
      const fields = [`x-user-id: evil-${n}`, `x-request-id: evil-${n}`, `User-Agent: evil-${n}`, `x-evil-${n}: 1`];
      const text = requestText(n % 2 === 0 ? "GET" : "POST", `/${["api", "rest"][n % 2]}/evil-${n}?evil=${n}`, fields);
      await client.exchange(text.replace("a.test", `evil-${n}.test`));
    }
  };
  await sendSome(0);
  const first = await scrape(shared);
  await sendSome(200);
  const second = await scrape(shared);
  assert.equal(second.samples.length, first.samples.length, "ever new callers make no new series");
  for (const { name, labels } of second.samples) {
    assert.doesNotMatch(JSON.stringify(labels), /evil/);
    for (const [label, allowed] of Object.entries(LABELS)) {
      if (name.startsWith("crossfade_") && label in labels) assert.match(labels[label] ?? "", allowed, name);
    }
  }
});

test("status codes that nobody has heard of are one series", async (t) => {
  const client = await connectRaw(t, shared.port);
  for (const code of [299, 399, 419, 477, 599, 699, 777, 999]) {
    upstream.onRequest = answering(`HTTP/1.1 ${code} Odd\r\nContent-Length: 0\r\n\r\n`);
    assert.equal((await client.exchange(requestText("GET", "/api"))).status, code);
  }
  upstream.onRequest = answering(okText("served"));
  const now = await scrape(shared);
  assert.equal(now.sum("crossfade_requests_total", { code: "_other" }), 8);
});

test("methods that nobody has heard of make no series", async (t) => {
  await exchangeOnce(t, shared.port, requestText("GET", "/api"));
  const before = await scrape(shared);
  for (const method of ["PROPFIND", "PURGE", "BREW"]) {
    await (await connectRaw(t, shared.port)).exchange(requestText(method, "/api"));
  }
  const after = await scrape(shared);
  assert.doesNotMatch(JSON.stringify(after.samples), /PROPFIND|PURGE|BREW/);
  assert.ok(after.samples.length - before.samples.length < 80, "a refusal's code, a kind, and a histogram at most");
});

test("no counter goes back while routes and upstreams come, go and come again", async (t) => {
  const sidecar = await useSidecar(t, configOf());
  const client = await connectRaw(t, sidecar.port);
  const askAround = async (): Promise<void> => {
    for (let n = 0; n < 20; n++)
      await client.exchange(requestText("GET", n % 2 === 0 ? "/api" : "/rest", [`x-user-id: u${n}`]));
  };
  const rewrite = async (next: object): Promise<void> => {
    const seen = sidecar.logs.length;
    sidecar.writeConfig(next);
    await sidecar.log("config applied", seen);
  };
  const { routes } = configOf() as { readonly routes: readonly object[] };
  const stages: readonly (() => Promise<unknown>)[] = [
    askAround,
    () => rewrite(configOf({ routes: routes.slice(0, 1) })),
    askAround,
    () => rewrite(configOf()),
    askAround,
    () => setSplit(sidecar, "api", "100%"),
    askAround,
    () =>
      rewrite({
        ...configOf({ routes: [{ name: "api", match: {}, split: { baseline: "v1" } }] }),
        upstreams: { v1: { endpoints: [upstream.url] } },
      }),
    askAround,
    () => rewrite(configOf()),
    askAround,
  ];
  let before = await scrape(sidecar);
  for (const stage of stages) {
    await stage();
    const after = await scrape(sidecar);
    assertMonotonic(before, after);
    before = after;
  }
  const total = before.sum("crossfade_requests_total");
  assert.equal(total, 20 * stages.filter((stage) => stage === askAround).length, "and none is lost or counted twice");
});

test("decisions, requests, durations and the lane agree with one another", async (t) => {
  const sidecar = await useSidecar(t, configOf());
  const client = await connectRaw(t, sidecar.port);
  for (let n = 0; n < 50; n++) await client.exchange(requestText("GET", "/api", [`x-user-id: u${n}`]));
  const now = await scrape(sidecar);
  for (const arm of ["baseline", "candidate"]) {
    const requests = now.sum("crossfade_requests_total", { route: "api", arm });
    assert.ok(requests > 0, arm);
    assert.equal(now.sum("crossfade_decisions_total", { route: "api", arm, reason: "bucket" }), requests);
    assert.equal(now.sum("crossfade_request_duration_seconds_count", { route: "api", arm }), requests);
  }
  assert.equal(now.sum("crossfade_lane_total", { lane: "native" }), 50);
  const connections = now.sum("crossfade_pool_opened_total") + now.sum("crossfade_pool_reused_total");
  assert.equal(connections, 50, "every try came over a new connection or a used one");
});

test("histograms are as fine as the config says", async (t) => {
  const bounds: number[] = [];
  for (const bucketsPerDoubling of [1, 4]) {
    const metrics = { address: "127.0.0.1:0", bucketsPerDoubling };
    const sidecar = await useSidecar(t, configOf({ metrics }));
    await exchangeOnce(t, sidecar.port, requestText("GET", "/api"));
    const name = "crossfade_request_duration_seconds_bucket";
    const { samples } = await scrape(sidecar);
    bounds.push(new Set(samples.filter((sample) => sample.name === name).map(({ labels }) => labels["le"])).size);
  }
  const [coarse = 0, fine = 0] = bounds;
  assert.ok(fine > 3 * coarse, `${coarse} and ${fine} bounds`);
});

test("metrics are on their own port and nowhere else", async (t) => {
  for (const path of ["/metrics", "/readyz", "/livez"]) {
    assertLocalReply(await exchangeOnce(t, shared.port, requestText("GET", path)), 404, "no_route");
  }
  const answer = await fetch(`${shared.metricsUrl}/api`);
  assert.equal(answer.status, 404);
  await answer.text();
});

test("a scrape of more than a thousand series is quick, and does not hold up requests for long", async (t) => {
  const split = { baseline: "v1", candidate: "v2", share: "50%" };
  const routes = Array.from({ length: 40 }, (_, i) => ({ name: `r${i}`, match: { path: `/r${i}` }, split }));
  const sidecar = await useSidecar(t, configOf({ routes }));
  const client = await connectRaw(t, sidecar.port);
  for (let round = 0; round < 4; round++) {
    for (let i = 0; i < 40; i++) assert.equal((await client.exchange(requestText("GET", `/r${i}`))).status, 200);
  }
  const { samples } = await scrape(sidecar);
  const tookMs: number[] = [];
  for (let i = 0; i < 5; i++) {
    const sinceMs = performance.now();
    await scrapeUntil(sidecar, "a scrape", () => true);
    tookMs.push(performance.now() - sinceMs);
  }
  const best = Math.min(...tookMs);
  t.diagnostic(`${samples.length} series, scraped in ${best.toFixed(1)} ms at best (wanted: < 50)`);
  assert.ok(samples.length > 1_000);
  assert.ok(best < 250, `${best} ms`);
});
