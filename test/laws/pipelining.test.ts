import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import fc from "fast-check";
import { UPSTREAM_WORDS } from "../../src/base/cells.ts";
import { failure } from "../../src/base/failure.ts";
import type { Attempt, OutgoingHead, Upstream } from "../../src/model/exchange-types.ts";
import { NativeUpstream } from "../../src/transport/native-upstream.ts";
import { okText, startRawUpstream, type RawUpstream, type UpstreamConnection } from "../support/raw-upstream.ts";
import { RecordingSink } from "../support/recording-sink.ts";
import { until, untilQuiet } from "../support/until.ts";
import { openUpstream, PLAIN_HEAD, type UpstreamLimits } from "../support/upstream-bench.ts";

/** One try with what its caller hears. */
interface Call {
  readonly attempt: Attempt;
  readonly sink: RecordingSink;
}

interface Bench {
  readonly raw: RawUpstream;
  readonly upstream: Upstream;
  readonly counters: Float64Array;
  /** Opens a try for `target`. */
  readonly ask: (target: string, head?: Partial<OutgoingHead>, freshConnection?: boolean) => Call;
  /** Targets in the order in which the upstream saw them, without the one that warmed the connection. */
  readonly targets: () => string[];
  /** The connection that has served. */
  readonly connection: () => UpstreamConnection;
}

/** A bench that has one idle connection, which has served once; from then on the upstream stays silent. */
async function warmBench(t: TestContext, limits: UpstreamLimits = {}): Promise<Bench> {
  const bench = await coldBench(t, limits);
  assert.equal(await bench.ask("/warm").sink.over(), "end");
  bench.raw.onRequest = null;
  bench.raw.requests = [];
  bench.connection().forget();
  return bench;
}

async function coldBench(t: TestContext, { pool, timeouts }: UpstreamLimits = {}): Promise<Bench> {
  const raw = await startRawUpstream(t);
  const { upstream, counters } = openUpstream(t, NativeUpstream, raw.port, {
    timeouts: { responseHeadTimeoutMs: 20_000, idleTimeoutMs: 20_000, ...timeouts },
    pool: {
      maxConnections: 1,
      maxPending: 64,
      acquireTimeoutMs: 20_000,
      idleTimeoutMs: 20_000,
      pipelining: 4,
      ...pool,
    },
  });
  return {
    raw,
    upstream,
    counters,
    ask: (target, head = {}, freshConnection = false) => {
      const sink = new RecordingSink();
      return { sink, attempt: upstream.open({ ...PLAIN_HEAD, target, ...head }, sink, { freshConnection, ticket: 0 }) };
    },
    targets: () => raw.requests.map(({ target }) => target),
    connection: () => raw.connections[0] as UpstreamConnection,
  };
}

const COUNTED = ["active", "idle", "pending"] as const;

function counted({ counters }: Bench): Record<string, number> {
  return Object.fromEntries(COUNTED.map((word) => [word, counters[UPSTREAM_WORDS[word]] as number]));
}

/** Waits until so many requests stand whole at the upstream, and a while longer for more to come. */
async function arrived(bench: Bench, count: number): Promise<void> {
  await until(() => bench.raw.requests.length >= count, `${count} requests at the upstream`, {
    detail: () => bench.targets().join(" "),
  });
  await untilQuiet(() => bench.raw.requests.length, 40);
  assert.equal(bench.raw.requests.length, count, bench.targets().join(" "));
}

async function stories(calls: readonly Call[]): Promise<string[]> {
  await Promise.all(calls.map(({ sink }) => sink.over()));
  return calls.map(({ sink }) => (sink.failure === null ? sink.body : sink.failure.kind));
}

/** Answers every request that comes with its own target. */
function answerTargets(bench: Bench): void {
  bench.raw.onRequest = ({ connection, target }) => void connection.send(okText(target));
}

