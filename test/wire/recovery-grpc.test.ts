import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { bodyOf, header } from "../support/message-reader.ts";
import { connectRaw, requestText, type Answer, type RawClient } from "../support/raw-client.ts";
import { answering, startRawUpstream } from "../support/raw-upstream.ts";
import { ask, AT_ONCE, counting, refusingPort, untilAllOver, useEngines } from "../support/recovery-bench.ts";
import { plan, resets, silent } from "../support/scripts.ts";
import { fileScope, type Scope } from "../support/scope.ts";
import { untilQuiet } from "../support/until.ts";

const upstream = await startRawUpstream(fileScope);
const dead = `http://127.0.0.1:${await refusingPort()}`;
const pool = { minConnections: 0 };
const all = ["cancelled", "deadline-exceeded", "internal", "resource-exhausted", "unavailable"];
const retry = { on: all, attempts: 3, backoff: AT_ONCE };
const upstreams = {
  v1: { endpoints: [upstream.url], pool },
  dead: { endpoints: [dead], pool },
  broken: { endpoints: [dead], pool, circuitBreaker: { consecutiveFailures: 1, openFor: "1h" } },
  hasty: { endpoints: [upstream.url], pool, timeouts: { request: "100ms" } },
  tripped: { endpoints: [upstream.url], pool, circuitBreaker: { consecutiveFailures: 2, openFor: "1h" } },
};
const routes = {
  grpc: { split: "v1", retry },
  some: { split: "v1", retry: { ...retry, on: ["unavailable"] } },
  "per-try": { split: "v1", retry: { ...retry, perTryTimeout: "50ms" } },
  dead: { split: "dead", fallback: [{ upstream: "broken" }] },
  plain: { split: "dead" },
  broken: { split: "broken" },
  hasty: { split: "hasty", retry },
  tripped: { split: "tripped" },
};
const CALL = ["Content-Type: application/grpc+proto", "TE: trailers"];
const HEAD = "HTTP/1.1 200 OK\r\nContent-Type: application/grpc\r\n";
const GOOD = `${HEAD}Transfer-Encoding: chunked\r\nTrailer: grpc-status\r\n\r\n5\r\nhello\r\n0\r\ngrpc-status: 0\r\n\r\n`;

/** A trailers-only answer: the status is in its head. */
function inHead(status: number): string {
  return `${HEAD}Content-Length: 0\r\ngrpc-status: ${status}\r\n\r\n`;
}

/** A status behind a body of nothing. */
function inTrailers(status: number, body: string = ""): string {
  const chunk = body === "" ? "" : `${body.length.toString(16)}\r\n${body}\r\n`;
  return `${HEAD}Transfer-Encoding: chunked\r\nTrailer: grpc-status\r\n\r\n${chunk}0\r\ngrpc-status: ${status}\r\n\r\n`;
}

function grpcStatusOf(answer: Answer): string | null {
  const at = answer.trailers.findIndex((name) => name.toLowerCase() === "grpc-status");
  return at === -1 ? header(answer, "grpc-status") : (answer.trailers[at + 1] ?? null);
}

