import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { assertLocalReply } from "../support/local-reply.ts";
import { header } from "../support/message-reader.ts";
import { connectRaw, requestText } from "../support/raw-client.ts";
import { answering, okText, startRawUpstream, type Handler } from "../support/raw-upstream.ts";
import {
  ask,
  assertAnswer,
  AT_ONCE,
  counting,
  refusingPort,
  useEngines,
  type RouteSettings,
} from "../support/recovery-bench.ts";
import { closes, ok, plan, resets, silent, status } from "../support/scripts.ts";
import { fileScope } from "../support/scope.ts";

const upstream = await startRawUpstream(fileScope);
const dead = `http://127.0.0.1:${await refusingPort()}`;
const other = await startRawUpstream(fileScope);

const backoff = AT_ONCE;
const retryOn = (...on: readonly string[]): RouteSettings => ({ split: "v1", retry: { on, attempts: 3, backoff } });
const upstreams = {
  v1: { endpoints: [upstream.url], pool: { minConnections: 0 } },
  late: { endpoints: [upstream.url], timeouts: { responseHead: "60ms" }, pool: { minConnections: 0 } },
  dead: { endpoints: [dead], pool: { minConnections: 0 } },
  half: { endpoints: [dead, other.url], pool: { minConnections: 0 } },
};
const routes = {
  plain: { split: "v1", retry: {} },
  reset: retryOn("reset"),
  "try-timeout": { split: "v1", retry: { on: ["timeout"], attempts: 3, backoff, perTryTimeout: "60ms" } },
  "head-timeout": { split: "late", retry: { on: ["timeout"], attempts: 3, backoff } },
  "5xx": retryOn("5xx"),
  gateway: retryOn("gateway-error"),
  conflict: retryOn("retriable-4xx"),
  listed: { split: "v1", retry: { on: [], statuses: [404, 500], attempts: 3, backoff } },
  refused: { split: "dead", retry: { on: ["connect-failure"], attempts: 4, backoff } },
  half: { split: "half", retry: { on: ["connect-failure"], attempts: 3, backoff } },
  key: { split: "v1", retry: { on: ["reset", "5xx"], attempts: 3, backoff, idempotencyKey: true } },
  ten: { split: "v1", retry: { on: ["5xx"], attempts: 10, backoff } },
  one: { split: "v1", retry: { on: ["5xx"], attempts: 1, backoff } },
};

/** Route, what its upstream does first, and what the repetition is counted as. */
const REPEATED: readonly (readonly [route: string, what: string, first: Handler, reason: string])[] = [
  ["reset", "a reset before the head", resets, "reset"],
  ["reset", "a connection closed before the head", closes, "reset"],
  ["reset", "a reset inside the head", answering("HTTP/1.1 200 OK\r\nContent-Le", "reset"), "reset"],
  ["try-timeout", "a try that takes too long", silent, "timeout"],
  ["head-timeout", "a head that does not come", silent, "timeout"],
  ["5xx", "a 500", status(500), "5xx"],
  ["5xx", "a 503", status(503), "5xx"],
  ["5xx", "a 599", status(599), "5xx"],
  ["5xx", "a reset", resets, "5xx"],
  ["gateway", "a 502", status(502), "gateway-error"],
  ["gateway", "a 504", status(504), "gateway-error"],
  ["gateway", "a reset", resets, "gateway-error"],
  ["conflict", "a 409", status(409), "retriable-4xx"],
  ["listed", "a listed 404", status(404), "retriable-status-codes"],
  ["listed", "a listed 500", status(500), "retriable-status-codes"],
];

/** Route, and what is passed on as it is. */
const PASSED_ON: readonly (readonly [route: string, what: string, first: Handler, status: number])[] = [
  ["plain", "a 503 by default", status(503), 503],
  ["plain", "a reset by default", resets, 502],
  ["reset", "a 503 where only resets are", status(503), 503],
  ["reset", "a time-out where only resets are", answering("HTTP/1.1 408 Late\r\nContent-Length: 0\r\n\r\n"), 408],
  ["gateway", "a 500 where only 502 to 504 are", status(500), 500],
  ["gateway", "a 505 where only 502 to 504 are", status(505), 505],
  ["conflict", "a 404 where only 409 is", status(404), 404],
  ["listed", "a 503 that is not listed", status(503), 503],
  ["5xx", "an answer that is no HTTP", answering("rubbish\r\n\r\n"), 502],
];