test("requests that may share stand on one connection, and their answers go to the right callers in order", async (t) => {
  const bench = await warmBench(t);
  const calls = ["/1", "/2", "/3", "/4"].map((target) => bench.ask(target));
  await arrived(bench, 4);
  assert.deepEqual(bench.targets(), ["/1", "/2", "/3", "/4"]);
  assert.equal(bench.raw.connections.length, 1);
  bench.connection().send(["one", "two", "three", "four"].map((body) => okText(body)).join(""));
  assert.deepEqual(await stories(calls), ["one", "two", "three", "four"]);
  assert.deepEqual(counted(bench), { active: 0, idle: 1, pending: 0 });
});

test("what is asked in one turn of the loop arrives in one packet", async (t) => {
  const bench = await warmBench(t);
  const packets: number[] = [];
  bench
    .connection()
    .socket.on("data", (bytes: Buffer) => packets.push(bytes.toString("latin1").split("GET ").length - 1));
  for (const target of ["/1", "/2", "/3"]) bench.ask(target);
  await arrived(bench, 3);
  assert.deepEqual(packets, [3]);
});

test("no more than the limit are in flight on one connection; the rest wait, and follow as answers come", async (t) => {
  const bench = await warmBench(t);
  const calls = ["/1", "/2", "/3", "/4", "/5", "/6"].map((target) => bench.ask(target));
  await arrived(bench, 4);
  assert.deepEqual(counted(bench), { active: 1, idle: 0, pending: 2 });
  bench.connection().send(okText("/1"));
  await arrived(bench, 5);
  answerTargets(bench);
  bench.connection().send(["/2", "/3", "/4", "/5"].map((body) => okText(body)).join(""));
  assert.deepEqual(await stories(calls), ["/1", "/2", "/3", "/4", "/5", "/6"]);
  assert.deepEqual(counted(bench), { active: 0, idle: 1, pending: 0 });
});

test("beyond the limit another connection is opened while connections last", async (t) => {
  const bench = await warmBench(t, { pool: { maxConnections: 2, pipelining: 2 } });
  const calls = ["/1", "/2", "/3"].map((target) => bench.ask(target));
  await arrived(bench, 3);
  assert.equal(bench.raw.connections.length, 2);
  for (const { connection, target } of bench.raw.requests) connection.send(okText(target));
  assert.deepEqual(await stories(calls), ["/1", "/2", "/3"]);
});

test("a new connection carries one request alone until it has served", async (t) => {
  const bench = await coldBench(t);
  bench.raw.onRequest = null;
  const calls = ["/1", "/2", "/3"].map((target) => bench.ask(target));
  await arrived(bench, 1);
  assert.deepEqual(counted(bench), { active: 1, idle: 0, pending: 2 });
  bench.connection().send(okText("/1"));
  await arrived(bench, 3);
  bench.connection().send(okText("second in order") + okText("third in order"));
  await stories(calls);
  const bodies = Object.fromEntries(calls.map(({ sink }, i) => [`/${i + 1}`, sink.body]));
  const [, second = "", third = ""] = bench.targets();
  assert.deepEqual(bodies, { "/1": "/1", [second]: "second in order", [third]: "third in order" });
});

test("those that waited get their own answers when a connection comes free for several of them at once", async (t) => {
  const bench = await coldBench(t);
  answerTargets(bench);
  const calls = ["/1", "/2", "/3", "/4", "/5"].map((target) => bench.ask(target));
  assert.deepEqual(await stories(calls), ["/1", "/2", "/3", "/4", "/5"]);
});

test("as many of those that waited are sent at once as there is room for, in the order in which they came", async (t) => {
  const bench = await coldBench(t);
  bench.raw.onRequest = null;
  for (const target of ["/1", "/2", "/3", "/4", "/5"]) bench.ask(target);
  await arrived(bench, 1);
  bench.connection().send(okText("/1"));
  await arrived(bench, 5);
  assert.deepEqual(bench.targets(), ["/1", "/2", "/3", "/4", "/5"]);
});

