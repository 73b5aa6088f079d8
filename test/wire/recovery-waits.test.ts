import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { assertLocalReply } from "../support/local-reply.ts";
import { connectRaw, requestText } from "../support/raw-client.ts";
import { okText, startRawUpstream, type SeenRequest } from "../support/raw-upstream.ts";
import { ask, assertAnswer, AT_ONCE, counting, untilAllOver, useEngines } from "../support/recovery-bench.ts";
import { fresh, ok, plan, resets, silent, status } from "../support/scripts.ts";
import { fileScope } from "../support/scope.ts";
import { scrape, scrapeUntil } from "../support/scrape.ts";
import { until, untilQuiet } from "../support/until.ts";

const on = ["reset", "5xx", "timeout"];
const retry = { on, attempts: 3, backoff: AT_ONCE };

const upstream = await startRawUpstream(fileScope);
const upstreams = {
  v1: { endpoints: [upstream.url], pool: { minConnections: 0 } },
  one: { endpoints: [upstream.url], pool: { minConnections: 0, maxConnections: 1 } },
  hasty: { endpoints: [upstream.url], pool: { minConnections: 0 }, timeouts: { request: "400ms" } },
};
const routes = {
  retry: { split: "v1", retry },
  one: { split: "one" },
  hasty: { split: "hasty", retry },
  short: { split: "v1", retry: { ...retry, maxRetryAfter: "2s" } },
  try: { split: "v1", retry: { ...retry, perTryTimeout: "50ms" } },
  few: { split: "v1", retry: { ...retry, attempts: 2, budget: "20%" } },
  none: { split: "v1", retry: { ...retry, attempts: 2, budget: "0%" } },
};
const WAIT_1S = status(503, ["Retry-After: 1"]);

function inSeconds(seconds: number): string {
  return new Date(Date.now() + seconds * 1_000).toUTCString();
}

