import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { describe, test, type TestContext } from "node:test";
import { UPSTREAM_WORDS } from "../../src/base/cells.ts";
import { failure } from "../../src/base/failure.ts";
import type { Attempt, OutgoingHead, Upstream } from "../../src/model/exchange-types.ts";
import { LibraryUpstream } from "../../src/transport/library-upstream.ts";
import { NativeUpstream } from "../../src/transport/native-upstream.ts";
import { answering, okText, startRawUpstream, type RawUpstream } from "../support/raw-upstream.ts";
import { RecordingSink } from "../support/recording-sink.ts";
import { until, untilQuiet } from "../support/until.ts";
import { openUpstream, PLAIN_HEAD, type UpstreamEngine, type UpstreamLimits } from "../support/upstream-bench.ts";

/** What carries an attempt; the laws are the same for all. `special` makes the library engine take node:http. */
interface Carrier {
  readonly Engine: UpstreamEngine;
  readonly special: boolean;
  readonly pipelining: number;
  /** Over a Unix socket instead of TCP. */
  readonly unix?: boolean;
}

const CARRIERS: Readonly<Record<string, Carrier>> = {
  undici: { Engine: LibraryUpstream, special: false, pipelining: 1 },
  "node:http": { Engine: LibraryUpstream, special: true, pipelining: 1 },
  "the native engine": { Engine: NativeUpstream, special: false, pipelining: 1 },
  "the native engine, with trailers announced": { Engine: NativeUpstream, special: true, pipelining: 1 },
  "the native engine, pipelined": { Engine: NativeUpstream, special: false, pipelining: 8 },
  "undici, over a Unix socket": { Engine: LibraryUpstream, special: false, pipelining: 1, unix: true },
  "node:http, over a Unix socket": { Engine: LibraryUpstream, special: true, pipelining: 1, unix: true },
  "the native engine, over a Unix socket": { Engine: NativeUpstream, special: false, pipelining: 1, unix: true },
};

interface Bench {
  readonly raw: RawUpstream;
  readonly upstream: Upstream;
  readonly counters: Float64Array;
  readonly open: (sink: RecordingSink, head?: Partial<OutgoingHead>, freshConnection?: boolean) => Attempt;
}

interface Limits extends UpstreamLimits {
  readonly port?: number;
}

async function benchFor(t: TestContext, carrier: Carrier, limits: Limits = {}): Promise<Bench> {
  const folder = carrier.unix === true ? mkdtempSync(path.join(tmpdir(), "crossfade-socket-")) : null;
  if (folder !== null) t.after(() => rmSync(folder, { recursive: true }));
  const raw = await startRawUpstream(t, folder === null ? null : path.join(folder, "v1.sock"));
  const isDead = limits.port !== undefined;
  const { upstream, counters } = openUpstream(t, carrier.Engine, limits.port ?? (folder === null ? raw.port : 0), {
    ...limits,
    socketPath: folder === null ? null : path.join(folder, isDead ? "nobody.sock" : "v1.sock"),
    pool: { pipelining: carrier.pipelining, ...limits.pool },
  });
  return {
    raw,
    upstream,
    counters,
    open: (sink, head = {}, freshConnection = false) =>
      upstream.open({ ...PLAIN_HEAD, hasTrailers: carrier.special, ...head }, sink, { freshConnection, ticket: 0 }),
  };
}

