import assert from "node:assert/strict";
import test from "node:test";
import fc from "fast-check";
import { proxyTo } from "../support/configs.ts";
import { assertLocalReply } from "../support/local-reply.ts";
import { connectRaw, requestText, type Answer, type RawClient } from "../support/raw-client.ts";
import { okText, startRawUpstream, type SeenRequest, type UpstreamConnection } from "../support/raw-upstream.ts";
import { scrapeUntil } from "../support/scrape.ts";
import { fileScope, type Scope } from "../support/scope.ts";
import { useSidecar } from "../support/sidecar.ts";
import { untilQuiet } from "../support/until.ts";

const upstream = await startRawUpstream(fileScope);
const pool = { pipelining: 4, maxConnections: 1, minConnections: 0 };
const sidecar = await useSidecar(fileScope, proxyTo(upstream.url, { upstreams: { v1: { pool } } }));

/** Answers with what was asked for, so that a caller can tell its own answer. */
const echo = ({ connection, target }: SeenRequest): void => void connection.send(okText(target));

/** Leaves one idle connection that has served; from then on the upstream stays silent. */
async function warmed(t: Scope): Promise<UpstreamConnection> {
  await upstream.dropConnections();
  upstream.forget();
  upstream.onRequest = echo;
  const client = await connectRaw(t, sidecar.port);
  assert.equal((await client.exchange(requestText("GET", "/warm"))).text, "/warm");
  upstream.onRequest = null;
  const { connection } = await upstream.request();
  upstream.requests = [];
  return connection;
}

/** One client for each request, which all stand in line upstream in this order. */
async function inLine(
  t: Scope,
  requests: readonly (readonly [method: string, target: string])[],
): Promise<RawClient[]> {
  const clients: RawClient[] = [];
  for (const [method, target] of requests) {
    const client = await connectRaw(t, sidecar.port);
    client.request(requestText(method, target));
    await upstream.whole(clients.length);
    clients.push(client);
  }
  return clients;
}

async function lineOf(t: Scope, count: number): Promise<{ line: UpstreamConnection; clients: RawClient[] }> {
  const line = await warmed(t);
  const clients = await inLine(
    t,
    Array.from({ length: count }, (_none, i) => ["GET", `/${i + 1}`]),
  );
  assert.ok(
    upstream.requests.every(({ connection }) => connection === line),
    "all stand on one connection",
  );
  // Whatever is asked again is answered.
  upstream.onRequest = echo;
  return { line, clients };
}

function texts(clients: readonly RawClient[]): Promise<string[]> {
  return Promise.all(clients.map(async (client) => (await client.answer()).text));
}

function timesAsked(target: string): number {
  return upstream.requests.filter((request) => request.target === target).length;
}

/** How often each of the targets /1 /2 … was asked for. */
function asked(count: number): number[] {
  return Array.from({ length: count }, (_none, i) => timesAsked(`/${i + 1}`));
}

test("several callers share a connection, and each gets its own answer", async (t) => {
  const { line, clients } = await lineOf(t, 4);
  line.send(["/1", "/2", "/3", "/4"].map((body) => okText(`own ${body}`)).join(""));
  assert.deepEqual(await texts(clients), ["own /1", "own /2", "own /3", "own /4"]);
});

test("many callers at once on one connection that is not there yet each get their own answer", async (t) => {
  await upstream.dropConnections();
  upstream.forget();
  upstream.onRequest = echo;
  const clients = await Promise.all(Array.from({ length: 12 }, () => connectRaw(t, sidecar.port)));
  clients.forEach((client, i) => client.request(requestText("GET", `/${i + 1}`)));
  assert.deepEqual(
    await texts(clients),
    clients.map((_client, i) => `/${i + 1}`),
  );
});

