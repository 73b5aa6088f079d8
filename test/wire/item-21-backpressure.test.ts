import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import type http from "node:http";
import net from "node:net";
import test from "node:test";
import { routesTo } from "../support/configs.ts";
import { readEcho, sendJson, startHttpUpstream, type Echo } from "../support/http-upstream.ts";
import { connectRaw, exchangeOnce, requestText } from "../support/raw-client.ts";
import type { Scope } from "../support/scope.ts";
import { fileScope } from "../support/scope.ts";
import { useSidecar } from "../support/sidecar.ts";
import { changed, until, untilQuiet } from "../support/until.ts";

const MIB = 1_048_576;
const BLOCK = randomBytes(MIB);
const ANSWER_BLOCKS = 256;
const UPLOAD_BLOCKS = 128;
/** What kernels and both sides' buffers may hold of a stream that nobody reads; the rest must wait at its source. */
const IN_FLIGHT_LIMIT = 48 * MIB;
const RESIDENT_GROWTH_LIMIT = 128 * MIB;

let answered = 0;
const source = await startHttpUpstream(fileScope, { handler: (_request, response) => sendBlocks(response) });
let releaseUpload: () => void = () => {};
const sink = await startHttpUpstream(fileScope, {
  handler: (request, response) => {
    releaseUpload = () => readEcho("sink", request, (echo) => sendJson(response, echo));
  },
});
// Longer than a busy machine keeps a process from its turn, shorter than the pauses below.
const impatient = { timeouts: { responseHead: "1s", idle: "1s" } };
const sidecar = await useSidecar(
  fileScope,
  routesTo(
    { "/down": source.url, "/up": sink.url, "/hasty-down": source.url, "/hasty-up": sink.url },
    { upstreams: { "hasty-down": impatient, "hasty-up": impatient } },
  ),
);
/** More than twice what the impatient upstreams may be silent for. */
const LONG_PAUSE_MS = 2_500;

/** Writes the answer as fast as it is taken, and counts what was. */
function sendBlocks(response: http.ServerResponse): void {
  answered = 0;
  response.writeHead(200, { "content-length": ANSWER_BLOCKS * MIB });
  const more = (): void => {
    while (answered < ANSWER_BLOCKS * MIB) {
      answered += MIB;
      if (!response.write(BLOCK)) return void response.once("drain", more);
    }
    response.end();
  };
  more();
}

function digestOfBlocks(count: number): string {
  const hash = createHash("sha256");
  for (let i = 0; i < count; i++) hash.update(BLOCK);
  return hash.digest("hex");
}

/** A connection that reads nothing until it is told to. */
async function connectPaused(t: Scope): Promise<net.Socket> {
  const socket = net.connect({ port: sidecar.port, host: "127.0.0.1" });
  socket.pause();
  t.after(() => {
    socket.destroy();
  });
  const connected = Promise.withResolvers<void>();
  socket.once("connect", () => connected.resolve());
  await connected.promise;
  return socket;
}

/** Reads an answer with a length to its end; gives status line and digest of the body. */
async function digestOfAnswer(socket: net.Socket, onChunk: () => void): Promise<{ head: string; digest: string }> {
  const hash = createHash("sha256");
  let head = "";
  let left = -1;
  socket.on("data", (chunk: Buffer) => {
    onChunk();
    let body = chunk;
    if (left === -1) {
      const joined = head + chunk.toString("latin1");
      const end = joined.indexOf("\r\n\r\n");
      if (end === -1) return void (head = joined);
      body = chunk.subarray(end + 4 - head.length);
      head = joined.slice(0, end);
      left = Number(/content-length: (\d+)/i.exec(head)?.[1]);
    }
    left -= body.length;
    hash.update(body);
    changed();
  });
  socket.resume();
  await until(() => left === 0, "the whole answer", { deadlineMs: 30_000, detail: () => `${left} bytes left` });
  return { head, digest: hash.digest("hex") };
}

