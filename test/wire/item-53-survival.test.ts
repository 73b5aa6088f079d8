import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import fs from "node:fs";
import test from "node:test";
import { routesTo } from "../support/configs.ts";
import { openFiles, openSockets, untilSockets } from "../support/faults.ts";
import { connectRaw, exchangeOnce, requestText, type RawClient } from "../support/raw-client.ts";
import { answering, OK_ANSWER, startRawUpstream, type SeenRequest } from "../support/raw-upstream.ts";
import { fileScope, type Scope } from "../support/scope.ts";
import { scrapeUntil } from "../support/scrape.ts";
import { useSidecar, type Sidecar } from "../support/sidecar.ts";
import { until } from "../support/until.ts";

const STORM = 300;
const AT_ONCE = 30;
const upstream = await startRawUpstream(fileScope);
const gone = await startRawUpstream(fileScope);
const goneUrl = gone.url;
await gone.close();
const config = routesTo({ "/up": upstream.url, "/gone": goneUrl });
const sidecar = await useSidecar(fileScope, config);
const threaded = await useSidecar(fileScope, { ...config, runtime: { threads: 2 } });

/** Runs `one` many times, some at once; then the process must be the same, serve, and hold no more than before. */
async function storm(scope: Scope, one: (n: number, through: Sidecar) => Promise<unknown>): Promise<void> {
  for (const through of [sidecar, threaded]) {
    const before = openSockets(through.pid);
    const some = async (from: number): Promise<void> => {
      for (let n = from; n < STORM; n += AT_ONCE) await one(n, through);
    };
    await Promise.all(Array.from({ length: AT_ONCE }, (_, i) => some(i)));
    await assertServes(scope, through);
    await scrapeUntil(through, "nothing in flight", (now) => now.sum("crossfade_requests_in_flight") === 0, 8_000);
    await untilSockets(through.pid, before + 10, 8_000);
    assert.equal((await scrapeUntil(through, "a scrape", () => true)).sum("crossfade_thread_restarts_total"), 0);
  }
}

async function assertServes(scope: Scope, through: Sidecar): Promise<void> {
  upstream.forget();
  upstream.onHead = null;
  upstream.onRequest = answering(OK_ANSWER);
  for (let i = 0; i < 4; i++) {
    assert.equal((await exchangeOnce(scope, through.port, requestText("GET", "/up"))).status, 200);
  }
  await upstream.dropConnections();
}

/** Sends a request, waits for an answer or an end of the connection, and leaves. */
async function ask(scope: Scope, through: Sidecar, text: string): Promise<number> {
  const client = await connectRaw(scope, through.port);
  client.request(text);
  await until(() => client.finalCount() > 0 || client.state !== "open", "an answer or an end");
  const [first] = client.reader.messages;
  client.destroy();
  return first === undefined ? 0 : Number(first.startLine.slice(9, 12));
}

test("a storm of refused connections is so many 502s", async (t) => {
  await storm(t, async (_, through) => {
    assert.equal(await ask(t, through, requestText("POST", "/gone", [], "hello")), 502);
  });
});

const NASTY: readonly ((request: SeenRequest) => void)[] = [
  ({ connection }) => connection.reset(),
  ({ connection }) => connection.answer("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort", "reset"),
  ({ connection }) => connection.answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "keep"),
  ({ connection }) =>
    connection.answer("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n\r\n", "keep"),
  ({ connection }) => connection.answer("\0\0\0\0", "close"),
  ({ connection }) => connection.answer("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n", "close"),
  ({ connection }) =>
    connection.answer("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", "keep"),
  ({ connection }) => connection.answer(`HTTP/1.1 200 OK\r\nX: ${"y".repeat(100_000)}\r\n\r\n`, "close"),
  ({ connection }) => connection.answer(`${OK_ANSWER}${OK_ANSWER}`, "reset"),
  ({ connection }) => connection.answer("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello", "keep"),
  ({ connection }) => connection.answer("HTTP/1.1 200 OK\r\nX-\x01: y\r\nContent-Length: 0\r\n\r\n", "keep"),
];