const LONERS: readonly [string, Partial<OutgoingHead>, boolean][] = [
  ["a POST without a body", { method: "POST" }, false],
  ["a POST with a body", { method: "POST", body: { kind: "length", length: 3 } }, false],
  ["a PUT with a body", { method: "PUT", body: { kind: "length", length: 3 } }, false],
  ["a fresh retry", {}, true],
];
for (const [what, head, fresh] of LONERS) {
  test(`${what} joins no connection that others use`, async (t) => {
    const bench = await warmBench(t, { pool: { maxConnections: 2 } });
    bench.ask("/shared");
    await arrived(bench, 1);
    const loner = bench.ask("/alone", head, fresh);
    if (head.body?.kind === "length") loner.attempt.write("abc");
    loner.attempt.end(null);
    await arrived(bench, 2);
    assert.notEqual(bench.raw.requests[0]?.connection, bench.raw.requests[1]?.connection);
  });

  test(`nothing joins a connection that carries ${what}`, async (t) => {
    const bench = await warmBench(t);
    const loner = bench.ask("/alone", head, fresh);
    if (head.body?.kind === "length") loner.attempt.write("abc");
    loner.attempt.end(null);
    await arrived(bench, 1);
    const second = bench.ask("/after");
    await untilQuiet(() => bench.raw.requests.length, 40);
    assert.deepEqual([bench.targets(), counted(bench)["pending"]], [["/alone"], 1]);
    answerTargets(bench);
    bench.raw.requests[0]?.connection.send(okText("x"));
    assert.deepEqual(await stories([loner, second]), ["x", "/after"]);
  });
}

test("a POST that waits has its turn although GETs keep coming", async (t) => {
  const bench = await warmBench(t);
  bench.ask("/get-0");
  const post = bench.ask("/post", { method: "POST" });
  for (let i = 1; i <= 20 && !bench.targets().includes("/post"); i++) {
    bench.ask(`/get-${i}`);
    await until(() => bench.raw.requests.length >= i, "the next request");
    bench.connection().send(okText("x"));
    await untilQuiet(() => bench.raw.requests.length, 10);
  }
  assert.ok(bench.targets().includes("/post"), `20 GETs that came later went first: ${bench.targets().join(" ")}`);
  post.attempt.abort(failure("client-gone"));
});

test("those behind a POST that has left the queue are sent while there is room for them", async (t) => {
  const bench = await warmBench(t, { pool: { pipelining: 2 } });
  const first = bench.ask("/1");
  bench.ask("/2");
  const post = bench.ask("/post", { method: "POST" });
  bench.ask("/3");
  await arrived(bench, 2);
  bench.connection().send(okText("/1"));
  await first.sink.over();
  post.attempt.abort(failure("client-gone"));
  await arrived(bench, 3);
  assert.deepEqual(bench.targets(), ["/1", "/2", "/3"]);
});

const ENDS: readonly [string, (connection: UpstreamConnection, answers: string) => void][] = [
  ["closes", (connection, answers) => connection.answer(answers, "close")],
  ["resets", (connection, answers) => connection.answer(answers, "reset")],
];
for (const [verb, end] of ENDS) {
  for (const answered of [0, 1, 2]) {
    test(`an upstream that ${verb} after ${answered} of 3 answers leaves the others to be asked again`, async (t) => {
      const bench = await warmBench(t);
      const calls = ["/1", "/2", "/3"].map((target) => bench.ask(target));
      await arrived(bench, 3);
      end(
        bench.connection(),
        ["/1", "/2"]
          .slice(0, answered)
          .map((body) => okText(body))
          .join(""),
      );
      const expected = ["/1", "/2", "/3"].map((body, i) => (i < answered ? body : "stale-connection"));
      assert.deepEqual(await stories(calls), expected);
      assert.deepEqual(counted(bench), { active: 0, idle: 0, pending: 0 });
    });
  }

  test(`an upstream that ${verb} inside an answer cuts that one, and leaves those behind to be asked again`, async (t) => {
    const bench = await warmBench(t);
    const calls = ["/1", "/2", "/3"].map((target) => bench.ask(target));
    await arrived(bench, 3);
    end(bench.connection(), `${okText("/1")}HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\npart`);
    assert.deepEqual(await stories(calls), ["/1", "truncated-answer", "stale-connection"]);
    assert.equal(calls[1]?.sink.body, "part");
  });
}