for (const end of ["close", "reset"] as const) {
  for (const answered of [0, 1, 2, 3]) {
    test(`after ${answered} of 4 answers and a ${end}, the others are asked for once more and all get their own`, async (t) => {
      const { line, clients } = await lineOf(t, 4);
      const sent = ["/1", "/2", "/3"].slice(0, answered);
      line.answer(sent.map((body) => okText(body)).join(""), end);
      assert.deepEqual(await texts(clients), ["/1", "/2", "/3", "/4"]);
      assert.deepEqual(
        asked(4),
        [1, 2, 3, 4].map((nth) => (nth <= answered ? 1 : 2)),
      );
      const repeats = upstream.requests.slice(4).map(({ connection }) => connection);
      assert.equal(new Set(repeats).size, repeats.length, "each on a connection of its own");
    });
  }

  test(`an answer that a ${end} cuts is cut for its caller too, and those behind get theirs`, async (t) => {
    const { line, clients } = await lineOf(t, 4);
    line.answer(`${okText("/1")}HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\npart`, end);
    const answers = await Promise.all(clients.map((client) => client.answer()));
    assert.deepEqual(
      answers.map(({ text, complete }) => [text, complete]),
      [
        ["/1", true],
        ["part", false],
        ["/3", true],
        ["/4", true],
      ],
    );
    assert.deepEqual(asked(4), [1, 1, 2, 2]);
  });
}

test("Connection: close in an answer has those behind it asked for once more", async (t) => {
  const { line, clients } = await lineOf(t, 4);
  line.answer(okText("/1") + okText("/2", ["Connection: close"]), "close");
  assert.deepEqual(await texts(clients), ["/1", "/2", "/3", "/4"]);
  assert.deepEqual(asked(4), [1, 1, 2, 2]);
});

test("a malformed answer is 502 for its own caller, and those behind it get theirs", async (t) => {
  const { line, clients } = await lineOf(t, 4);
  line.send(`${okText("/1")}HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n${okText("for nobody")}`);
  const [first, second, third, fourth] = await Promise.all(clients.map((client) => client.answer()));
  assertLocalReply(second as Answer, 502, "bad_answer");
  assert.deepEqual([first?.text, third?.text, fourth?.text], ["/1", "/3", "/4"]);
  assert.deepEqual(asked(4), [1, 1, 2, 2]);
});

test("a second failure is told: what was asked for again is not asked for a third time", async (t) => {
  const { line, clients } = await lineOf(t, 3);
  upstream.onRequest = ({ connection }) => connection.reset();
  line.reset();
  for (const client of clients) assertLocalReply(await client.answer(), 502, "upstream_reset");
  assert.deepEqual(asked(3), [2, 2, 2]);
});

for (const end of ["close", "reset"] as const) {
  test(`a POST that waits behind a line that a ${end} breaks is sent once`, async (t) => {
    const { line, clients } = await lineOf(t, 3);
    const poster = await connectRaw(t, sidecar.port);
    poster.request(requestText("POST", "/post", [], "hello"));
    await untilQuiet(() => upstream.requests.length, 40);
    assert.equal(timesAsked("/post"), 0);
    line.answer(okText("/1"), end);
    assert.deepEqual(await texts([...clients, poster]), ["/1", "/2", "/3", "/post"]);
    assert.equal(timesAsked("/post"), 1);
  });

  test(`a POST on a connection that was shared and that a ${end} breaks is 502, and sent once`, async (t) => {
    const { line, clients } = await lineOf(t, 3);
    line.send(okText("/1") + okText("/2") + okText("/3"));
    await texts(clients);
    upstream.onRequest = ({ connection }) => connection.answer("", end);
    const poster = await connectRaw(t, sidecar.port);
    assertLocalReply(await poster.exchange(requestText("POST", "/post", [], "hello")), 502, "upstream_reset");
    assert.equal(upstream.requests.at(-1)?.connection, line);
    assert.equal(timesAsked("/post"), 1);
  });
}

