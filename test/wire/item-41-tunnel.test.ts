import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import test from "node:test";
import { proxyTo } from "../support/configs.ts";
import { connectRaw, type RawClient } from "../support/raw-client.ts";
import { answering, startRawUpstream, type UpstreamConnection } from "../support/raw-upstream.ts";
import { fileScope, type Scope } from "../support/scope.ts";
import { scrapeUntil } from "../support/scrape.ts";
import { useSidecar, type Sidecar } from "../support/sidecar.ts";
import { until, untilQuiet } from "../support/until.ts";
import { switchingText, upgradeText } from "../support/ws-peer.ts";

const MIB = 1_048_576;
const upstream = await startRawUpstream(fileScope);
upstream.onRequest = answering(switchingText());
const sidecar = await useSidecar(fileScope, proxyTo(upstream.url));
const quick = await useSidecar(fileScope, proxyTo(upstream.url, { downstream: { tunnelIdleTimeout: "400ms" } }));

interface Tunnel {
  readonly client: RawClient;
  readonly far: UpstreamConnection;
  /** Bytes behind the head, at either end. */
  readonly atClient: () => Buffer;
  readonly atFar: () => string;
}

async function openTunnel(scope: Scope, through: Sidecar = sidecar): Promise<Tunnel> {
  upstream.forget();
  const client = await connectRaw(scope, through.port);
  client.request(upgradeText("/ws"));
  assert.equal((await client.head()).status, 101);
  const far = (await upstream.request()).connection;
  far.forget();
  // A client that only ends its side leaves the tunnel half open, for as long as the upstream wants.
  scope.after(() => {
    far.socket.destroy();
  });
  return { client, far, atClient: () => client.reader.rest, atFar: () => far.text() };
}

async function nothingOpen(through: Sidecar = sidecar): Promise<void> {
  await scrapeUntil(through, "no open upgrade and no connection", (now) => {
    return now.sum("crossfade_upgrades_open") === 0 && now.sum("crossfade_downstream_connections") === 0;
  });
}

test("bytes pass both ways untouched, whatever they are", async (t) => {
  const { client, far, atClient, atFar } = await openTunnel(t);
  const up = randomBytes(MIB);
  const down = randomBytes(MIB);
  client.send(up);
  far.send(down);
  await until(() => atFar().length === up.length && atClient().length === down.length, "a mebibyte each way");
  assert.equal(digestOf(Buffer.from(atFar(), "latin1")), digestOf(up));
  assert.equal(digestOf(atClient()), digestOf(down));
});

test("a tunnel is logged when it closes, with the bytes of both directions", async (t) => {
  const logged = await useSidecar(t, proxyTo(upstream.url, { log: { access: "all" } }));
  const { client, far, atClient, atFar } = await openTunnel(t, logged);
  client.send("four");
  far.send("eleven byte");
  await until(() => atFar().length === 4 && atClient().length === 11, "the bytes at both ends");
  far.close();
  client.halfClose();
  const line = await logged.log("exchange ended");
  assert.deepEqual(
    [line["status"], line["upstream"], line["bytesIn"], (line["bytesOut"] as number) > 11],
    [101, "v1", 4, true],
  );
});

test("bytes that come with the 101 in one packet reach the client", async (t) => {
  upstream.forget();
  upstream.onRequest = answering(`${switchingText()}first words`);
  const client = await connectRaw(t, sidecar.port);
  client.request(upgradeText("/ws"));
  await until(() => client.text().endsWith("\r\n\r\nfirst words"), "the first words");
  (await upstream.request()).connection.close();
  upstream.onRequest = answering(switchingText());
});

test("a client that ends its side still hears the upstream, which decides when it is over", async (t) => {
  const { client, far, atClient, atFar } = await openTunnel(t);
  client.send("last words");
  client.halfClose();
  assert.equal(await far.ended(), "fin");
  assert.equal(atFar(), "last words");
  far.send("one more thing");
  await until(() => atClient().toString() === "one more thing", "what the upstream still says");
  assert.equal(client.state, "open");
  far.close();
  assert.equal(await client.closed(), "fin");
  await nothingOpen();
});

