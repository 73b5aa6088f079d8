import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import test from "node:test";
import { proxyTo } from "../support/configs.ts";
import { assertLocalReply } from "../support/local-reply.ts";
import { header } from "../support/message-reader.ts";
import { connectRaw, requestText, type RawClient } from "../support/raw-client.ts";
import { answering, startRawUpstream } from "../support/raw-upstream.ts";
import type { Scope } from "../support/scope.ts";
import { fileScope } from "../support/scope.ts";
import { scrapeUntil } from "../support/scrape.ts";
import { useSidecar } from "../support/sidecar.ts";
import { until, untilQuiet } from "../support/until.ts";
import { switchingText, upgradeText } from "../support/ws-peer.ts";

const upstream = await startRawUpstream(fileScope);
const sidecar = await useSidecar(
  fileScope,
  proxyTo(upstream.url, { upstreams: { v1: { timeouts: { responseHead: "500ms", connect: "500ms" } } } }),
);
const EARLY = requestText("GET", "/admin");

async function askUpgrade(scope: Scope, more: string = ""): Promise<RawClient> {
  upstream.forget();
  const client = await connectRaw(scope, sidecar.port);
  client.request(upgradeText("/ws") + more);
  return client;
}

/** The upstream says nothing for now. */
function hold(): void {
  upstream.onRequest = null;
}

test("what a client sends behind its upgrade stays back until the upstream has switched", async (t) => {
  hold();
  const client = await askUpgrade(t, EARLY);
  const { connection } = await upstream.request();
  client.send("and more");
  await untilQuiet(() => connection.text().length, 200);
  assert.equal(connection.text().indexOf("\r\n\r\n"), connection.text().length - 4, "one head and nothing behind it");
  connection.send(switchingText());
  await until(() => connection.text().endsWith(`\r\n\r\n${EARLY}and more`), "the early bytes at the upstream");
  assert.equal((await client.head()).status, 101);
});

test("a client that sends much ahead of the switch is held back, and nothing of it is lost", async (t) => {
  hold();
  const client = await askUpgrade(t);
  const { connection } = await upstream.request();
  const head = connection.text();
  const before = sidecar.residentBytes();
  const ahead = randomBytes(12 * 1_048_576);
  client.send(ahead);
  await untilQuiet(() => client.socket.writableLength, 100);
  assert.ok(sidecar.residentBytes() - before < 8 * 1_048_576, "in bounded memory");
  connection.send(switchingText());
  await until(() => connection.socket.bytesRead === head.length + ahead.length, "everything at the upstream", {
    deadlineMs: 20_000,
  });
  assert.ok(Buffer.from(connection.text().slice(head.length), "latin1").equals(ahead), "in its order");
});

