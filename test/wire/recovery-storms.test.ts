import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { connectRaw, requestText, type RawClient } from "../support/raw-client.ts";
import { answering, okText, startRawUpstream, type Handler } from "../support/raw-upstream.ts";
import {
  ask,
  assertAnswer,
  AT_ONCE,
  counting,
  refusingPort,
  untilAllOver,
  useEngines,
} from "../support/recovery-bench.ts";
import { fresh, ok, plan, resets, silent, status } from "../support/scripts.ts";
import { fileScope, type Scope } from "../support/scope.ts";
import { untilSockets, openSockets } from "../support/faults.ts";
import { untilQuiet } from "../support/until.ts";

const upstream = await startRawUpstream(fileScope);
const other = await startRawUpstream(fileScope);
const dead = `http://127.0.0.1:${await refusingPort()}`;
const pool = { minConnections: 0 };
const on = ["connect-failure", "reset", "timeout", "5xx"];
const retry = { on, attempts: 3, backoff: { initial: "5ms", max: "5ms" }, budget: "0%", perTryTimeout: "50ms" };
const sticky = [{ header: "x-user-id" }];
const upstreams = {
  v1: { endpoints: [upstream.url], pool },
  v2: { endpoints: [other.url], pool },
  dead: { endpoints: [dead], pool },
  few: { endpoints: [upstream.url], pool: { ...pool, maxConnections: 4, maxPending: 4, maxInFlight: 8 } },
};
const circuitBreaker = { consecutiveFailures: 5, openFor: "20ms", maxOpenFor: "20ms", slowStart: "0s" };
const both = { baseline: "v1", candidate: "v2", share: "50%", sticky };
const everything = {
  retry,
  fallback: ["arm", { stale: {} }, { static: { status: 299, body: "static" } }],
  readPreference: "fastest",
};
const routes = {
  dead: { split: "dead", retry },
  retry: { split: "v1", retry },
  few: { split: "few", retry },
  all: { split: both, ...everything },
  guarded: { split: { ...both, baseline: "guarded1", candidate: "guarded2" }, ...everything },
  plain: { split: "v1", retry: { on, attempts: 2, backoff: AT_ONCE, budget: "0%" } },
};
const guarded = {
  guarded1: { endpoints: [upstream.url, dead], pool, circuitBreaker },
  guarded2: { endpoints: [other.url, dead], pool, circuitBreaker },
};

const HEAD = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n";
/** Where in an exchange the upstream breaks it. */
const PHASES: Readonly<Record<string, (t: { onHead: Handler | null; onRequest: Handler | null }) => void>> = {
  "on the connection": (to) => {
    to.onHead = null;
    to.onRequest = silent;
  },
  "at the head of the request": (to) => {
    to.onHead = resets;
    to.onRequest = silent;
  },
  "at its end": (to) => {
    to.onHead = null;
    to.onRequest = resets;
  },
  "inside the head of the answer": (to) => {
    to.onHead = null;
    to.onRequest = answering("HTTP/1.1 200 OK\r\nConte", "reset");
  },
  "behind the head of the answer": (to) => {
    to.onHead = null;
    to.onRequest = answering(HEAD, "reset");
  },
  "inside the body of the answer": (to) => {
    to.onHead = null;
    to.onRequest = answering(`${HEAD}part`, "reset");
  },
  "by an answer that is none": (to) => {
    to.onHead = null;
    to.onRequest = answering("rubbish\r\n\r\n");
  },
  "by bytes behind the answer": (to) => {
    to.onHead = null;
    to.onRequest = answering(`${okText("ok")}rubbish`);
  },
};
const KINDS = [
  (i: number) => requestText("GET", `/all/${i}`, [`x-user-id: user-${i}`]),
  (i: number) => requestText("PUT", `/all/${i}`, [`x-user-id: user-${i}`], "hello"),
  (i: number) => requestText("POST", `/guarded/${i}`, [`x-user-id: user-${i}`], "hello"),
  (i: number) => requestText("GET", `/guarded/${i}`, [`x-user-id: user-${i}`]),
  (i: number) => requestText("GET", `/retry/${i}`),
  (i: number) => requestText("PUT", `/few/${i}`, [], "hello"),
  (i: number) => requestText("GET", `/few/${i}`),
  (i: number) =>
    `PUT /retry HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n${i % 2 === 0 ? "0\r\n\r\n" : ""}`,
];

for (const [engine, sidecar] of await useEngines(fileScope, { ...upstreams, ...guarded }, routes)) {
  function clients(t: Scope, count: number): Promise<RawClient[]> {
    return Promise.all(Array.from({ length: count }, () => connectRaw(t, sidecar.port)));
  }

  /** All is as before: nothing is under way, and three retries at once have their places. */
  async function assertNothingLeaked(t: Scope, sockets: number): Promise<void> {
    await fresh(upstream);
    await fresh(other);
    await untilAllOver(sidecar);
    await untilSockets(sidecar.pid, sockets);
    await plan(upstream, status(503), status(503), status(503), ok("again"));
    const since = await counting(sidecar);
    const three = await clients(t, 3);
    for (const client of three) client.request(requestText("GET", "/plain"));
    for (const client of three) assertAnswer(await client.answer(), 200, "again");
    assert.equal(await since("crossfade_retries_total", { route: "plain" }), 3);
    for (const client of three) client.destroy();
  }

  describe(`storms with the ${engine} engine`, () => {
    test("of refused connections end with an answer for everybody", async (t) => {
      await plan(upstream, ok("ok"));
      await ask(t, sidecar, "/plain");
      await fresh(upstream);
      const before = openSockets(sidecar.pid);
      const many = await clients(t, 100);
      for (let round = 0; round < 3; round++) {
        many.forEach((client, i) =>
          client.request(requestText(i % 2 === 0 ? "GET" : "POST", "/dead", [], i % 2 === 0 ? "" : "x")),
        );
        const answers = await Promise.all(many.map((client) => client.answer()));
        assert.deepEqual([...new Set(answers.map((answer) => answer.status))], [502]);
      }
      for (const client of many) client.destroy();
      await assertNothingLeaked(t, before + 4);
    });

    for (const [phase, conduct] of Object.entries(PHASES)) {
      test(`of connections that break ${phase} leave nothing behind`, async (t) => {
        await fresh(upstream);
        await fresh(other);
        await untilAllOver(sidecar);
        const before = openSockets(sidecar.pid);
        for (const each of [upstream, other]) {
          conduct(each);
          each.onConnection = phase === "on the connection" ? (connection) => connection.reset() : null;
        }
        const many = await clients(t, 64);
        many.forEach((client, i) => client.request((KINDS[i % KINDS.length] as (typeof KINDS)[number])(i)));
        // A quarter of them leave in the middle of it.
        for (const [i, client] of many.entries()) if (i % 4 === 3) setTimeout(() => client.reset(), i);
        await untilQuiet(() => many.reduce((sum, client) => sum + client.bytes().length, 0), 250);
        for (const client of many) client.reset();
        for (const each of [upstream, other]) each.onConnection = null;
        await assertNothingLeaked(t, before + 4);
      });
    }

    test("of clients that leave before their body or their patience is over leave no request behind", async (t) => {
      await plan(upstream, silent);
      for (let i = 0; i < 60; i++) {
        const client = await connectRaw(t, sidecar.port);
        client.send("PUT /retry HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\n");
        if (i % 3 > 0) await untilQuiet(() => 0, i % 5);
        client.reset();
      }
      await untilAllOver(sidecar, 2_000);
    });
  });
}