test("an upstream that ends its side still hears the client", async (t) => {
  const { client, far, atFar } = await openTunnel(t);
  far.close();
  assert.equal(await client.closed(), "fin");
  client.send("one more thing");
  await until(() => atFar() === "one more thing", "what the client still says");
  assert.equal(far.state, "open");
  client.halfClose();
  assert.equal(await far.ended(), "fin");
  await nothingOpen();
});

test("a client that resets ends the upstream's side", async (t) => {
  const { client, far } = await openTunnel(t);
  client.reset();
  await far.ended();
  await nothingOpen();
});

test("an upstream that resets ends the client's side", async (t) => {
  const { client, far } = await openTunnel(t);
  far.reset();
  await client.closed();
  client.destroy();
  await nothingOpen();
});

for (const reader of ["client", "upstream"] as const) {
  test(`a tunnel whose ${reader} does not read holds the other side back, in bounded memory`, async (t) => {
    const before = sidecar.residentBytes();
    const { client, far } = await openTunnel(t);
    const [slow, fast] = reader === "client" ? [client.socket, far.socket] : [far.socket, client.socket];
    slow.pause();
    let sent = 0;
    const block = Buffer.alloc(MIB);
    const more = (): void => {
      while (sent < 256 * MIB && fast.write(block)) sent += MIB;
      sent += MIB;
    };
    fast.on("drain", more);
    more();
    await untilQuiet(() => sent, 250);
    const growth = sidecar.residentBytes() - before;
    t.diagnostic(`${sent / MIB} MiB taken, resident +${Math.round(growth / MIB)} MiB`);
    assert.ok(sent < 64 * MIB, `${sent / MIB} MiB were taken`);
    assert.ok(growth < 64 * MIB, `resident +${Math.round(growth / MIB)} MiB`);
    fast.destroy();
  });
}

test("a tunnel in which nothing moves is ended on both sides after its idle time", async (t) => {
  const { client, far } = await openTunnel(t, quick);
  const sinceMs = performance.now();
  await Promise.all([client.closed(), far.ended()]);
  const tookMs = performance.now() - sinceMs;
  t.diagnostic(`ended after ${Math.round(tookMs)} ms`);
  assert.ok(tookMs >= 350, `ended after ${tookMs} ms`);
  await nothingOpen(quick);
});

for (const who of ["client", "upstream"] as const) {
  test(`a tunnel in which only the ${who} speaks is not idle`, async (t) => {
    const { client, far } = await openTunnel(t, quick);
    const speaker = who === "client" ? client : far;
    const talk = setInterval(() => void speaker.send("."), 50);
    const sinceMs = performance.now();
    await until(() => performance.now() - sinceMs > 1_200, "three idle times");
    assert.equal(client.state, "open");
    assert.equal(far.state, "open");
    clearInterval(talk);
    await client.closed();
  });
}

test("without an idle time a tunnel stays", async (t) => {
  const { client, far } = await openTunnel(t);
  const sinceMs = performance.now();
  await until(() => performance.now() - sinceMs > 600, "a while");
  far.send("still there");
  await until(() => client.text().endsWith("still there"), "a word after silence");
});

test("a drain puts no byte of its own into a tunnel", async (t) => {
  const draining = await useSidecar(
    t,
    proxyTo(upstream.url, { runtime: { drain: { lameDuck: "0s", deadline: "1s" } } }),
  );
  const { client, far, atClient, atFar } = await openTunnel(t, draining);
  draining.signal("SIGTERM");
  await draining.log("drain started");
  far.send("from the upstream");
  client.send("from the client");
  await until(() => atFar() !== "" && atClient().length > 0, "words during the drain");
  await Promise.all([client.closed(), far.ended()]);
  assert.equal(atClient().toString(), "from the upstream");
  assert.equal(atFar(), "from the client");
});

function digestOf(bytes: Buffer): string {
  return createHash("sha256").update(bytes).digest("hex");
}