for (const [engine, sidecar] of await useEngines(fileScope, upstreams, routes)) {
  describe(`retries with the ${engine} engine`, () => {
    for (const [route, what, first, reason] of REPEATED) {
      test(`${what} is tried again where ${route} says so, and counted as ${reason}`, async (t) => {
        await plan(upstream, first, ok("again"));
        const since = await counting(sidecar);
        assertAnswer(await ask(t, sidecar, `/${route}/a?b`), 200, "again");
        assert.deepEqual(
          upstream.requests.map(({ target }) => target),
          [`/${route}/a?b`, `/${route}/a?b`],
        );
        assert.equal(await since("crossfade_retries_total", { route, reason }), 1);
        assert.equal(await since("crossfade_requests_total", { route, code: "200" }), 1);
        assert.equal(await since("crossfade_requests_total", { route }), 1);
      });
    }

    for (const [route, what, first, code] of PASSED_ON) {
      test(`${what} (${route}) is not tried again`, async (t) => {
        await plan(upstream, first, ok("again"));
        assert.equal((await ask(t, sidecar, `/${route}`)).status, code);
        assert.equal(upstream.requests.length, 1);
      });
    }

    for (const [route, tries] of [
      ["one", 1],
      ["5xx", 3],
      ["ten", 10],
    ] as const) {
      test(`an upstream that goes on failing is asked ${tries} times, no more, and its last answer is passed on`, async (t) => {
        let nth = 0;
        await plan(upstream, ({ connection }) => {
          nth++;
          connection.send(`HTTP/1.1 503 No\r\nX-Nth: ${nth}\r\nContent-Length: 2\r\n\r\nno`);
        });
        const since = await counting(sidecar);
        const answer = await ask(t, sidecar, `/${route}`);
        assertAnswer(answer, 503, "no");
        assert.ok(answer.rawHeaders.includes(String(tries)), "the last one's head");
        assert.equal(upstream.requests.length, tries);
        assert.equal(await since("crossfade_retries_total", { route }), tries - 1);
        assert.equal(await since("crossfade_retries_skipped_total", { route, reason: "attempts" }), 1);
      });
    }

    test("a refused connection is tried as often as configured, POST too, and then 502", async (t) => {
      for (const [method, body] of [
        ["GET", ""],
        ["POST", "hello"],
      ] as const) {
        const since = await counting(sidecar);
        assertLocalReply(await ask(t, sidecar, "/refused", method, [], body), 502, "connect_failure");
        assert.equal(await since("crossfade_retries_total", { route: "refused", reason: "connect-failure" }), 3);
        assert.equal(await since("crossfade_upstream_failures_total", { upstream: "dead" }), 4);
      }
    });

    test("a POST that met a refused connection goes to the other endpoint with all of its body", async (t) => {
      await plan(other, ok("from the other"));
      for (let i = 1; i <= 4; i++) {
        assertAnswer(await ask(t, sidecar, "/half", "POST", [], `body ${i}`), 200, "from the other");
        assert.equal(other.requests.at(-1)?.message.pieces.join(""), `body ${i}`);
      }
      assert.equal(other.requests.length, 4, "each arrived once");
    });

    for (const [route, what, first, code] of [
      ["reset", "was reset", resets, 502],
      ["5xx", "was answered with 503", status(503), 503],
      ["try-timeout", "took too long", silent, 504],
      ["conflict", "was answered with 409", status(409), 409],
    ] as const) {
      test(`a POST that ${what} is not repeated, and that is counted`, async (t) => {
        await plan(upstream, first, ok("again"));
        const since = await counting(sidecar);
        assert.equal((await ask(t, sidecar, `/${route}`, "POST", [], "hello")).status, code);
        assert.equal(upstream.requests.length, 1);
        assert.equal(await since("crossfade_retries_skipped_total", { route, reason: "method" }), 1);
      });
    }

    for (const [what, first] of [
      ["was reset", resets],
      ["was answered with 503", status(503)],
    ] as const) {
      test(`a POST that ${what} is repeated when it has an Idempotency-Key and the route believes in it`, async (t) => {
        await plan(upstream, first, ok("again"));
        const post = ["POST", ["Idempotency-Key: 7"], "hello"] as const;
        assertAnswer(await ask(t, sidecar, "/key", ...post), 200, "again");
        assert.deepEqual(
          upstream.requests.map(({ message }) => message.pieces.join("")),
          ["hello", "hello"],
        );
      });
    }

    test("an Idempotency-Key alone does not make a POST repeatable, nor does the setting alone", async (t) => {
      await plan(upstream, resets, ok("again"));
      assert.equal((await ask(t, sidecar, "/reset", "POST", ["Idempotency-Key: 7"], "hello")).status, 502);
      await plan(upstream, resets, ok("again"));
      assert.equal((await ask(t, sidecar, "/key", "POST", [], "hello")).status, 502);
      assert.equal(upstream.requests.length, 1);
    });

    for (const how of ["close", "reset"] as const) {
      test(`an answer that a ${how} cuts after its head is cut for the client, and not asked for again`, async (t) => {
        await plan(upstream, answering("HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\npart", how), ok("again"));
        const answer = await ask(t, sidecar, "/5xx");
        assert.deepEqual([answer.status, answer.text, answer.complete], [200, "part", false]);
        assert.equal(upstream.requests.length, 1);
      });
    }

    test("an interim answer is relayed and does not keep a try from being repeated", async (t) => {
      await plan(
        upstream,
        answering("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", "close"),
        answering(`HTTP/1.1 103 Early Hints\r\nLink: </b>\r\n\r\n${okText("again")}`),
      );
      const answer = await ask(t, sidecar, "/reset");
      assertAnswer(answer, 200, "again");
      assert.deepEqual(
        answer.interim.map((interim) => interim.status),
        [103, 103],
      );
    });

    test("a HEAD is repeated, and its answer has no body", async (t) => {
      await plan(upstream, status(503), answering("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n"));
      const answer = await ask(t, sidecar, "/5xx", "HEAD");
      assert.deepEqual([answer.status, answer.text, answer.complete], [200, "", true]);
    });

    test("each further try says which it is, whatever the client says", async (t) => {
      await plan(upstream, resets, status(503), ok("again"));
      assertAnswer(await ask(t, sidecar, "/5xx", "GET", ["X-Crossfade-Attempt: 9"]), 200, "again");
      assert.deepEqual(
        upstream.requests.map((request) => header(request, "x-crossfade-attempt")),
        [null, "2", "3"],
      );
      const ids = upstream.requests.map((request) => header(request, "x-request-id"));
      assert.equal(new Set(ids).size, 1, "and they have one request id");
    });

    test("a client that pipelines gets its answers in order when one of them needs a second try", async (t) => {
      await plan(upstream, ok("1"), resets, ok("2"), status(503), ok("3"));
      const client = await connectRaw(t, sidecar.port);
      for (const nth of ["1", "2", "3"]) client.request(requestText("GET", `/5xx/${nth}`));
      for (const nth of ["1", "2", "3"]) assert.equal((await client.answer()).text, nth);
    });
  });
}