test("a head that is cut fails its own caller, who is not asked for again, and leaves those behind to be", async (t) => {
  const bench = await warmBench(t);
  const calls = ["/1", "/2", "/3"].map((target) => bench.ask(target));
  await arrived(bench, 3);
  bench.connection().answer(`${okText("/1")}HTTP/1.1 200 OK\r\nConte`, "close");
  assert.deepEqual(await stories(calls), ["/1", "upstream-reset", "stale-connection"]);
});

test("Connection: close in an answer leaves those behind it to be asked again, whatever bytes follow", async (t) => {
  const bench = await warmBench(t);
  const calls = ["/1", "/2", "/3"].map((target) => bench.ask(target));
  await arrived(bench, 3);
  bench.connection().send(okText("/1") + okText("/2", ["Connection: close"]) + okText("not for the third"));
  assert.deepEqual(await stories(calls), ["/1", "/2", "stale-connection"]);
  await bench.connection().ended();
});

test("nothing joins a connection whose present answer has said Connection: close", async (t) => {
  const bench = await warmBench(t, { pool: { maxConnections: 2 } });
  bench.ask("/1");
  await arrived(bench, 1);
  bench.connection().send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 9\r\n\r\npart");
  await until(() => bench.raw.requests.length === 1 && counted(bench)["active"] === 1, "the answer under way");
  await untilQuiet(() => bench.raw.requests.length, 20);
  bench.ask("/2");
  await arrived(bench, 2);
  assert.notEqual(bench.raw.requests[1]?.connection, bench.connection());
});

test("an answer that ends with its connection goes to its caller whole, and leaves those behind to be asked again", async (t) => {
  const bench = await warmBench(t);
  const calls = ["/1", "/2", "/3"].map((target) => bench.ask(target));
  await arrived(bench, 3);
  bench.connection().answer(`${okText("/1")}HTTP/1.1 200 OK\r\n\r\nuntil the end`, "close");
  assert.deepEqual(await stories(calls), ["/1", "until the end", "stale-connection"]);
});

