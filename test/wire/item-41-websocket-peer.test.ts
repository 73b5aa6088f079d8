import assert from "node:assert/strict";
import { once } from "node:events";
import test from "node:test";
import { WebSocketServer, type WebSocket } from "ws";
import { proxyTo } from "../support/configs.ts";
import { fileScope } from "../support/scope.ts";
import { scrapeUntil } from "../support/scrape.ts";
import { useSidecar } from "../support/sidecar.ts";
import { changed, until } from "../support/until.ts";
import { openEchoSocket } from "../support/ws-peer.ts";

const server = new WebSocketServer({ port: 0, host: "127.0.0.1", maxPayload: 8 * 1_048_576 });
await once(server, "listening");
fileScope.after(() => {
  for (const socket of server.clients) socket.terminate();
  server.close();
});
const { port } = server.address() as { readonly port: number };
/** Connections as the upstream sees them, and how each ended. */
const accepted: WebSocket[] = [];
const ended: string[] = [];
server.on("connection", (socket) => {
  accepted.push(socket);
  socket.on("message", (data, isBinary) => socket.send(data, { binary: isBinary }));
  socket.on("close", (code, reason) => {
    ended.push(`${code} ${reason.toString("utf8")}`);
    changed();
  });
});
const sidecar = await useSidecar(fileScope, proxyTo(`http://127.0.0.1:${port}`, { runtime: { threads: 2 } }));
const url = `ws://127.0.0.1:${sidecar.port}/ws`;

test("messages of all sizes come back as they went", async (t) => {
  const peer = await openEchoSocket(t, url);
  // Around each length that a frame's head writes differently.
  for (const size of [0, 1, 125, 126, 65_535, 65_536, 1_048_576]) await peer.echo("x".repeat(size));
});

test("a message in fragments arrives as one", async (t) => {
  const peer = await openEchoSocket(t, url);
  const came = once(peer.socket, "message") as Promise<[Buffer]>;
  peer.socket.send("one ", { fin: false });
  peer.socket.send("two ", { fin: false });
  peer.socket.send("three", { fin: true });
  assert.equal((await came)[0].toString(), "one two three");
});

test("a ping is answered, from either side", async (t) => {
  const peer = await openEchoSocket(t, url);
  const pong = once(peer.socket, "pong") as Promise<[Buffer]>;
  peer.socket.ping("are you there");
  assert.equal((await pong)[0].toString(), "are you there");
  const far = accepted.at(-1) as WebSocket;
  const farPong = once(far, "pong") as Promise<[Buffer]>;
  far.ping("and you");
  assert.equal((await farPong)[0].toString(), "and you");
});

for (const [code, reason] of [
  [1000, "done"],
  [1001, "going away"],
  [1011, ""],
  [4999, "private"],
] as const) {
  test(`a close with ${code} passes both ways`, async (t) => {
    const ours = await openEchoSocket(t, url);
    const before = ended.length;
    ours.socket.close(code, reason);
    await until(() => ended.length > before, "the upstream to hear of it");
    assert.equal(ended.at(-1), `${code} ${reason}`);
    const theirs = await openEchoSocket(t, url);
    accepted.at(-1)?.close(code, reason);
    assert.equal(await until(() => theirs.closed, "the client to hear of it"), `${code} ${reason}`);
  });
}

test("many at once do not disturb one another, and none is left", async (t) => {
  const peers = await Promise.all(Array.from({ length: 40 }, () => openEchoSocket(t, url)));
  for (let round = 0; round < 5; round++) {
    await Promise.all(peers.map((peer, i) => peer.echo(`${round} of ${i} ${"y".repeat(i * 1_000)}`)));
  }
  for (const { socket } of peers) socket.close(1000);
  for (const socket of server.clients) socket.close(1000);
  await scrapeUntil(sidecar, "no open upgrade", (now) => {
    return now.sum("crossfade_upgrades_open") === 0 && now.sum("crossfade_downstream_connections") === 0;
  });
});
