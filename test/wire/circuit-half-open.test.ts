import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { bucketOfKey } from "../../src/model/split.ts";
import { userKeys } from "../support/arms.ts";
import { circuitOf, untilState } from "../support/circuit-states.ts";
import { assertLocalReply } from "../support/local-reply.ts";
import { connectRaw, requestText, type Answer, type RawClient } from "../support/raw-client.ts";
import { answering, startRawUpstream, type Handler, type SeenRequest } from "../support/raw-upstream.ts";
import { ask, counting, untilAllOver, useEngines } from "../support/recovery-bench.ts";
import { fresh, ok, plan, resets, silent, status } from "../support/scripts.ts";
import { fileScope, type Scope } from "../support/scope.ts";
import { until } from "../support/until.ts";
import { switchingText, upgradeText } from "../support/ws-peer.ts";

const upstream = await startRawUpstream(fileScope);
const other = await startRawUpstream(fileScope);

const pool = { minConnections: 0 };
const inARow = { consecutiveFailures: 3, minRequests: 1_000_000, openFor: "1h", jitter: "0%", slowStart: "0s" };
const soon = { ...inARow, consecutiveFailures: 1, openFor: "100ms", maxOpenFor: "100ms" };
const to = (circuitBreaker: object, more: object = {}): object => ({
  endpoints: [upstream.url],
  pool,
  circuitBreaker,
  ...more,
});
const upstreams = {
  probes: to({ ...soon, halfOpenRequests: 3 }),
  again: to({ ...soon, halfOpenRequests: 3 }),
  streams: to({ ...soon, halfOpenRequests: 1, halfOpenSuccesses: 2 }),
  left: to({ ...soon, halfOpenRequests: 1 }),
  limited: to({ ...soon, halfOpenRequests: 1 }),
  sockets: to({ ...inARow, consecutiveFailures: 2 }),
  socketProbes: to({ ...soon, halfOpenRequests: 1 }),
  pair: { endpoints: [upstream.url, other.url], pool, circuitBreaker: { ...inARow, consecutiveFailures: 2 } },
  base: { endpoints: [other.url], pool },
  back: to({ ...soon, halfOpenRequests: 1, slowStart: "1500ms" }),
};
const routes = {
  ...Object.fromEntries(Object.keys(upstreams).map((name) => [name, { split: name }])),
  back: { split: { baseline: "base", candidate: "back", share: "50%", sticky: [{ header: "x-user-id" }], salt: "s" } },
};

