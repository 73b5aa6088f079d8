import assert from "node:assert/strict";
import test from "node:test";
import { proxyTo } from "../support/configs.ts";
import { openSockets, untilSockets } from "../support/faults.ts";
import { connectRaw, requestText, type RawClient } from "../support/raw-client.ts";
import { OK_ANSWER, startRawUpstream, type SeenRequest } from "../support/raw-upstream.ts";
import { fileScope, type Scope } from "../support/scope.ts";
import { scrapeUntil } from "../support/scrape.ts";
import { useSidecar } from "../support/sidecar.ts";
import { until } from "../support/until.ts";
import { switchingText, upgradeText } from "../support/ws-peer.ts";

const ABORTS = 1_000;
const AT_ONCE = 20;
const REFUSAL = "HTTP/1.1 403 Forbidden\r\nContent-Length: 6\r\n\r\n";

/** What the upstream does with an upgrade, by the first part of its target. */
const UPSTREAM: Readonly<Record<string, (request: SeenRequest) => void>> = {
  hold: () => {},
  switch: ({ connection }) => connection.answer(switchingText(), "keep"),
  "switch-and-reset": ({ connection }) => connection.answer(switchingText(), "reset"),
  "switch-and-close": ({ connection }) => connection.answer(switchingText(), "close"),
  refuse: ({ connection }) => connection.answer(`${REFUSAL}refuse`, "keep"),
  cut: ({ connection }) => connection.answer(`${REFUSAL}ref`, "reset"),
  leave: ({ connection }) => connection.reset(),
};

const upstream = await startRawUpstream(fileScope);
upstream.onRequest = (request) => UPSTREAM[request.target.split("/")[1] ?? ""]?.(request);
const sidecar = await useSidecar(fileScope, proxyTo(upstream.url));

/** Ways to end an upgrade before its time. */
const ABORT: readonly ((client: RawClient, n: number) => Promise<unknown>)[] = [
  (client, n) => leaveWhileHeld(client, n, () => client.reset()),
  (client, n) => leaveWhileHeld(client, n, () => client.destroy()),
  (client, n) => leaveWhileHeld(client, n, () => client.halfClose()),
  (client, n) => leaveOpenTunnel(client, n, () => client.reset()),
  (client, n) => leaveOpenTunnel(client, n, () => client.socket.write(Buffer.alloc(100_000), () => client.reset())),
  (client, n) => ended(client, upgradeText(`/switch-and-reset/${n}`)),
  (client, n) => ended(client, upgradeText(`/switch-and-close/${n}`)),
  (client, n) => ended(client, upgradeText(`/refuse/${n}`)),
  (client, n) => ended(client, upgradeText(`/cut/${n}`)),
  (client, n) => ended(client, upgradeText(`/leave/${n}`)),
  (client, n) => ended(client, upgradeText(`/refuse/${n}`) + requestText("GET", "/admin")),
  (client, n) => ended(client, upgradeText(`/hold/${n}`).replace(/Sec-WebSocket-Key: .*/, "Sec-WebSocket-Key: short")),
  (client, n) => leaveAtOnce(client, upgradeText(`/switch/${n}`)),
  (client, n) => leaveAtOnce(client, upgradeText(`/refuse/${n}`)),
];

async function leaveWhileHeld(client: RawClient, n: number, leave: () => void): Promise<void> {
  client.request(upgradeText(`/hold/${n}`));
  await until(() => upstream.requests.some(({ target }) => target === `/hold/${n}`), `upgrade ${n} at the upstream`);
  leave();
}

async function leaveOpenTunnel(client: RawClient, n: number, leave: () => void): Promise<void> {
  client.request(upgradeText(`/switch/${n}`));
  assert.equal((await client.head()).status, 101);
  leave();
}

/** Waits for the sidecar to end the connection, then ends ours. */
async function ended(client: RawClient, text: string): Promise<void> {
  client.request(text);
  await client.closed();
  client.destroy();
}

/** Gone before anything can have come back. */
async function leaveAtOnce(client: RawClient, text: string): Promise<void> {
  client.socket.write(text, () => client.reset());
}

async function abortSome(scope: Scope, from: number): Promise<void> {
  for (let n = from; n < ABORTS; n += AT_ONCE) {
    await (ABORT[n % ABORT.length] as (typeof ABORT)[number])(await connectRaw(scope, sidecar.port), n);
  }
}

test("a thousand upgrades that end before their time leave nothing open", { timeout: 60_000 }, async (t) => {
  const before = openSockets(sidecar.pid);
  await Promise.all(Array.from({ length: AT_ONCE }, (_, i) => abortSome(t, i)));
  await scrapeUntil(sidecar, "nothing open and nothing in flight", (now) => {
    const gauges = ["crossfade_upgrades_open", "crossfade_downstream_connections", "crossfade_requests_in_flight"];
    return gauges.every((name) => now.sum(name) === 0);
  });
  // The scrape's own connection stays.
  await untilSockets(sidecar.pid, before + 1);
  await until(
    () => upstream.connections.every(({ state }) => state !== "open"),
    "the sidecar to have ended every upstream connection",
  );
  assert.doesNotMatch(upstream.text(), /GET \/admin/);
  t.diagnostic(`${upstream.connections.length} connections reached the upstream`);
});

test("and the sidecar serves on", async (t) => {
  upstream.onRequest = ({ connection }) => connection.answer(OK_ANSWER, "keep");
  const client = await connectRaw(t, sidecar.port);
  assert.equal((await client.exchange(requestText("GET", "/"))).status, 200);
});