test("a caller that leaves disturbs neither those in front nor those behind, however large its answer", async (t) => {
  const { line, clients } = await lineOf(t, 4);
  const [leaver] = clients.splice(1, 1);
  leaver?.reset();
  await untilQuiet(() => upstream.requests.length, 40);
  const large = `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${`4000\r\n${"z".repeat(0x4000)}\r\n`.repeat(64)}0\r\n\r\n`;
  line.send(okText("/1") + large + okText("/3") + okText("/4"));
  assert.deepEqual(await texts(clients), ["/1", "/3", "/4"]);
  assert.deepEqual(asked(4), [1, 1, 1, 1]);
  assert.equal(line.state, "open");
});

test("when all callers of a connection have left it is closed", async (t) => {
  const { line, clients } = await lineOf(t, 3);
  for (const client of clients) client.reset();
  await line.ended(500);
});

test("when the last caller has its answer and the others have left, a request of somebody else is answered", async (t) => {
  const { line, clients } = await lineOf(t, 2);
  clients[1]?.reset();
  await untilQuiet(() => upstream.requests.length, 40);
  line.send(okText("/1"));
  assert.equal((await (clients[0] as RawClient).answer()).text, "/1");
  const next = await connectRaw(t, sidecar.port);
  assert.equal((await next.exchange(requestText("GET", "/next"), 1_000)).text, "/next");
});

test("a slow reader in front holds up those behind it, and everybody gets all of its own", async (t) => {
  const { line, clients } = await lineOf(t, 3);
  const [slow, ...others] = clients as [RawClient, ...RawClient[]];
  slow.socket.pause();
  const large = "0123456789".repeat(3_000_000);
  line.send(okText(large) + okText("/2") + okText("/3"));
  await untilQuiet(() => line.socket.writableLength, 100);
  assert.ok(line.socket.writableLength > 0, "the upstream is held back");
  assert.deepEqual(
    others.map((client) => client.text()),
    ["", ""],
  );
  slow.socket.resume();
  assert.ok((await slow.answer()).text === large, "the slow one has all of its own");
  assert.deepEqual(await texts(others), ["/2", "/3"]);
});

test("interim answers, HEAD and 304 in the middle keep everybody in step", async (t) => {
  const line = await warmed(t);
  const clients = await inLine(t, [
    ["GET", "/1"],
    ["HEAD", "/2"],
    ["GET", "/3"],
    ["GET", "/4"],
  ]);
  const bodyless = "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n";
  const unchanged = 'HTTP/1.1 304 Not Modified\r\nETag: "3"\r\n\r\n';
  const hints = "HTTP/1.1 103 Early Hints\r\nLink: </4>\r\n\r\n";
  line.send(okText("/1") + bodyless + unchanged + hints + okText("/4"));
  const answers = await Promise.all(clients.map((client) => client.answer()));
  assert.deepEqual(
    answers.map(({ status, text, interim }) => [status, text, interim.length]),
    [
      [200, "/1", 0],
      [200, "", 0],
      [304, "", 0],
      [200, "/4", 1],
    ],
  );
});

test("what is counted as active, waiting and under way goes back to zero", async (t) => {
  const { line, clients } = await lineOf(t, 4);
  const waiting = await Promise.all([connectRaw(t, sidecar.port), connectRaw(t, sidecar.port)]);
  waiting.forEach((client, i) => client.request(requestText("GET", `/${i + 5}`)));
  const seen = await scrapeUntil(
    sidecar,
    "two to wait",
    (scrape) => scrape.sum("crossfade_pool_pending", { upstream: "v1" }) === 2,
  );
  assert.equal(seen.sum("crossfade_pool_connections", { upstream: "v1", state: "active" }), 1);
  clients[2]?.reset();
  line.answer(okText("/1"), "reset");
  assert.deepEqual(await texts([...clients.toSpliced(2, 1), ...waiting]), ["/1", "/2", "/4", "/5", "/6"]);
  await scrapeUntil(
    sidecar,
    "all to be over",
    (scrape) =>
      scrape.sum("crossfade_pool_pending", { upstream: "v1" }) === 0 &&
      scrape.sum("crossfade_pool_connections", { upstream: "v1", state: "active" }) === 0,
  );
});