for (const [engine, sidecar] of await useEngines(fileScope, upstreams, routes)) {
  const get = (t: Scope, name: string): Promise<Answer> => ask(t, sidecar, `/${name}`);

  async function asks(t: Scope, name: string, ...handlers: readonly Handler[]): Promise<void> {
    for (const handler of handlers) {
      upstream.onRequest = handler;
      await get(t, name);
    }
  }

  /** Asks the upstream now; tells whether it was let through, not what came of it. */
  async function isAsked(t: Scope, name: string): Promise<boolean> {
    upstream.onRequest = ok("asked");
    return (await get(t, name)).text === "asked";
  }

  /** Trips a circuit that opens at the first failure, and waits until it lets probes through. */
  async function halfOpen(t: Scope, name: string): Promise<void> {
    await plan(upstream, status(503));
    await get(t, name);
    await untilState(sidecar, name, "half-open");
    await plan(upstream, silent);
  }

  async function clientsAsk(t: Scope, count: number, text: string): Promise<RawClient[]> {
    const clients = await Promise.all(Array.from({ length: count }, () => connectRaw(t, sidecar.port)));
    for (const client of clients) client.request(text);
    return clients;
  }

  describe(`a half-open circuit with the ${engine} engine`, () => {
    test("lets exactly three probes through at once, and closes with their success", async (t) => {
      await halfOpen(t, "probes");
      const clients = await clientsAsk(t, 20, requestText("GET", "/probes"));
      await until(() => clients.filter((client) => client.finalCount() === 1).length === 17, "17 refusals");
      await upstream.whole(2);
      upstream.requests.forEach(ok("probed"));
      const answers = await Promise.all(clients.map((client) => client.answer()));
      assert.equal(answers.filter((answer) => answer.text === "probed").length, 3);
      for (const answer of answers) if (answer.status !== 200) assertLocalReply(answer, 503, "circuit_open");
      assert.equal((await circuitOf(sidecar, "probes")).state, "closed");
      upstream.forget();
      upstream.onRequest = ok("well");
      const after = await clientsAsk(t, 20, requestText("GET", "/probes"));
      for (const client of after) assert.equal((await client.answer()).text, "well");
    });

    test("opens again with one failure, and the next cycles are like the first", async (t) => {
      for (let cycle = 1; cycle <= 3; cycle++) {
        await halfOpen(t, "again");
        const clients = await clientsAsk(t, 6, requestText("GET", "/again"));
        await until(() => clients.filter((client) => client.finalCount() === 1).length === 3, "three refusals");
        await upstream.whole(2);
        status(500)(upstream.requests[0] as SeenRequest);
        await until(() => clients.filter((client) => client.finalCount() === 1).length === 4, "a failed probe");
        assert.equal((await circuitOf(sidecar, "again")).state === "closed", false);
        for (const request of upstream.requests.slice(1)) ok("too late to matter")(request);
        await Promise.all(clients.map((client) => client.answer()));
        await untilState(sidecar, "again", "half-open");
        upstream.onRequest = ok("well");
        for (let nth = 0; nth < 3; nth++) assert.equal((await get(t, "again")).text, "well");
        assert.equal((await circuitOf(sidecar, "again")).state, "closed");
      }
    });

    test("is not closed by 429", async (t) => {
      await halfOpen(t, "limited");
      await asks(t, "limited", status(429));
      assert.equal((await circuitOf(sidecar, "limited")).state === "closed", false);
      await untilState(sidecar, "limited", "half-open");
      assert.equal(await isAsked(t, "limited"), true);
      assert.equal((await circuitOf(sidecar, "limited")).state, "closed");
    });

    test("gets the permit of a probe that streams back with its head", async (t) => {
      await halfOpen(t, "streams");
      upstream.onRequest = answering("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n");
      const [stream] = await clientsAsk(t, 1, requestText("GET", "/streams"));
      await stream?.bodyBytes(1);
      assert.equal(await isAsked(t, "streams"), true);
      assert.equal((await circuitOf(sidecar, "streams")).state, "closed");
      upstream.requests[0]?.connection.reset();
      await stream?.closed();
      assert.equal((await circuitOf(sidecar, "streams")).state, "closed", "what breaks after that is the past");
    });

    for (const [what, text] of [
      ["waits for its answer", requestText("GET", "/left")],
      ["has not sent its body", "POST /left HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\n"],
      ["has sent half of its body", "POST /left HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nhe"],
    ] as const) {
      test(`gets the permit of a client back that leaves while it ${what}`, async (t) => {
        await halfOpen(t, "left");
        const [client] = await clientsAsk(t, 1, text);
        await upstream.request(0);
        client?.reset();
        await untilAllOver(sidecar);
        assert.equal((await circuitOf(sidecar, "left")).state, "half-open");
        assert.equal(await isAsked(t, "left"), true);
        assert.equal((await circuitOf(sidecar, "left")).state, "closed");
      });
    }

    test("gets the permit of a client back that leaves before anything was sent", async (t) => {
      await halfOpen(t, "left");
      for (let i = 0; i < 20; i++) {
        const [client] = await clientsAsk(t, 1, "POST /left HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\n");
        client?.reset();
        await untilAllOver(sidecar);
      }
      await untilState(sidecar, "left", "half-open");
      assert.equal(await isAsked(t, "left"), true);
      assert.equal((await circuitOf(sidecar, "left")).state, "closed");
    });
  });

  describe(`upgrades and circuits with the ${engine} engine`, () => {
    test("upgrades that fail open it, and then they are refused without asking", async (t) => {
      await plan(upstream, resets);
      for (let i = 0; i < 2; i++) {
        const client = await connectRaw(t, sidecar.port);
        assert.equal((await client.exchange(upgradeText("/sockets"))).status, 502);
      }
      assert.equal((await circuitOf(sidecar, "sockets")).state, "open");
      upstream.forget();
      const client = await connectRaw(t, sidecar.port);
      assertLocalReply(await client.exchange(upgradeText("/sockets")), 503, "circuit_open");
      assert.equal(upstream.requests.length, 0);
      await untilAllOver(sidecar);
    });

    test("of several endpoints the one whose circuit upgrades have opened gets no more of them", async (t) => {
      await plan(upstream, resets);
      await fresh(other);
      other.onRequest = answering(switchingText());
      const statuses: number[] = [];
      for (let i = 0; i < 8; i++) {
        const client = await connectRaw(t, sidecar.port);
        statuses.push((await client.exchange(upgradeText("/pair"))).status);
      }
      assert.equal(upstream.requests.length, 2);
      assert.deepEqual(statuses.toSorted(), [101, 101, 101, 101, 101, 101, 502, 502]);
      assert.deepEqual(statuses.slice(4), [101, 101, 101, 101]);
    });

    test("a tunnel gives its permit back when it opens, and a client that leaves before gives it back too", async (t) => {
      await halfOpen(t, "socketProbes");
      const [leaver] = await clientsAsk(t, 1, upgradeText("/socketProbes"));
      await upstream.request(0);
      leaver?.reset();
      await untilAllOver(sidecar);
      assert.equal((await circuitOf(sidecar, "socketProbes")).state, "half-open");
      upstream.onRequest = answering(switchingText());
      const [client] = await clientsAsk(t, 1, upgradeText("/socketProbes"));
      assert.equal((await client?.head())?.status, 101);
      assert.equal((await circuitOf(sidecar, "socketProbes")).state, "closed");
    });
  });

  test(`with the ${engine} engine callers come back to v2 one after another in slow start, and nobody goes to and fro`, async (t) => {
    const since = await counting(sidecar);
    const keys = userKeys(40).filter((key) => bucketOfKey("s", key) < 500_000);
    await fresh(other);
    other.onRequest = ok("from base");
    await plan(upstream, status(503));
    await ask(t, sidecar, "/back", "GET", [`x-user-id: ${keys[0]}`]);
    await untilState(sidecar, "back", "half-open");
    upstream.onRequest = ok("from back");
    const client = await connectRaw(t, sidecar.port);
    const isBack = new Set<string>();
    const sizes: number[] = [];
    while (isBack.size < keys.length) {
      for (const key of keys) {
        const { text } = await client.exchange(requestText("GET", "/back", [`x-user-id: ${key}`]));
        // The one that probes is let through out of turn.
        if (sizes.length === 0) continue;
        if (text === "from back") isBack.add(key);
        else assert.ok(!isBack.has(key), `${key} went back`);
      }
      sizes.push(isBack.size);
      assert.ok(sizes.length < 5_000);
    }
    assert.ok(new Set(sizes).size > 3, `the sizes were ${[...new Set(sizes)].join(" ")}`);
    assert.ok((await since("crossfade_decisions_total", { route: "back", reason: "slow-start" })) > 0);
  });
}