test("a client that does not read stops the upstream, in bounded memory, and loses nothing", async (t) => {
  await exchangeOnce(t, sidecar.port, requestText("GET", "/nowhere"));
  const before = sidecar.residentBytes();
  const socket = await connectPaused(t);
  socket.write(requestText("GET", "/down"));
  await until(() => answered > 0, "the upstream to answer");
  await untilQuiet(() => answered, 250);
  t.diagnostic(`${answered / MIB} MiB taken from the upstream, resident +${growthMib(before)} MiB`);
  assert.ok(answered < IN_FLIGHT_LIMIT, `${answered / MIB} MiB were taken from the upstream`);
  assert.ok(sidecar.residentBytes() - before < RESIDENT_GROWTH_LIMIT, `resident +${growthMib(before)} MiB`);

  let peak = 0;
  let chunks = 0;
  const { head, digest } = await digestOfAnswer(socket, () => {
    if (chunks++ % 64 === 0) peak = Math.max(peak, sidecar.residentBytes());
  });
  t.diagnostic(`peak while reading: resident +${Math.round((peak - before) / MIB)} MiB`);
  assert.match(head, /^HTTP\/1\.1 200 /);
  assert.equal(digest, digestOfBlocks(ANSWER_BLOCKS));
  assert.ok(peak - before < RESIDENT_GROWTH_LIMIT, `resident +${Math.round((peak - before) / MIB)} MiB`);
});

test("an upstream that does not read stops the client, in bounded memory, and loses nothing", async (t) => {
  const before = sidecar.residentBytes();
  const socket = await connectPaused(t);
  let sent = 0;
  socket.write(requestText("POST", "/up", [`Content-Length: ${UPLOAD_BLOCKS * MIB}`]));
  const more = (): void => {
    while (sent < UPLOAD_BLOCKS * MIB) {
      sent += MIB;
      if (!socket.write(BLOCK)) return void socket.once("drain", more);
    }
  };
  more();
  await untilQuiet(() => sent, 250);
  t.diagnostic(`${sent / MIB} MiB taken from the client, resident +${growthMib(before)} MiB`);
  assert.ok(sent < IN_FLIGHT_LIMIT, `${sent / MIB} MiB were taken from the client`);
  assert.ok(sidecar.residentBytes() - before < RESIDENT_GROWTH_LIMIT, `resident +${growthMib(before)} MiB`);

  let answer = "";
  socket.on("data", (chunk: Buffer) => {
    answer += chunk.toString("latin1");
    changed();
  });
  socket.resume();
  releaseUpload();
  const body = await until(() => /\r\n\r\n(\{.*\})$/s.exec(answer)?.[1], "the answer", { deadlineMs: 30_000 });
  const echo = JSON.parse(body) as Echo;
  assert.equal(echo.body.length, UPLOAD_BLOCKS * MIB);
  assert.equal(echo.body.sha256, digestOfBlocks(UPLOAD_BLOCKS));
  assert.ok(sidecar.residentBytes() - before < RESIDENT_GROWTH_LIMIT, `resident +${growthMib(before)} MiB`);
});

test("one client that does not read does not hold up another", async (t) => {
  const stuck = await connectPaused(t);
  stuck.write(requestText("GET", "/down"));
  await until(() => answered > 0, "the upstream to answer");
  const answer = await exchangeOnce(t, sidecar.port, requestText("GET", "/nowhere"));
  assert.equal(answer.status, 404);
});

test("a client that pauses its reading is not the upstream's silence", async (t) => {
  const socket = await connectPaused(t);
  socket.write(requestText("GET", "/hasty-down"));
  await until(() => answered > 0, "the upstream to answer");
  await untilQuiet(() => answered, LONG_PAUSE_MS);
  const { digest } = await digestOfAnswer(socket, () => {});
  assert.equal(digest, digestOfBlocks(ANSWER_BLOCKS));
});

test("a client that pauses its upload is not the upstream's silence", async (t) => {
  const client = await connectRaw(t, sidecar.port);
  client.request(`${requestText("POST", "/hasty-up", ["Content-Length: 10"])}hello`);
  await untilQuiet(() => client.bytes().length, LONG_PAUSE_MS);
  assert.equal(client.text(), "");
  releaseUpload();
  client.send("world");
  const answer = await client.answer();
  assert.equal(answer.status, 200, answer.text);
  assert.equal((JSON.parse(answer.text) as Echo).body.length, 10);
});

function growthMib(before: number): number {
  return Math.round((sidecar.residentBytes() - before) / MIB);
}
