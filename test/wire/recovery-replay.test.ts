import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { bodyOf } from "../support/message-reader.ts";
import { connectRaw, requestText, type RawClient } from "../support/raw-client.ts";
import { answering, okText, startRawUpstream, type SeenRequest } from "../support/raw-upstream.ts";
import { ask, assertAnswer, AT_ONCE, counting, untilAllOver, useEngines } from "../support/recovery-bench.ts";
import { ok, plan, resets, status } from "../support/scripts.ts";
import { fileScope } from "../support/scope.ts";
import { until, untilQuiet } from "../support/until.ts";

const KEPT = 65_536;
const on = ["reset", "5xx", "connect-failure", "timeout"];
const retry = { on, attempts: 3, backoff: AT_ONCE };
const EVERY_BYTE = Buffer.from(Array.from({ length: 256 }, (_none, i) => i)).toString("latin1");

const upstream = await startRawUpstream(fileScope);
const upstreams = { v1: { endpoints: [upstream.url], pool: { minConnections: 0 } } };
const routes = {
  retry: { split: "v1", retry },
  "per-try": { split: "v1", retry: { ...retry, perTryTimeout: "50ms" } },
  small: { split: "v1", retry: { ...retry, maxBodyBytes: "10B" } },
};

function bodies(): string[] {
  return upstream.requests.map(({ message }) => bodyOf(message).toString("latin1"));
}

/** Fails the first request as soon as its head is there, and answers the others when they are whole. */
async function failAtHead(fail: (request: SeenRequest) => void): Promise<void> {
  await plan(upstream, ok("again"));
  const { onRequest } = upstream;
  let failed: SeenRequest["message"] | null = null;
  upstream.onHead = (request) => {
    if (failed !== null) return;
    failed = request.message;
    fail(request);
  };
  upstream.onRequest = (request) => {
    if (request.message !== failed) onRequest?.(request);
  };
}