for (const [engine, sidecar] of await useEngines(fileScope, upstreams, routes, { log: { access: "all" } })) {
  describe(`the wait before another try with the ${engine} engine`, () => {
    test("a client that leaves during it is noticed: no other try, and nothing stays behind", async (t) => {
      await plan(upstream, WAIT_1S, ok("again"));
      const client = await connectRaw(t, sidecar.port);
      client.request(requestText("GET", "/retry"));
      await upstream.whole(0);
      await upstream.connections[0]?.ended();
      await untilQuiet(() => upstream.requests.length, 200);
      client.reset();
      await untilAllOver(sidecar, 800);
      const record = await sidecar.log("exchange ended");
      assert.deepEqual([record["status"], record["attempts"], record["endedBy"]], [499, 1, "client"]);
      assert.ok((record["durationMs"] as number) >= 200, "the wait is part of its time");
      await untilQuiet(() => upstream.requests.length, 1_600);
      assert.equal(upstream.requests.length, 1);
    });

    for (const [what, method, body] of [
      ["GET", "GET", ""],
      ["PUT with a body", "PUT", "hello"],
    ] as const) {
      test(`a client that leaves during the second try of a ${what} takes that with it`, async (t) => {
        await plan(upstream, resets, silent);
        const client = await connectRaw(t, sidecar.port);
        client.request(requestText(method, "/retry", [], body));
        await upstream.whole(1);
        client.reset();
        await upstream.requests[1]?.connection.ended(1_000);
        await untilAllOver(sidecar);
        assert.equal(upstream.requests.length, 2);
        const {
          status: code,
          endedBy,
          attempts,
        } = await until(
          () => sidecar.logs.findLast((record) => record["msg"] === "exchange ended" && record["attempts"] === 2),
          "the record",
        );
        assert.deepEqual([code, endedBy, attempts], [499, "client", 2]);
      });
    }

    test("a client that leaves while its whole request waits in line is noticed", async (t) => {
      await plan(upstream, silent);
      const first = await connectRaw(t, sidecar.port);
      first.request(requestText("GET", "/one"));
      await upstream.whole(0);
      const second = await connectRaw(t, sidecar.port);
      second.request(requestText("PUT", "/one", [], "hello"));
      await scrapeUntil(sidecar, "one to wait", (seen) => seen.sum("crossfade_pool_pending") === 1);
      second.reset();
      await scrapeUntil(sidecar, "nobody to wait", (seen) => seen.sum("crossfade_pool_pending") === 0, 900);
    });

    test("a Retry-After in seconds is waited for", async (t) => {
      await plan(upstream, WAIT_1S, ok("again"));
      const startedMs = performance.now();
      assertAnswer(await ask(t, sidecar, "/retry"), 200, "again");
      const tookMs = performance.now() - startedMs;
      assert.ok(tookMs >= 999 && tookMs < 4_000, `${tookMs} ms`);
    });

    test("a Retry-After as a date is waited for", async (t) => {
      const date = inSeconds(2);
      await plan(upstream, status(503, [`Retry-After: ${date}`]), ok("again"));
      assertAnswer(await ask(t, sidecar, "/retry"), 200, "again");
      assert.ok(Date.now() >= Date.parse(date), "not before the date");
    });

    test("a Retry-After that is past, or is none, leaves the usual wait", async (t) => {
      for (const value of ["0", inSeconds(-60), "soon", "-1", "1.5", ""]) {
        await plan(upstream, status(503, [`Retry-After: ${value}`]), ok("again"));
        const startedMs = performance.now();
        assertAnswer(await ask(t, sidecar, "/retry"), 200, "again");
        assert.ok(performance.now() - startedMs < 900, value);
      }
    });

    test("an answer with a longer Retry-After than allowed is passed on with it, and that is counted", async (t) => {
      for (const value of ["3", inSeconds(60), "99999999999999999999"]) {
        await plan(upstream, status(503, [`Retry-After: ${value}`]), ok("again"));
        const since = await counting(sidecar);
        const answer = await ask(t, sidecar, "/short");
        assert.equal(answer.status, 503);
        assert.ok(answer.rawHeaders.includes(value));
        assert.equal(await since("crossfade_retries_skipped_total", { route: "short", reason: "retry-after" }), 1);
      }
    });

    test("an answer whose wait would outlast the deadline is passed on at once, and that is counted", async (t) => {
      await plan(upstream, WAIT_1S, ok("again"));
      const since = await counting(sidecar);
      const startedMs = performance.now();
      assert.equal((await ask(t, sidecar, "/hasty")).status, 503);
      assert.ok(performance.now() - startedMs < 350);
      assert.equal(await since("crossfade_retries_skipped_total", { route: "hasty", reason: "deadline" }), 1);
    });

    test("all tries share one deadline", async (t) => {
      await plan(upstream, resets, silent);
      const startedMs = performance.now();
      assertLocalReply(await ask(t, sidecar, "/hasty"), 504, "total_timeout");
      const tookMs = performance.now() - startedMs;
      assert.ok(tookMs >= 390 && tookMs < 1_500, `${tookMs} ms`);
      await upstream.requests[1]?.connection.ended();
    });
  });

  describe(`the time of one try with the ${engine} engine`, () => {
    test("an answer that comes too late is given to nobody, and its connection is not used again", async (t) => {
      let late: SeenRequest | null = null;
      await plan(upstream, (request) => {
        if (late === null) late = request;
        else request.connection.send(okText(`for ${request.target}`));
      });
      const client = await connectRaw(t, sidecar.port);
      client.request(requestText("GET", "/try/1"));
      await upstream.whole(1);
      const first = upstream.requests[0] as SeenRequest;
      if (first.connection.socket.writable) first.connection.send(okText("too late"));
      assertAnswer(await client.answer(), 200, "for /try/1");
      await first.connection.ended();
      assertAnswer(await client.exchange(requestText("GET", "/try/2")), 200, "for /try/2");
      assert.notEqual(upstream.requests[2]?.connection, first.connection);
      assert.equal(client.finalCount(), 2);
    });

    test("when all tries take too long, the answer says so, and each is counted against the upstream", async (t) => {
      await plan(upstream, silent);
      const since = await counting(sidecar);
      assertLocalReply(await ask(t, sidecar, "/try"), 504, "try_timeout");
      assert.equal(upstream.requests.length, 3);
      assert.equal(await since("crossfade_upstream_failures_total", { upstream: "v1", kind: "try-timeout" }), 3);
    });

    test("an answer whose head came in time may take longer than that", async (t) => {
      await plan(upstream, ({ connection }) => connection.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nha"));
      const client = await connectRaw(t, sidecar.port);
      client.request(requestText("GET", "/try"));
      await client.bodyBytes(2);
      await untilQuiet(() => upstream.requests.length, 400);
      upstream.requests[0]?.connection.send("lf");
      assertAnswer(await client.answer(), 200, "half");
      assert.equal(upstream.requests.length, 1);
    });
  });

  describe(`the retry budget with the ${engine} engine`, () => {
    for (const [route, allowed] of [
      ["few", 4],
      ["none", 3],
    ] as const) {
      test(`of 20 requests that fail at once, ${allowed} are tried again (${route})`, async (t) => {
        await fresh(upstream);
        const held: SeenRequest[] = [];
        upstream.onRequest = (request) => void held.push(request);
        const since = await counting(sidecar);
        const clients = await Promise.all(Array.from({ length: 20 }, () => connectRaw(t, sidecar.port)));
        for (const client of clients) client.request(requestText("GET", `/${route}`));
        await until(() => held.length === 20, "all requests");
        upstream.onRequest = (request) => setTimeout(ok("again"), 50, request);
        const fail = status(503);
        for (const request of held) fail(request);
        const answers = await Promise.all(clients.map((client) => client.answer()));
        assert.equal(answers.filter((answer) => answer.status === 200).length, allowed);
        assert.equal(upstream.requests.length, 20 + allowed);
        assert.equal(await since("crossfade_retries_total", { route }), allowed);
        assert.equal(await since("crossfade_retries_skipped_total", { route, reason: "budget" }), 20 - allowed);
        await untilAllOver(sidecar);
      });
    }

    test("places come back after every way in which a retry can end", async (t) => {
      const ends: readonly ((nth: number) => Promise<void>)[] = [
        async () => {
          await plan(upstream, resets, ok("again"));
          await ask(t, sidecar, "/none");
        },
        async () => {
          await plan(upstream, resets);
          await ask(t, sidecar, "/none");
        },
        async () => {
          await plan(upstream, status(503));
          await ask(t, sidecar, "/none");
        },
        async () => {
          await plan(upstream, resets, silent);
          const client = await connectRaw(t, sidecar.port);
          client.request(requestText("GET", "/none"));
          await upstream.whole(1);
          client.reset();
        },
        async () => {
          await plan(upstream, WAIT_1S);
          const client = await connectRaw(t, sidecar.port);
          client.request(requestText("GET", "/none"));
          await upstream.whole(0);
          client.reset();
        },
      ];
      for (const end of ends) {
        for (let nth = 0; nth < 4; nth++) await end(nth);
        await untilAllOver(sidecar);
      }
      await plan(upstream, resets, ok("again"));
      assertAnswer(await ask(t, sidecar, "/none"), 200, "again");
      assert.equal((await scrape(sidecar)).sum("crossfade_requests_in_flight"), 0);
    });
  });
}