for (const [engine, sidecar] of await useEngines(fileScope, upstreams, routes)) {
  const call = (t: Scope, target: string, message = "message"): Promise<Answer> =>
    ask(t, sidecar, target, "POST", CALL, message);

  async function begun(t: Scope, target: string, message = "message"): Promise<RawClient> {
    const client = await connectRaw(t, sidecar.port);
    client.request(requestText("POST", target, CALL, message));
    return client;
  }

  describe(`gRPC statuses with the ${engine} engine`, () => {
    for (const [code, reason] of [
      [1, "cancelled"],
      [4, "deadline-exceeded"],
      [8, "resource-exhausted"],
      [13, "internal"],
      [14, "unavailable"],
    ] as const) {
      for (const [where, text] of [
        ["the head", inHead(code)],
        ["the trailers", inTrailers(code)],
      ] as const) {
        test(`${code} in ${where} is tried again as ${reason}, though it is a POST`, async (t) => {
          await plan(upstream, answering(text), answering(GOOD));
          const since = await counting(sidecar);
          const answer = await call(t, "/grpc");
          assert.deepEqual([answer.status, answer.text, grpcStatusOf(answer)], [200, "hello", "0"]);
          assert.deepEqual(
            upstream.requests.map(({ message }) => bodyOf(message).toString()),
            ["message", "message"],
          );
          assert.equal(await since("crossfade_retries_total", { route: "grpc", reason }), 1);
        });
      }
    }

    for (const [what, text] of [
      ["another status in the head", inHead(5)],
      ["another status in the trailers", inTrailers(5)],
      ["a status that is not configured", inHead(13)],
      ["a status that comes behind a message", inTrailers(14, "hello")],
    ] as const) {
      test(`${what} is passed on`, async (t) => {
        await plan(upstream, answering(text), answering(GOOD));
        const answer = await call(t, "/some");
        assert.equal(upstream.requests.length, 1);
        assert.match(text, new RegExp(`grpc-status: ${grpcStatusOf(answer)}\r\n`));
      });
    }

    test("a call that is tried again has what is left of its time, not all of it", async (t) => {
      await plan(upstream, answering(inHead(14)), answering(GOOD));
      const answer = await ask(t, sidecar, "/grpc", "POST", [...CALL, "grpc-timeout: 5S"], "message");
      assert.equal(grpcStatusOf(answer), "0");
      const [first, second] = upstream.requests.map(({ message }) => header(message, "grpc-timeout"));
      assert.equal(first, "5S");
      const [, leftMs] = /^(\d+)m$/.exec(second ?? "") ?? [];
      assert.ok(Number(leftMs) > 0 && Number(leftMs) <= 5_200, second ?? "none");
    });

    test("the last of them is passed on where it stood", async (t) => {
      for (const text of [inHead(14), inTrailers(14)]) {
        await plan(upstream, answering(text));
        const answer = await call(t, "/grpc");
        assert.deepEqual([answer.status, answer.text, grpcStatusOf(answer)], [200, "", "14"]);
        assert.equal(upstream.requests.length, 3);
      }
    });

    test("trailers close behind the head are waited for", async (t) => {
      const [head = "", rest = ""] = inTrailers(14).split(/(?<=\r\n\r\n)/);
      await plan(
        upstream,
        ({ connection }) => {
          connection.socket.write(head, () => setImmediate(() => connection.send(rest)));
        },
        answering(GOOD),
      );
      assert.equal(grpcStatusOf(await call(t, "/grpc")), "0");
      assert.equal(upstream.requests.length, 2);
    });

    test("a call that streams late gets its head long before its first message, which may take longer than a try", async (t) => {
      const head = GOOD.slice(0, GOOD.indexOf("\r\n\r\n") + 4);
      await plan(upstream, answering(head));
      const client = await begun(t, "/per-try");
      assert.equal((await client.head(1_500)).status, 200);
      await untilQuiet(() => upstream.requests.length, 300);
      upstream.requests[0]?.connection.send(GOOD.slice(head.length));
      const answer = await client.answer();
      assert.deepEqual([answer.text, grpcStatusOf(answer), upstream.requests.length], ["hello", "0", 1]);
    });

    test("a call whose client waits for the head before it goes on gets it", async (t) => {
      const head = GOOD.slice(0, GOOD.indexOf("\r\n\r\n") + 4);
      await plan(upstream, ({ connection }) => connection.send(GOOD.slice(head.length)));
      upstream.onHead = ({ connection }) => void connection.send(head);
      const client = await connectRaw(t, sidecar.port);
      client.request(`${requestText("POST", "/grpc", [...CALL, "Transfer-Encoding: chunked"])}5\r\nfirst\r\n`);
      assert.equal((await client.head(1_500)).status, 200);
      client.send("6\r\nsecond\r\n0\r\n\r\n");
      assert.equal(grpcStatusOf(await client.answer()), "0");
      assert.equal(bodyOf(upstream.requests[0]?.message ?? assert.fail()).toString(), "firstsecond");
    });

    test("a gRPC answer with a plain bad status behind a held head that breaks off is a failure like any other", async (t) => {
      const head = GOOD.slice(0, GOOD.indexOf("\r\n\r\n") + 4);
      await plan(upstream, answering(head, "reset"));
      const answer = await call(t, "/some");
      assert.ok(grpcStatusOf(answer) === "14" || !answer.complete, answer.text);
      await untilAllOver(sidecar);
    });
  });

  describe(`gRPC callers of a failing upstream, with the ${engine} engine`, () => {
    for (const [route, status, error] of [
      ["plain", "14", "connect_failure"],
      ["dead", "14", "fallback_exhausted"],
      ["broken", "14", "circuit_open"],
      ["hasty", "4", "total_timeout"],
      ["nowhere", "12", "no_route"],
    ] as const) {
      test(`get grpc-status ${status} without a body for ${error}`, async (t) => {
        await plan(upstream, silent);
        if (route === "broken") await call(t, "/broken");
        const answer = await call(t, `/${route}`);
        assert.deepEqual(
          [
            answer.status,
            answer.text,
            answer.complete,
            header(answer, "grpc-status"),
            header(answer, "x-crossfade-error"),
          ],
          [200, "", true, status, error],
        );
        assert.equal(header(answer, "content-type"), "application/grpc");
        assert.ok(header(answer, "grpc-message"));
      });
    }

    test("their grpc-timeout ends the call", async (t) => {
      await plan(upstream, silent);
      const startedMs = performance.now();
      const answer = await ask(t, sidecar, "/grpc", "POST", [...CALL, "grpc-timeout: 100m"], "message");
      assert.equal(header(answer, "grpc-status"), "4");
      assert.ok(performance.now() - startedMs < 2_000);
    });

    test("statuses in trailers are failures for the circuit", async (t) => {
      await plan(upstream, answering(inTrailers(14, "hello")));
      await call(t, "/tripped");
      await call(t, "/tripped");
      assert.equal(header(await call(t, "/tripped"), "x-crossfade-error"), "circuit_open");
    });

    test("a reset of a call that was sent is not tried again", async (t) => {
      await plan(upstream, resets, answering(GOOD));
      assert.equal(header(await call(t, "/grpc"), "grpc-status"), "14");
      assert.equal(upstream.requests.length, 1);
      await untilAllOver(sidecar);
    });
  });
}