for (const [engine, sidecar] of await useEngines(fileScope, upstreams, routes)) {
  async function uploading(t: Parameters<typeof connectRaw>[0], target: string, length: number): Promise<RawClient> {
    const client = await connectRaw(t, sidecar.port);
    client.request(`PUT ${target} HTTP/1.1\r\nHost: a.test\r\nContent-Length: ${length}\r\n\r\n`);
    return client;
  }

  describe(`a request body that is sent twice with the ${engine} engine`, () => {
    for (const [how, first] of [
      ["a reset", resets],
      ["a 503", status(503)],
    ] as const) {
      for (const size of [1, 256, 16_384, 40_000, KEPT]) {
        test(`${size} bytes of known length are the same after ${how}`, async (t) => {
          await plan(upstream, first, ok("again"));
          const body = EVERY_BYTE.repeat(Math.ceil(size / 256)).slice(0, size);
          assertAnswer(await ask(t, sidecar, "/retry", "PUT", [], body), 200, "again");
          assert.deepEqual(
            bodies().map((text) => text === body),
            [true, true],
          );
          for (const { rawHeaders } of upstream.requests) assert.ok(rawHeaders.includes(String(size)));
        });
      }

      test(`chunks and trailers are the same after ${how}`, async (t) => {
        await plan(upstream, first, ok("again"));
        const client = await connectRaw(t, sidecar.port);
        const fields = ["Transfer-Encoding: chunked", "Trailer: X-Sum", "TE: trailers"];
        client.request(
          `${requestText("PUT", "/retry", fields)}5\r\nhello\r\n100\r\n${EVERY_BYTE}\r\n0\r\nX-Sum: 9\r\n\r\n`,
        );
        assertAnswer(await client.answer(), 200, "again");
        assert.deepEqual(bodies(), [`hello${EVERY_BYTE}`, `hello${EVERY_BYTE}`]);
        assert.deepEqual(
          upstream.requests.map(({ message }) => message.trailers),
          [
            ["X-Sum", "9"],
            ["X-Sum", "9"],
          ],
        );
      });

      test(`one byte more than is kept is not repeated after ${how}, which is counted`, async (t) => {
        await plan(upstream, first, ok("again"));
        const since = await counting(sidecar);
        const answer = await ask(t, sidecar, "/retry", "PUT", [], "x".repeat(KEPT + 1));
        assert.equal(answer.status, how === "a reset" ? 502 : 503);
        assert.equal(upstream.requests.length, 1);
        assert.equal(await since("crossfade_retries_skipped_total", { route: "retry", reason: "body" }), 1);
      });
    }

    test("the limit of the route is what counts", async (t) => {
      await plan(upstream, status(503), ok("again"));
      assertAnswer(await ask(t, sidecar, "/small", "PUT", [], "x".repeat(10)), 200, "again");
      await plan(upstream, status(503), ok("again"));
      assert.equal((await ask(t, sidecar, "/small", "PUT", [], "x".repeat(11))).status, 503);
    });

    test("an empty body stays an empty body", async (t) => {
      await plan(upstream, resets, ok("again"));
      assertAnswer(await ask(t, sidecar, "/retry", "PUT", ["Content-Length: 0"]), 200, "again");
      assert.deepEqual(bodies(), ["", ""]);
    });
  });

  describe(`a body that is still coming when the first try fails, with the ${engine} engine`, () => {
    for (const [how, fail] of [
      ["an early 503", status(503)],
      ["a reset", resets],
    ] as const) {
      test(`goes whole to the second try after ${how} behind its head`, async (t) => {
        await failAtHead(fail);
        const client = await uploading(t, "/retry", 12);
        await until(() => upstream.requests.length === 2, "the second try");
        await client.flush("hello ");
        await client.flush("world!");
        assertAnswer(await client.answer(), 200, "again");
        assert.equal(bodies()[1], "hello world!");
      });

      test(`goes whole to the second try after ${how} in its middle`, async (t) => {
        await failAtHead(({ message, connection }) => {
          void until(() => bodyOf(message).length === 6, "half of the body").then(() =>
            fail({ method: "", target: "", rawHeaders: [], message, connection }),
          );
        });
        const client = await uploading(t, "/retry", 12);
        await client.flush("hello ");
        await until(() => upstream.requests.length === 2, "the second try");
        await client.flush("world!");
        assertAnswer(await client.answer(), 200, "again");
        assert.equal(bodies()[1], "hello world!");
      });

      test(`is kept to its limit, streams on behind that after ${how}, and then is not repeated`, async (t) => {
        await failAtHead(fail);
        const length = KEPT + 100_000;
        const client = await uploading(t, "/retry", length);
        await until(() => upstream.requests.length === 2, "the second try");
        const body = EVERY_BYTE.repeat(length / 256 + 1).slice(0, length);
        upstream.onRequest = status(503);
        const since = await counting(sidecar);
        await client.flush(body.slice(0, 50_000));
        await client.flush(body.slice(50_000));
        assert.equal((await client.answer()).status, 503);
        assert.ok(bodies()[1] === body, "the second try got all of it");
        assert.equal(upstream.requests.length, 2);
        assert.equal(await since("crossfade_retries_skipped_total", { route: "retry", reason: "body" }), 1);
      });
    }

    test("what comes during the wait goes with the rest", async (t) => {
      await failAtHead(status(503, ["Retry-After: 1"]));
      const client = await uploading(t, "/retry", 12);
      await upstream.request(0);
      await client.flush("hello ");
      await client.flush("world!");
      assert.equal(upstream.requests.length, 1, "the wait is not over yet");
      assertAnswer(await client.answer(), 200, "again");
      assert.equal(bodies()[1], "hello world!");
    });

    test("more than is kept may come during the wait, and everything arrives", async (t) => {
      await failAtHead(status(503, ["Retry-After: 1"]));
      const body = EVERY_BYTE.repeat(1_200);
      const client = await uploading(t, "/retry", body.length);
      await upstream.request(0);
      client.send(body);
      assertAnswer(await client.answer(), 200, "again");
      assert.ok(bodies()[1] === body);
    });

    test("a client that stops in the middle during the wait is told so or cut, and nothing stays behind", async (t) => {
      await failAtHead(status(503, ["Retry-After: 1"]));
      const client = await uploading(t, "/retry", 12);
      await upstream.request(0);
      await client.flush("hello ");
      client.halfClose();
      await untilAllOver(sidecar);
    });
  });

  describe(`heads and bodies on a route with retries, with the ${engine} engine`, () => {
    test("a head whose body does not come goes ahead of it", async (t) => {
      await plan(upstream, ok("done"));
      const client = await uploading(t, "/retry", 5);
      await upstream.request(0);
      client.send("hello");
      assertAnswer(await client.answer(), 200, "done");
    });

    test("so does the head of a second try", async (t) => {
      await failAtHead(resets);
      const client = await uploading(t, "/retry", 5);
      await upstream.request(1);
      client.send("hello");
      assertAnswer(await client.answer(), 200, "again");
    });

    test("a client that takes its time with its body does not use up the time of the try", async (t) => {
      await plan(upstream, ok("done"));
      const client = await uploading(t, "/per-try", 5);
      await upstream.request(0);
      await client.flush("he");
      await untilQuiet(() => upstream.requests.length, 500);
      client.send("llo");
      assertAnswer(await client.answer(), 200, "done");
      assert.deepEqual([upstream.requests.length, bodies()[0]], [1, "hello"]);
    });

    test("Expect: 100-continue is passed on by each try, and the body is sent once by the client", async (t) => {
      await failAtHead(({ connection }) => connection.reset());
      const { onHead } = upstream;
      upstream.onHead = (request) => {
        if (upstream.requests.length === 1) onHead?.(request);
        else request.connection.send("HTTP/1.1 100 Continue\r\n\r\n");
      };
      const client = await connectRaw(t, sidecar.port);
      client.request("PUT /retry HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
      assert.equal((await client.interim()).status, 100);
      client.send("hello");
      assertAnswer(await client.answer(), 200, "again");
      assert.equal(bodies()[1], "hello");
    });

    test("a body that the first try asked for with a 100 is repeated without asking the client again", async (t) => {
      await plan(upstream, resets, ok("again"));
      upstream.onHead = ({ connection }) => void connection.send("HTTP/1.1 100 Continue\r\n\r\n");
      const client = await connectRaw(t, sidecar.port);
      client.request("PUT /retry HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
      assert.equal((await client.interim()).status, 100);
      client.send("hello");
      const answer = await client.answer();
      assertAnswer(answer, 200, "again");
      assert.deepEqual(bodies(), ["hello", "hello"]);
    });

    test("a 503 instead of the 100 is tried again, and the client is asked for the body by the second try", async (t) => {
      await failAtHead(status(503));
      const { onHead } = upstream;
      upstream.onHead = (request) => {
        if (upstream.requests.length === 1) onHead?.(request);
        else request.connection.send("HTTP/1.1 100 Continue\r\n\r\n");
      };
      const client = await connectRaw(t, sidecar.port);
      client.request("PUT /retry HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
      assert.equal((await client.interim()).status, 100);
      client.send("hello");
      assertAnswer(await client.answer(), 200, "again");
    });

    test("an answer with a body that is dropped for a second try leaves nothing in the client's answer", async (t) => {
      await plan(upstream, answering(okText("x".repeat(300_000)).replace("200 OK", "503 No")), ok("again"));
      assertAnswer(await ask(t, sidecar, "/retry", "PUT", [], "hello"), 200, "again");
      await untilAllOver(sidecar);
    });
  });
}
