import assert from "node:assert/strict";
import { describe, test, type TestContext } from "node:test";
import { UPSTREAM_WORDS } from "../../src/base/cells.ts";
import { failure } from "../../src/base/failure.ts";
import type { Attempt } from "../../src/model/exchange-types.ts";
import { race } from "../../src/proxy/race.ts";
import { LibraryUpstream } from "../../src/transport/library-upstream.ts";
import { NativeUpstream } from "../../src/transport/native-upstream.ts";
import { answering, okText, startRawUpstream, type RawUpstream } from "../support/raw-upstream.ts";
import { RecordingSink } from "../support/recording-sink.ts";
import { until, untilQuiet } from "../support/until.ts";
import { openUpstream, PLAIN_HEAD } from "../support/upstream-bench.ts";

interface Bench {
  readonly first: RawUpstream;
  readonly second: RawUpstream;
  /** Counters of the first and of the second upstream. */
  readonly counters: readonly [Float64Array, Float64Array];
  readonly winners: number[];
  open(sink: RecordingSink, delayMs: number): Attempt;
}

for (const [name, Engine] of Object.entries({ library: LibraryUpstream, native: NativeUpstream })) {
  async function benchFor(t: TestContext): Promise<Bench> {
    const [first, second] = [await startRawUpstream(t), await startRawUpstream(t)];
    const one = openUpstream(t, Engine, first.port, {});
    const other = openUpstream(t, Engine, second.port, {});
    const winners: number[] = [];
    return {
      first,
      second,
      counters: [one.counters, other.counters],
      winners,
      open: (sink, delayMs) =>
        race(
          [one.upstream, other.upstream].map(
            (upstream) => (runner) => upstream.open(PLAIN_HEAD, runner, { freshConnection: false, ticket: 0 }),
          ),
          sink,
          {
            delayMs,
            timer: (fn, ms) => {
              const timer = setTimeout(fn, ms);
              return () => clearTimeout(timer);
            },
            accepts: (head) => head.status < 500,
            mayStart: () => true,
            onWinner: (index) => winners.push(index),
          },
        ),
    };
  }

  describe(`a race of two attempts over the ${name} engine`, () => {
    test("tells what one attempt would, and nothing before it has been returned", async (t) => {
      const { first, second, open, winners } = await benchFor(t);
      first.onRequest = answering(`HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n${okText("hello", ["X-A: 1"])}`);
      const sink = new RecordingSink();
      open(sink, 60_000);
      assert.deepEqual(sink.heard, []);
      await sink.over();
      assert.equal(sink.story, "head 200, data, end");
      assert.deepEqual([sink.body, sink.heads[0]?.headers.slice(0, 2)], ["hello", ["X-A", "1"]]);
      assert.deepEqual([winners, second.connections.length], [[0], 0]);
    });

    test("gives trailers with the end", async (t) => {
      const { first, open } = await benchFor(t);
      first.onRequest = answering(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-Sum: 9\r\n\r\n",
      );
      const sink = new RecordingSink();
      open(sink, 60_000);
      await sink.over();
      assert.deepEqual([sink.body, sink.trailers], ["hi", ["X-Sum", "9"]]);
    });

    test("when the first is silent, the second answers, and the first one's connection is closed", async (t) => {
      const { first, second, open, winners, counters } = await benchFor(t);
      first.onRequest = null;
      second.onRequest = answering(okText("second"));
      const sink = new RecordingSink();
      open(sink, 20);
      assert.equal(await sink.over(), "end");
      assert.deepEqual([sink.body, winners], ["second", [1]]);
      await first.connections[0]?.ended();
      await until(
        () => counters[0][UPSTREAM_WORDS.active] === 0 && counters[1][UPSTREAM_WORDS.active] === 0,
        "both slots",
      );
    });

    test("a refused connection starts the second at once", async (t) => {
      const { first, second, open, winners } = await benchFor(t);
      await first.close();
      second.onRequest = answering(okText("second"));
      const sink = new RecordingSink();
      open(sink, 60_000);
      assert.equal(await sink.over(), "end");
      assert.deepEqual([sink.body, winners], ["second", [1]]);
    });

    test("a slow sink pauses the winner, and resume lets it flow again", async (t) => {
      const { first, second, open } = await benchFor(t);
      second.onRequest = null;
      const size = 64 * 1024 * 1024;
      let accepted = 0;
      first.onRequest = ({ connection }) => {
        connection.send(`HTTP/1.1 200 OK\r\nContent-Length: ${size}\r\n\r\n`);
        const chunk = Buffer.alloc(262_144, "y");
        const pump = (): void => {
          while (accepted < size) {
            accepted += chunk.length;
            if (!connection.send(chunk)) {
              connection.socket.once("drain", pump);
              return;
            }
          }
        };
        pump();
      };
      const sink = new RecordingSink();
      let bytes = 0;
      sink.flowing = false;
      sink.onData = (data) => {
        bytes += data.length;
        return sink.flowing;
      };
      const attempt = open(sink, 0);
      await until(() => bytes > 0, "the first bytes");
      await untilQuiet(() => accepted, 100);
      assert.ok(accepted < size, `paused after ${accepted} bytes`);
      sink.flowing = true;
      attempt.resume();
      assert.equal(await sink.over(), "end");
      assert.equal(bytes, size);
    });

    test("an abort closes both connections, and the sink hears nothing", async (t) => {
      const { first, second, open } = await benchFor(t);
      first.onRequest = null;
      second.onRequest = null;
      const sink = new RecordingSink();
      const attempt = open(sink, 0);
      await until(() => first.requests.length + second.requests.length === 2, "both requests");
      attempt.abort(failure("client-gone"));
      await Promise.all([first.connections[0]?.ended(), second.connections[0]?.ended()]);
      assert.deepEqual(sink.heard, []);
    });

    test("when both fail, the failure is heard once, of a request that was sent", async (t) => {
      const { first, second, open } = await benchFor(t);
      first.onRequest = answering("", "reset");
      await second.close();
      const sink = new RecordingSink();
      open(sink, 60_000);
      assert.equal(await sink.over(), "failure connect-failure");
      assert.deepEqual([sink.heard.length, sink.info?.sent], [1, true]);
    });

    test("a winner that is cut inside its answer is a truncated answer", async (t) => {
      const { first, second, open } = await benchFor(t);
      second.onRequest = null;
      first.onRequest = answering("HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello", "close");
      const sink = new RecordingSink();
      open(sink, 0);
      assert.equal(await sink.over(), "failure truncated-answer");
      assert.equal(sink.story, "head 200, data, failure truncated-answer");
    });
  });
}