/** How the upstream answers one target: body size, chunk size (0 = a length), and what it does in place of a whole answer. */
const anyPlan = fc.record({
  size: fc.oneof(fc.nat(60), fc.integer({ min: 20_000, max: 200_000 })),
  chunk: fc.oneof(fc.constant(0), fc.integer({ min: 500, max: 30_000 })),
  end: fc.constantFrom("keep", "keep", "keep", "keep", "close behind", "cut", "reset"),
  slow: fc.boolean(),
});
type AnswerPlan = typeof anyPlan extends fc.Arbitrary<infer T> ? T : never;

function bodyFor(index: number, { size }: AnswerPlan): string {
  return `${index}:${String.fromCodePoint(97 + index).repeat(size)}`;
}

/** Answers in order; a connection that was ended gets nothing more. */
function carryOut({ connection, target }: SeenRequest, plans: readonly AnswerPlan[]): void {
  const index = Number(target.slice(1));
  const plan = plans[index] as AnswerPlan;
  if (!connection.socket.writable) return;
  const body = bodyFor(index, plan);
  const framing = plan.chunk === 0 ? `Content-Length: ${body.length}` : "Transfer-Encoding: chunked";
  const whole = `HTTP/1.1 200 OK\r\n${framing}\r\n\r\n${plan.chunk === 0 ? body : chunks(body, plan.chunk)}`;
  if (plan.end === "reset") connection.reset();
  else if (plan.end === "cut") connection.answer(whole.slice(0, -3), "close");
  else connection.answer(whole, plan.end === "keep" ? "keep" : "close");
}

function chunks(body: string, size: number): string {
  let text = "";
  for (let at = 0; at < body.length; at += size) {
    const piece = body.slice(at, at + size);
    text += `${piece.length.toString(16)}\r\n${piece}\r\n`;
  }
  return `${text}0\r\n\r\n`;
}

async function pausedFor(t: Scope, plan: AnswerPlan, index: number): Promise<RawClient> {
  const client = await connectRaw(t, sidecar.port);
  if (plan.slow) client.socket.pause();
  client.request(requestText("GET", `/${index}`));
  return client;
}

test("whatever the upstream does, a caller gets its own body, its own body cut visibly, or 502", async (t) => {
  const law = fc.asyncProperty(fc.array(anyPlan, { minLength: 2, maxLength: 14 }), async (plans) => {
    upstream.forget();
    upstream.onRequest = (request) => carryOut(request, plans);
    const clients = await Promise.all(plans.map((plan, i) => pausedFor(t, plan, i)));
    setImmediate(() => {
      for (const client of clients) client.socket.resume();
    });
    const answers = await Promise.all(clients.map((client) => client.answer()));
    for (const client of clients) client.destroy();
    answers.forEach((answer, i) => assertOwn(answer, plans, i));
  });
  await fc.assert(law, { numRuns: 40 });
});

/** A reset may destroy what is on its way to those in front; every other end leaves all other callers with whole answers. */
function assertOwn(answer: Answer, plans: readonly AnswerPlan[], index: number): void {
  const plan = plans[index] as AnswerPlan;
  const body = bodyFor(index, plan);
  const whole = answer.status === 200 && answer.complete;
  const seen = `caller ${index}: ${answer.status} ${JSON.stringify(answer.text.slice(0, 80))}`;
  if (whole) assert.ok(answer.text === body, seen);
  else if (answer.status === 200) assert.ok(body.startsWith(answer.text), seen);
  else assert.equal(answer.status, 502, seen);
  if (plan.end === "cut" || plan.end === "reset") assert.ok(!whole, seen);
  else if (!plans.some(({ end }) => end === "reset")) assert.ok(whole, seen);
}