for (const [name, carrier] of Object.entries(CARRIERS)) {
  describe(`an attempt over ${name}`, () => {
    test("tells head, data, end, in this order, and nothing before open has returned", async (t) => {
      const { raw, open } = await benchFor(t, carrier);
      raw.onRequest = answering(okText("hello", ["X-A: 1", "x-a: 2"]));
      const sink = new RecordingSink();
      open(sink);
      assert.deepEqual(sink.heard, []);
      await sink.over();
      assert.equal(sink.story, "head 200, data, end");
      assert.equal(sink.body, "hello");
      assert.deepEqual(sink.heads[0]?.headers.slice(0, 4), ["X-A", "1", "x-a", "2"]);
    });

    test("gives interim answers as heads of their own", async (t) => {
      const { raw, open } = await benchFor(t, carrier);
      raw.onRequest = answering(`HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n${okText("x")}`);
      const sink = new RecordingSink();
      open(sink);
      await sink.over();
      assert.equal(sink.story, "head 103, head 200, data, end");
    });

    test("gives trailers with the end", async (t) => {
      const { raw, open } = await benchFor(t, carrier);
      raw.onRequest = answering(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-Sum: 9\r\n\r\n",
      );
      const sink = new RecordingSink();
      open(sink);
      await sink.over();
      assert.deepEqual([sink.body, sink.trailers], ["hi", ["X-Sum", "9"]]);
    });

    test("sends a body of known length as it comes", async (t) => {
      const { raw, open } = await benchFor(t, carrier);
      const sink = new RecordingSink();
      const attempt = open(sink, { method: "POST", body: { kind: "length", length: 6 } });
      attempt.write(Buffer.from("abc"));
      attempt.write(Buffer.from("def"));
      attempt.end(null);
      await sink.over();
      assert.equal(raw.requests[0]?.message.pieces.join(""), "abcdef");
      assert.match(raw.requests[0]?.connection.text() ?? "", /content-length: 6\r\n/i);
    });

    test("sends a body of unknown length in chunks", async (t) => {
      const { raw, open } = await benchFor(t, carrier);
      const sink = new RecordingSink();
      const attempt = open(sink, { method: "DELETE", body: { kind: "chunked" } });
      attempt.write(Buffer.from("abc"));
      attempt.end(null);
      await sink.over();
      assert.equal(raw.requests[0]?.message.pieces.join(""), "abc");
      assert.match(raw.requests[0]?.connection.text() ?? "", /transfer-encoding: chunked\r\n/i);
      assert.doesNotMatch(raw.requests[0]?.connection.text() ?? "", /content-length/i);
    });

    test("holds a body back while the upstream does not read, and drains when it does", async (t) => {
      const { raw, open } = await benchFor(t, carrier);
      raw.onConnection = (connection) => connection.socket.pause();
      const sink = new RecordingSink();
      const chunk = Buffer.alloc(65_536, "x");
      const total = 512;
      const attempt = open(sink, { method: "POST", body: { kind: "length", length: total * chunk.length } });
      let sent = 0;
      const pump = (): void => {
        while (sent < total) {
          sent++;
          if (!attempt.write(chunk)) return;
        }
        attempt.end(null);
      };
      sink.whenDrained = pump;
      pump();
      await until(() => raw.connections.length > 0, "the connection");
      await untilQuiet(() => sent, 100);
      assert.ok(sent < total, `held back after ${sent} of ${total} chunks`);
      raw.connections[0]?.socket.resume();
      assert.equal(await sink.over(), "end");
      assert.equal(
        raw.requests[0]?.message.pieces.reduce((sum, piece) => sum + piece.length, 0),
        total * chunk.length,
      );
    });

    test("a paused sink pauses the upstream, and resume lets it flow again", async (t) => {
      const { raw, open } = await benchFor(t, carrier);
      const size = 64 * 1024 * 1024;
      let accepted = 0;
      raw.onRequest = ({ connection }) => {
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
      sink.flowing = false;
      let bytes = 0;
      sink.onData = (data) => {
        bytes += data.length;
        return sink.flowing;
      };
      const attempt = open(sink);
      await until(() => bytes > 0, "the first bytes");
      await untilQuiet(() => accepted, 100);
      assert.ok(accepted < size, `paused after ${accepted} bytes`);
      sink.flowing = true;
      attempt.resume();
      assert.equal(await sink.over(), "end");
      assert.equal(bytes, size);
    });

    test("an abort closes the connection, and the sink hears nothing more", async (t) => {
      const { raw, open } = await benchFor(t, carrier);
      raw.onRequest = ({ connection }) => void connection.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc");
      const sink = new RecordingSink();
      const attempt = open(sink);
      await until(() => sink.body === "abc", "the first bytes");
      attempt.abort(failure("client-gone"));
      const before = sink.heard.length;
      await raw.connections[0]?.ended();
      assert.equal(sink.heard.length, before);
    });

    test("a refused connection is a connect failure of which nothing was sent", async (t) => {
      const dead = await closedPort();
      const { open } = await benchFor(t, carrier, { port: dead });
      const sink = new RecordingSink();
      open(sink);
      assert.equal(await sink.over(), "failure connect-failure");
      assert.deepEqual(sink.info, { sent: false });
    });

    const endings: [string, string, "close" | "reset" | "hold", string][] = [
      ["a close before any byte is a reset", "", "close", "failure upstream-reset"],
      ["a reset before any byte is a reset", "", "reset", "failure upstream-reset"],
      ["a head that is cut is a reset", "HTTP/1.1 200 OK\r\nContent-", "close", "failure upstream-reset"],
      [
        "a body that is cut is a truncated answer",
        "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello",
        "close",
        "failure truncated-answer",
      ],
      [
        "chunks without their end are a truncated answer",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        "close",
        "failure truncated-answer",
      ],
      ["an answer that is no HTTP is a bad answer", "<html>hi</html>\r\n\r\n", "close", "failure bad-answer"],
      [
        "a switch that nobody asked for is a bad answer",
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
        "hold",
        "failure bad-answer",
      ],
      [
        "a head beyond the limit is too large",
        `HTTP/1.1 200 OK\r\nX: ${"a".repeat(100_000)}\r\n\r\n`,
        "hold",
        "failure answer-too-large",
      ],
    ];
    for (const [name, bytes, then, expected] of endings) {
      test(name, async (t) => {
        const { raw, open } = await benchFor(t, carrier);
        raw.onRequest = answering(bytes, then);
        const sink = new RecordingSink();
        open(sink);
        assert.equal(await sink.over(), expected);
      });
    }

    test("no head in time is a head timeout, counted from the end of the request", async (t) => {
      const { raw, open } = await benchFor(t, carrier, { timeouts: { responseHeadTimeoutMs: 60 } });
      raw.onRequest = null;
      const sink = new RecordingSink();
      open(sink);
      assert.equal(await sink.over(), "failure head-timeout");
      await raw.connections[0]?.ended();
    });

    test("silence inside an answer is an idle timeout", async (t) => {
      const { raw, open } = await benchFor(t, carrier, { timeouts: { idleTimeoutMs: 60 } });
      raw.onRequest = answering("HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello", "hold");
      const sink = new RecordingSink();
      open(sink);
      assert.equal(await sink.over(), "failure idle-timeout");
    });

    test("beyond the limits attempts wait, then are refused; a slot that comes free goes to the first in line", async (t) => {
      const { raw, open, counters } = await benchFor(t, carrier, {
        pool: { maxConnections: 1, maxPending: 1, acquireTimeoutMs: 60_000 },
      });
      raw.onRequest = null;
      const [first, second, third] = [new RecordingSink(), new RecordingSink(), new RecordingSink()];
      open(first);
      open(second);
      open(third);
      assert.equal(await third.over(), "failure overflow");
      assert.equal(counters[UPSTREAM_WORDS.pending], 1);
      await until(() => raw.requests.length === 1, "the first request");
      raw.onRequest = answering(okText("2"));
      raw.requests[0]?.connection.answer(okText("1"), "keep");
      assert.deepEqual([await first.over(), await second.over()], ["end", "end"]);
      assert.deepEqual([counters[UPSTREAM_WORDS.pending], counters[UPSTREAM_WORDS.active]], [0, 0]);
    });

    test("waiting for a connection has its own deadline", async (t) => {
      const { raw, open } = await benchFor(t, carrier, { pool: { maxConnections: 1, acquireTimeoutMs: 60 } });
      raw.onRequest = null;
      open(new RecordingSink());
      const second = new RecordingSink();
      open(second);
      assert.equal(await second.over(), "failure acquire-timeout");
    });

    test("closing ends what does not end by itself", async (t) => {
      const { raw, open, upstream } = await benchFor(t, carrier);
      raw.onRequest = null;
      open(new RecordingSink());
      await until(() => raw.requests.length === 1, "the request");
      await upstream.close(30);
      await raw.connections[0]?.ended();
    });
  });
}

for (const [name, Engine] of Object.entries({ library: LibraryUpstream, native: NativeUpstream })) {
  const carrier: Carrier = { Engine, special: false, pipelining: 1 };
  const announcing: Carrier = { Engine, special: true, pipelining: 1 };

  describe(`the pool of the ${name} engine`, () => {
    test("idle connections are used again, the hottest first; a fresh one is made when asked for", async (t) => {
      const { raw, open, counters } = await benchFor(t, carrier);
      const once = async (fresh: boolean): Promise<void> => {
        const sink = new RecordingSink();
        open(sink, {}, fresh);
        assert.equal(await sink.over(), "end");
      };
      await once(false);
      await once(false);
      assert.equal(raw.connections.length, 1);
      await once(true);
      assert.equal(raw.connections.length, 2);
      assert.deepEqual([counters[UPSTREAM_WORDS.opened], counters[UPSTREAM_WORDS.reused]], [2, 1]);
    });

    test("request trailers arrive", async (t) => {
      const { raw, open } = await benchFor(t, announcing);
      const sink = new RecordingSink();
      const attempt = open(sink, { method: "POST", body: { kind: "chunked" } });
      attempt.write(Buffer.from("abc"));
      attempt.end(["X-Sum", "7"]);
      await sink.over();
      assert.match(raw.requests[0]?.connection.text() ?? "", /0\r\nX-Sum: 7\r\n\r\n$/);
    });

    test("connections are opened ahead of need, used, and opened again when the upstream closes them", async (t) => {
      const { raw, open, counters } = await benchFor(t, carrier, { pool: { minConnections: 2 } });
      await until(() => raw.connections.length === 2 && counters[UPSTREAM_WORDS.idle] === 2, "two warm connections");
      const sink = new RecordingSink();
      open(sink);
      assert.equal(await sink.over(), "end");
      assert.equal(raw.connections.length, 2, "the request took a warm one");
      for (const connection of raw.connections) connection.close();
      await until(() => counters[UPSTREAM_WORDS.idle] === 0, "both to be gone");
      await until(() => raw.connections.length >= 4, "two new ones");
    });
  });
}

async function closedPort(): Promise<number> {
  const server = net.createServer();
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  const { port } = server.address() as net.AddressInfo;
  await new Promise((resolve) => {
    server.close(resolve);
  });
  return port;
}