test("what a client sends behind an upgrade that is refused goes nowhere and is no request", async (t) => {
  upstream.onRequest = answering("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
  const client = await askUpgrade(t, EARLY);
  const answer = await client.answer();
  await client.closed();
  assert.equal(answer.status, 403);
  assert.equal(client.finalCount(), 1);
  assert.deepEqual(
    upstream.requests.map(({ target }) => target),
    ["/ws"],
  );
  assert.doesNotMatch(upstream.text(), /admin/);
});

const REFUSALS: Readonly<
  Record<string, { readonly answer: string; readonly finish: "keep" | "close"; readonly body: string }>
> = {
  "with a length": {
    answer: "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic\r\nContent-Length: 9\r\n\r\nwho there",
    finish: "keep",
    body: "who there",
  },
  "in chunks": {
    answer:
      "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nwho\r\n6\r\n there\r\n0\r\n\r\n",
    finish: "keep",
    body: "who there",
  },
  "up to the end of the connection": {
    answer: "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic\r\n\r\nwho there",
    finish: "close",
    body: "who there",
  },
  "without a body": {
    answer: "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n",
    finish: "keep",
    body: "",
  },
};

for (const [how, { answer: text, finish, body }] of Object.entries(REFUSALS)) {
  test(`a refusal ${how} reaches the client whole, and both connections end with it`, async (t) => {
    upstream.onRequest = answering(text, finish);
    const client = await askUpgrade(t);
    const answer = await client.answer();
    assert.equal(answer.status, 401);
    assert.equal(answer.reason, "Unauthorized");
    assert.equal(answer.text, body);
    assert.equal(answer.complete, true);
    assert.equal(header(answer, "www-authenticate"), "Basic");
    assert.equal(header(answer, "connection"), "close");
    assert.equal(header(answer, "x-crossfade-upstream"), "v1");
    assert.equal(await client.closed(), "fin");
    await (await upstream.request()).connection.ended();
  });
}

for (const status of ["204 No Content", "304 Not Modified"]) {
  test(`a refusal with ${status} has no body and no framing`, async (t) => {
    upstream.onRequest = answering(`HTTP/1.1 ${status}\r\nETag: "x"\r\n\r\n`);
    const client = await askUpgrade(t);
    await client.closed();
    const text = client.text();
    assert.match(text, new RegExp(`^HTTP/1\\.1 ${status}\\r\\n`));
    assert.ok(text.endsWith("\r\n\r\n"), text);
    assert.doesNotMatch(text, /transfer-encoding|content-length/i);
  });
}

test("a redirect with a large body reaches a client that reads late, whole and without piling up", async (t) => {
  const size = 32 * 1_048_576;
  let taken = 0;
  upstream.onRequest = ({ connection }) => {
    connection.send(`HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: ${size}\r\n\r\n`);
    const block = Buffer.alloc(1_048_576, "b");
    const more = (): void => {
      while (taken < size) {
        taken += block.length;
        if (!connection.send(block)) return void connection.socket.once("drain", more);
      }
    };
    more();
  };
  const before = sidecar.residentBytes();
  const client = await connectRaw(t, sidecar.port);
  client.socket.pause();
  client.request(upgradeText("/ws"));
  await until(() => taken > 0, "the upstream to answer");
  await untilQuiet(() => taken, 250);
  assert.ok(taken < size, "the upstream is held back");
  assert.ok(sidecar.residentBytes() - before < 24 * 1_048_576, "in bounded memory");
  client.socket.resume();
  const answer = await client.answer(20_000);
  assert.equal(answer.body.length, size);
  assert.equal(answer.complete, true);
});

for (const [how, answer] of Object.entries({
  "with a length": "HTTP/1.1 401 Unauthorized\r\nContent-Length: 100\r\n\r\nonly this",
  "in chunks": "HTTP/1.1 401 Unauthorized\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nonly this\r\n",
})) {
  test(`a refusal ${how} that the upstream cuts short is seen to be cut short by the client`, async (t) => {
    upstream.onRequest = answering(answer, "close");
    const client = await askUpgrade(t);
    const got = await client.answer();
    assert.equal(got.status, 401);
    assert.equal(got.complete, false);
  });
}

const BROKEN: Readonly<
  Record<string, { readonly answer: string; readonly finish: "keep" | "close" | "reset"; readonly code: string }>
> = {
  "closes without a word": { answer: "", finish: "close", code: "upstream_reset" },
  "resets without a word": { answer: "", finish: "reset", code: "upstream_reset" },
  "answers with what is not HTTP": { answer: "hello there\r\n\r\n", finish: "keep", code: "bad_answer" },
  "switches to another protocol": {
    answer: "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
    finish: "keep",
    code: "upgrade_failure",
  },
};

for (const [what, { answer, finish, code }] of Object.entries(BROKEN)) {
  test(`an upstream that ${what} is a 502, and both connections end`, async (t) => {
    upstream.onRequest = answering(answer, finish);
    const client = await askUpgrade(t, EARLY);
    assertLocalReply(await client.answer(), 502, code);
    await client.closed();
    await (await upstream.request()).connection.ended();
    assert.doesNotMatch(upstream.text(), /admin/);
  });
}

test("an upstream that is not there is a 502", async (t) => {
  const gone = await startRawUpstream(t);
  const url = gone.url;
  await gone.close();
  const lonely = await useSidecar(t, proxyTo(url));
  const client = await connectRaw(t, lonely.port);
  client.request(upgradeText("/ws"));
  assertLocalReply(await client.answer(), 502, "connect_failure");
  assert.equal(await client.closed(), "fin");
});

test("an upstream that never answers is a 504, and it is let go", async (t) => {
  hold();
  const client = await askUpgrade(t);
  const { connection } = await upstream.request();
  assertLocalReply(await client.answer(), 504, "head_timeout");
  await client.closed();
  await connection.ended();
});

const LEAVING: Readonly<Record<string, (client: RawClient) => void>> = {
  closes: (client) => client.destroy(),
  resets: (client) => client.reset(),
  "ends its side": (client) => client.halfClose(),
};

for (const [how, leave] of Object.entries(LEAVING)) {
  for (const [what, early] of [
    ["", ""],
    [" with bytes behind its upgrade", EARLY],
  ] as const) {
    test(`a client that ${how}${what} before the upstream has answered takes the upstream request with it`, async (t) => {
      hold();
      const client = await askUpgrade(t, early);
      const { connection } = await upstream.request();
      const leftMs = performance.now();
      leave(client);
      await connection.ended(400);
      t.diagnostic(`ended ${Math.round(performance.now() - leftMs)} ms after the client left`);
    });
  }
}

test("an upgrade that no route takes is a 404, and its connection ends whatever the client does", async (t) => {
  const narrow = await useSidecar(
    t,
    proxyTo(upstream.url, { routes: [{ name: "a", match: { path: "/a" }, split: { baseline: "v1" } }] }),
  );
  const client = await connectRaw(t, narrow.port);
  client.request(upgradeText("/ws") + EARLY);
  assertLocalReply(await client.answer(), 404, "no_route");
  assert.equal(await client.closed(), "fin");
  // The client keeps its side open and sends nothing: the sidecar must not wait for it for ever.
  await scrapeUntil(narrow, "no open connection", (now) => now.sum("crossfade_downstream_connections") === 0);
});