for (const [what, bytes] of [
  ["is no HTTP", "<html>\r\n\r\n"],
  ["has two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"],
  ["switches protocols", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"],
  ["has a broken chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"],
] as const) {
  test(`an answer in the middle that ${what} is bad for its own caller alone`, async (t) => {
    const bench = await warmBench(t);
    const calls = ["/1", "/2", "/3"].map((target) => bench.ask(target));
    await arrived(bench, 3);
    bench.connection().send(okText("/1") + bytes + okText("not for the third"));
    assert.deepEqual(await stories(calls), ["/1", "bad-answer", "stale-connection"]);
    await bench.connection().ended();
  });
}

for (const [when, send] of [
  ["in one packet with it", (to: UpstreamConnection) => void to.send(`${okText("/2")}extra`)],
  ["in the shape of an answer", (to: UpstreamConnection) => void to.send(okText("/2") + okText("extra"))],
] as const) {
  test(`bytes behind the last answer, ${when}, end the connection`, async (t) => {
    const bench = await warmBench(t);
    const calls = ["/1", "/2"].map((target) => bench.ask(target));
    await arrived(bench, 2);
    bench.connection().send(okText("/1"));
    send(bench.connection());
    assert.deepEqual(await stories(calls), ["/1", "/2"]);
    await bench.connection().ended();
    answerTargets(bench);
    assert.deepEqual(await stories([bench.ask("/3")]), ["/3"]);
  });
}

const SKIPPED: readonly [string, string][] = [
  ["a small one", okText("unheard")],
  ["a large chunked one", chunkedText("z".repeat(300_000), 7_001)],
  ["one after an interim answer", `HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n${okText("unheard")}`],
];
for (const [what, bytes] of SKIPPED) {
  for (const leaver of [0, 1, 2]) {
    test(`caller ${leaver + 1} of 3 leaves, and its answer, ${what}, passes unheard by anyone`, async (t) => {
      const bench = await warmBench(t);
      const calls = ["/1", "/2", "/3"].map((target) => bench.ask(target));
      await arrived(bench, 3);
      const [left] = calls.splice(leaver, 1);
      left?.attempt.abort(failure("client-gone"));
      bench.connection().send(["/1", "/2", "/3"].map((body, i) => (i === leaver ? bytes : okText(body))).join(""));
      const expected = ["/1", "/2", "/3"].filter((_body, i) => i !== leaver);
      assert.deepEqual(await stories(calls), expected);
      assert.deepEqual(left?.sink.heard, []);
      await until(() => counted(bench)["active"] === 0, "the slot to be free");
    });
  }
}

test("a caller that leaves inside its answer does not disturb those behind it", async (t) => {
  const bench = await warmBench(t);
  const [first, second] = [bench.ask("/1"), bench.ask("/2")];
  await arrived(bench, 2);
  bench.connection().send("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\npart");
  await until(() => first.sink.body === "part", "the first part");
  first.attempt.abort(failure("client-gone"));
  bench.connection().send(`rest${okText("/2")}`);
  assert.deepEqual(await stories([second]), ["/2"]);
  assert.equal(first.sink.body, "part");
});

/** Two callers in line on one connection, both answered; the first takes no more of its answer than it has got. */
async function heldUp(bench: Bench, answer: string): Promise<[Call, Call]> {
  const [first, second] = [bench.ask("/1"), bench.ask("/2")];
  first.sink.flowing = false;
  await arrived(bench, 2);
  bench.connection().send(okText(answer) + okText("/2"));
  await until(() => first.sink.body !== "", "the first bytes");
  await untilQuiet(() => first.sink.body.length, 50);
  return [first, second];
}

test("a caller that has held up the connection and leaves lets it flow again", async (t) => {
  const bench = await warmBench(t);
  const [first, second] = await heldUp(bench, "y".repeat(8_000_000));
  first.attempt.abort(failure("client-gone"));
  assert.deepEqual(await stories([second]), ["/2"]);
});

test("a connection that all callers have left is closed at once", async (t) => {
  const bench = await warmBench(t);
  const calls = ["/1", "/2", "/3"].map((target) => bench.ask(target));
  await arrived(bench, 3);
  for (const { attempt } of calls) attempt.abort(failure("client-gone"));
  await bench.connection().ended(100);
  assert.deepEqual(counted(bench), { active: 0, idle: 0, pending: 0 });
});

test("a connection on which only answers that nobody wants are due is closed when the last wanted one has ended", async (t) => {
  const bench = await warmBench(t);
  const [first, second] = [bench.ask("/1"), bench.ask("/2")];
  await arrived(bench, 2);
  second.attempt.abort(failure("client-gone"));
  bench.connection().send(okText("/1"));
  assert.deepEqual(await stories([first]), ["/1"]);
  await bench.connection().ended(200);
  assert.deepEqual(counted(bench), { active: 0, idle: 0, pending: 0 });
});

test("nobody is put behind an answer that nobody wants", async (t) => {
  const bench = await warmBench(t, { pool: { maxConnections: 2 } });
  const calls = ["/1", "/2", "/3"].map((target) => bench.ask(target));
  await arrived(bench, 3);
  calls[1]?.attempt.abort(failure("client-gone"));
  bench.connection().send(okText("/1"));
  await calls[0]?.sink.over();
  bench.ask("/4");
  await arrived(bench, 4);
  assert.notEqual(bench.raw.requests[3]?.connection, bench.connection());
});

test("closing waits for the wanted answers, not for one that its caller has left", async (t) => {
  const bench = await warmBench(t);
  const [first, second] = [bench.ask("/1"), bench.ask("/2")];
  await arrived(bench, 2);
  second.attempt.abort(failure("client-gone"));
  let closed = false;
  const closing = bench.upstream.close(2_000).then(() => {
    closed = true;
  });
  bench.connection().send(okText("/1"));
  assert.deepEqual(await stories([first]), ["/1"]);
  await until(() => closed, "the upstream to be closed", { deadlineMs: 500 });
  await closing;
});

test("the head timeout of the first ends the connection, and those behind are asked again", async (t) => {
  const bench = await warmBench(t, { timeouts: { responseHeadTimeoutMs: 200 } });
  const first = bench.ask("/1");
  const since = performance.now();
  await until(() => performance.now() - since > 60, "a while to pass");
  const second = bench.ask("/2");
  await arrived(bench, 2);
  assert.deepEqual(await stories([first, second]), ["head-timeout", "stale-connection"]);
  await bench.connection().ended();
});

test("those that asked in the same turn run out of time together, and none is left behind", async (t) => {
  const bench = await warmBench(t, { timeouts: { responseHeadTimeoutMs: 100 } });
  const calls = ["/1", "/2", "/3"].map((target) => bench.ask(target));
  const ends = await stories(calls);
  assert.equal(ends[0], "head-timeout");
  assert.ok(
    ends.slice(1).every((end) => end === "head-timeout" || end === "stale-connection"),
    ends.join(" "),
  );
  await bench.connection().ended();
  assert.deepEqual(counted(bench), { active: 0, idle: 0, pending: 0 });
});

test("the head timeout of one behind fails that one alone", async (t) => {
  const bench = await warmBench(t, { timeouts: { responseHeadTimeoutMs: 150 } });
  const [first, second] = [bench.ask("/1"), bench.ask("/2")];
  await arrived(bench, 2);
  bench.connection().send("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\npart");
  assert.deepEqual(await stories([second]), ["head-timeout"]);
  bench.connection().send("rest");
  assert.deepEqual(await stories([first]), ["partrest"]);
});

test("a slow reader in front holds up those behind it, and nothing is lost or mixed", async (t) => {
  const bench = await warmBench(t);
  const large = "0123456789".repeat(800_000);
  const [first, second] = await heldUp(bench, large);
  assert.ok(first.sink.body.length < large.length, "held back");
  assert.deepEqual(second.sink.heard, []);
  first.sink.flowing = true;
  first.attempt.resume();
  await stories([first, second]);
  assert.ok(first.sink.body === large, "the first has its body");
  assert.equal(second.sink.body, "/2");
});

test("a caller behind that takes more does not let the one in front be flooded", async (t) => {
  const bench = await warmBench(t);
  const [first, second] = await heldUp(bench, "y".repeat(8_000_000));
  const before = first.sink.body.length;
  second.attempt.resume();
  await untilQuiet(() => first.sink.body.length, 40);
  assert.equal(first.sink.body.length, before);
});

test("interim answers, HEAD and 304 in the middle keep everybody in step", async (t) => {
  const bench = await warmBench(t);
  const calls = [bench.ask("/1"), bench.ask("/2", { method: "HEAD" }), bench.ask("/3"), bench.ask("/4")];
  await arrived(bench, 4);
  const bodyless = "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n";
  const unchanged = "HTTP/1.1 304 Not Modified\r\nContent-Length: 500\r\n\r\n";
  const hints = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";
  bench.connection().send(hints + okText("/1") + bodyless + hints + unchanged + hints + hints + okText("/4"));
  await stories(calls);
  assert.deepEqual(
    calls.map(({ sink }) => sink.story),
    [
      "head 103, head 200, data, end",
      "head 200, end",
      "head 103, head 304, end",
      "head 103, head 103, head 200, data, end",
    ],
  );
  assert.deepEqual([calls[0]?.sink.body, calls[3]?.sink.body], ["/1", "/4"]);
});

/** A whole chunked answer. */
function chunkedText(body: string, size: number): string {
  let text = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (let at = 0; at < body.length; at += size) {
    const piece = body.slice(at, at + size);
    text += `${piece.length.toString(16)}\r\n${piece}\r\n`;
  }
  return `${text}0\r\n\r\n`;
}

const anyAnswer = fc.record({
  size: fc.oneof(fc.nat(40), fc.integer({ min: 1_000, max: 90_000 })),
  chunk: fc.oneof(fc.constant(0), fc.integer({ min: 50, max: 20_000 })),
  interim: fc.boolean(),
  leaves: fc.integer({ min: 0, max: 5 }).map((die) => die === 0),
});

test("whatever answers come, cut anywhere, each caller gets exactly its own body", async (t) => {
  const bench = await warmBench(t, { pool: { pipelining: 8 } });
  const law = fc.asyncProperty(
    fc.array(anyAnswer, { minLength: 1, maxLength: 16 }),
    fc.array(fc.integer({ min: 1, max: 120_000 }), { maxLength: 12 }),
    async (answers, cuts) => {
      const bodies = answers.map(({ size }, i) => `${i}:${String.fromCodePoint(97 + i).repeat(size)}`);
      bench.raw.onRequest = null;
      bench.raw.requests = [];
      const calls = bodies.map((_body, i) => bench.ask(`/${i}`));
      await until(() => bench.raw.requests.length >= Math.min(8, answers.length), "the requests");
      const kept = calls.filter((call, i) => {
        if (answers[i]?.leaves !== true || i === 0 || i === answers.length - 1) return true;
        call.attempt.abort(failure("client-gone"));
        return false;
      });
      const textFor = (target: string): string => {
        const i = Number(target.slice(1));
        const { chunk = 0, interim = false } = answers[i] ?? {};
        const body = bodies[i] ?? "";
        const hints = interim ? "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" : "";
        return hints + (chunk === 0 ? okText(body) : chunkedText(body, chunk));
      };
      for (const [connection, text] of waitingAnswers(bench.raw, textFor)) await sendCut(connection, text, cuts);
      bench.raw.onRequest = ({ connection, target }) => void connection.send(textFor(target));
      for (const { connection, target } of bench.raw.requests.slice(Math.min(8, answers.length))) {
        connection.send(textFor(target));
      }
      assert.deepEqual(
        await stories(kept),
        bodies.filter((_body, i) => kept.includes(calls[i] as Call)),
      );
    },
  );
  await fc.assert(law, { numRuns: 60 });
  assert.deepEqual([counted(bench)["active"], counted(bench)["pending"]], [0, 0]);
});

/** The answers to all that has arrived, per connection. */
function waitingAnswers(
  raw: RawUpstream,
  textFor: (target: string) => string,
): ReadonlyMap<UpstreamConnection, string> {
  const texts = new Map<UpstreamConnection, string>();
  for (const { connection, target } of raw.requests) {
    texts.set(connection, (texts.get(connection) ?? "") + textFor(target));
  }
  return texts;
}

async function sendCut(connection: UpstreamConnection, text: string, cuts: readonly number[]): Promise<void> {
  let at = 0;
  for (const cut of cuts) {
    const piece = text.slice(at, at + cut);
    at += cut;
    if (piece !== "") await new Promise((resolve) => connection.socket.write(piece, "latin1", resolve));
  }
  if (at < text.length) connection.send(text.slice(at));
}