test("a storm of broken answers, during uploads and after them, breaks nothing", async (t) => {
  await storm(t, async (n, through) => {
    const nasty = NASTY[n % NASTY.length] as (request: SeenRequest) => void;
    // One of three answers at the head, before the upload is there.
    upstream.onHead = n % 3 === 0 ? nasty : null;
    upstream.onRequest = n % 3 === 0 ? null : nasty;
    const fields = n % 2 === 0 ? ["Expect: 100-continue"] : [];
    await ask(t, through, requestText(n % 5 === 0 ? "HEAD" : "POST", "/up", fields, "x".repeat(1 + (n % 7) * 1_000)));
  });
});

/** Moments at which a client goes away; each leaves the sidecar with something half done. */
const LEAVING: readonly ((client: RawClient) => Promise<void> | void)[] = [
  (client) => leaveAfter(client, requestText("GET", "/up/hold")),
  (client) => leaveAfter(client, requestText("GET", "/up/answer")),
  (client) => leaveAfter(client, requestText("POST", "/up/hold", ["Content-Length: 100000"]) + "half"),
  (client) => leaveAfter(client, `${requestText("POST", "/up/hold", ["Transfer-Encoding: chunked"])}5\r\nhel`),
  (client) => leaveAfter(client, "GET /up HT"),
  (client) => leaveAfter(client, requestText("GET", "/up/answer").repeat(5)),
  async (client) => {
    client.request(requestText("GET", "/up/answer"));
    await until(() => client.finalCount() > 0 || client.state !== "open", "the beginning of an answer");
    client.reset();
  },
];

function leaveAfter(client: RawClient, text: string): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  client.socket.write(text, () => {
    client.reset();
    resolve();
  });
  return promise;
}

test("a storm of clients that leave in the middle breaks nothing", async (t) => {
  const long = `HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n${"a".repeat(300_000)}`;
  await storm(t, async (n, through) => {
    upstream.onRequest = ({ target, connection }) => {
      if (target === "/up/answer") connection.send(long);
    };
    await (LEAVING[n % LEAVING.length] as (typeof LEAVING)[number])(await connectRaw(t, through.port));
  });
});

test("writes after the end on both sides break nothing", async (t) => {
  await storm(t, async (_, through) => {
    upstream.onHead = ({ connection }) => {
      connection.send("HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno");
      connection.send("and more, unasked");
      connection.close();
    };
    upstream.onRequest = null;
    const client = await connectRaw(t, through.port);
    client.request(requestText("POST", "/up", ["Content-Length: 200000"]));
    client.send("x".repeat(100_000));
    await until(() => client.finalCount() > 0 || client.state !== "open", "an answer or an end");
    client.send("x".repeat(100_000));
    client.send(requestText("GET", "/up"));
    client.destroy();
  });
});

/** prlimit is part of util-linux; without it there is no way to make files scarce for a process that runs. */
const canLimit = spawnSync("prlimit", ["--version"]).status === 0;

/** Lowers or restores how many files a process may have open; only the soft limit, so that it can be restored. */
function limitFiles(pid: number, limit: number): void {
  execFileSync("prlimit", ["--pid", String(pid), `--nofile=${limit}:`]);
}

test(
  "when the process runs out of files it refuses, and serves again when there are some",
  { skip: !canLimit },
  async (t) => {
    const narrow = await useSidecar(t, config);
    await assertServes(t, narrow);
    const limits = /^Max open files\s+(\d+)/m.exec(fs.readFileSync(`/proc/${narrow.pid}/limits`, "utf8"));
    const seen = narrow.logs.length;
    limitFiles(narrow.pid, openFiles(narrow.pid) + 10);
    const clients = await Promise.all(Array.from({ length: 60 }, () => connectRaw(t, narrow.port)));
    for (const client of clients) client.request(requestText("GET", "/up"));
    // Those that got in take the rest of the files; their requests find none for an upstream connection.
    const over = (client: RawClient): boolean => client.finalCount() > 0 || client.state !== "open";
    await until(() => clients.filter(over).length >= 10, "ten clients to be answered or refused");
    // A reload needs a file, too: it is refused or put off, and nothing is lost.
    narrow.signal("SIGHUP");
    await until(
      () => narrow.logs.slice(seen).some(({ event }) => String(event).startsWith("config-")),
      "the reload's end",
    );
    limitFiles(narrow.pid, Number(limits?.[1] ?? 1_024));
    for (const client of clients) client.destroy();
    await until(() => openFiles(narrow.pid) < 60, "the files to be free again");
    await assertServes(t, narrow);
    const now = await scrapeUntil(narrow, "a scrape", () => true);
    assert.equal(now.sum("crossfade_requests_in_flight"), 0);
  },
);
