import assert from "node:assert/strict";
import fs from "node:fs";
import type net from "node:net";
import path from "node:path";
import test from "node:test";
import tls from "node:tls";
import { useFolder } from "../support/control-plane.ts";
import type { Echo } from "../support/http-upstream.ts";
import { startHttpUpstream } from "../support/http-upstream.ts";
import { valuesOf } from "../support/message-reader.ts";
import { connectRaw, requestText } from "../support/raw-client.ts";
import { fileScope, type Scope } from "../support/scope.ts";
import { scrapeUntil } from "../support/scrape.ts";
import { selfSigned, type SelfSigned } from "../support/self-signed.ts";
import { useSidecar, type Sidecar } from "../support/sidecar.ts";
import { connectTls, type TlsClient } from "../support/tls-peers.ts";
import { openEchoSocket } from "../support/ws-peer.ts";
import { spawnUpstream } from "../support/spawn-upstream.ts";

const upstream = await startHttpUpstream(fileScope);
const firstPair = selfSigned("first");
const secondPair = selfSigned("second");
const insider = selfSigned("insider");
const outsider = selfSigned("outsider");

interface Secured {
  readonly sidecar: Sidecar;
  readonly certFile: string;
  readonly keyFile: string;
  readonly caFile: string;
}

/** A sidecar that serves TLS with `firstPair`; `clientCa` = clients must show a certificate of it. */
async function serveTls(
  scope: Scope,
  options: { readonly clientCa?: string; readonly over?: object } = {},
): Promise<Secured> {
  const folder = useFolder(scope);
  const [certFile, keyFile, caFile] = ["tls.crt", "tls.key", "ca.crt"].map((name) => path.join(folder, name)) as [
    string,
    string,
    string,
  ];
  fs.writeFileSync(certFile, firstPair.cert);
  fs.writeFileSync(keyFile, firstPair.key);
  if (options.clientCa !== undefined) fs.writeFileSync(caFile, options.clientCa);
  const material = { cert: certFile, key: keyFile, ...(options.clientCa !== undefined && { clientCa: caFile }) };
  const sidecar = await useSidecar(scope, {
    listen: [{ address: "127.0.0.1:0", tls: material }],
    upstreams: { v1: { endpoints: [upstream.url] } },
    routes: [{ name: "all", match: { pathPrefix: "/" }, split: { baseline: "v1" } }],
    ...options.over,
  });
  return { sidecar, certFile, keyFile, caFile };
}

async function echoOver(client: TlsClient, target: string): Promise<Echo> {
  client.socket.write(requestText("GET", target));
  return JSON.parse(
    await client.heard(new RegExp(`(\\{"upstream":"v1","method":"GET","url":"${target}".*\\})`)),
  ) as Echo;
}

test("requests over TLS are served, and the upstream is told so", async (t) => {
  const { sidecar } = await serveTls(t);
  const client = await connectTls(t, sidecar.port);
  const { rawHeaders } = await echoOver(client, "/one");
  assert.deepEqual(valuesOf(rawHeaders, "x-forwarded-proto"), ["https"]);
  assert.deepEqual(valuesOf(rawHeaders, "x-forwarded-port"), [String(sidecar.port)]);
  await echoOver(client, "/two");
});

test("a WebSocket over TLS is tunnelled", async (t) => {
  const echo = await spawnUpstream(t, "v1");
  const { sidecar, certFile } = await serveTls(t, { over: { upstreams: { v1: { endpoints: [echo.url] } } } });
  const socket = await openEchoSocket(t, `wss://localhost:${sidecar.port}/ws`, { ca: fs.readFileSync(certFile) });
  await socket.echo("hello");
  await socket.echo("x".repeat(100_000));
});

test("HTTP/1.1 is what is agreed on, and a client that wants nothing else than HTTP/2 is refused", async (t) => {
  const { sidecar } = await serveTls(t);
  const both = await connectTls(t, sidecar.port, { ALPNProtocols: ["h2", "http/1.1"] });
  assert.equal(both.socket.alpnProtocol, "http/1.1");
  await assert.rejects(connectTls(t, sidecar.port, { ALPNProtocols: ["h2"] }), /no application protocol/i);
});

test("TLS 1.2 is the least", async (t) => {
  const { sidecar } = await serveTls(t);
  const old = { minVersion: "TLSv1", maxVersion: "TLSv1.1", ciphers: "DEFAULT@SECLEVEL=0" } as const;
  // First that such a client can be made at all, or the refusal would prove nothing.
  const control = tls.createServer({ ...firstPair, ...old });
  control.on("tlsClientError", () => {});
  t.after(() => {
    control.close();
  });
  await new Promise<void>((resolve) => {
    control.listen(0, "127.0.0.1", resolve);
  });
  const { port } = control.address() as net.AddressInfo;
  assert.equal((await connectTls(t, port, old)).socket.getProtocol(), "TLSv1.1");
  await assert.rejects(connectTls(t, sidecar.port, old), /protocol version|alert/i);
  const least = await connectTls(t, sidecar.port, { maxVersion: "TLSv1.2" });
  assert.equal(least.socket.getProtocol(), "TLSv1.2");
});

function show(pair: SelfSigned): tls.ConnectionOptions {
  return { cert: pair.cert, key: pair.key };
}

test("with a clientCa a client must show a certificate of it", async (t) => {
  const { sidecar } = await serveTls(t, { clientCa: insider.cert });
  await echoOver(await connectTls(t, sidecar.port, show(insider)), "/insider");
  const before = upstream.requests.length;
  for (const options of [{}, show(outsider)]) {
    // TLS 1.3 tells a client only after its own handshake that it is not wanted.
    const client = await connectTls(t, sidecar.port, options);
    client.socket.write(requestText("GET", "/outsider"));
    await client.closed();
    assert.equal(client.text(), "");
  }
  assert.equal(upstream.requests.length, before);
});

test("a new pair serves new connections, and those that are open stay", async (t) => {
  const { sidecar, certFile, keyFile } = await serveTls(t);
  const early = await connectTls(t, sidecar.port);
  assert.equal(early.commonName, "first");
  await echoOver(early, "/before");
  const seen = sidecar.logs.length;
  fs.writeFileSync(certFile, secondPair.cert);
  fs.writeFileSync(keyFile, secondPair.key);
  await sidecar.log("config applied", seen);
  assert.equal((await connectTls(t, sidecar.port)).commonName, "second");
  await echoOver(early, "/after");
});

test("while certificate and key do not fit together the old pair serves, and the metrics say so", async (t) => {
  const { sidecar, certFile, keyFile } = await serveTls(t);
  const seen = sidecar.logs.length;
  fs.writeFileSync(certFile, secondPair.cert);
  const { problems } = await sidecar.log("config refused", seen);
  assert.match(JSON.stringify(problems), /listen\[0\]\.tls/);
  await scrapeUntil(sidecar, "a bad last reload", (now) => now.sum("crossfade_config_last_reload_success") === 0);
  const between = await connectTls(t, sidecar.port);
  assert.equal(between.commonName, "first");
  await echoOver(between, "/between");
  fs.writeFileSync(keyFile, secondPair.key);
  await sidecar.log("config applied", seen);
  assert.equal((await connectTls(t, sidecar.port)).commonName, "second");
});

test("a new clientCa counts for new connections", async (t) => {
  const { sidecar, caFile } = await serveTls(t, { clientCa: insider.cert });
  const seen = sidecar.logs.length;
  fs.writeFileSync(caFile, outsider.cert);
  await sidecar.log("config applied", seen);
  await echoOver(await connectTls(t, sidecar.port, show(outsider)), "/now-inside");
});

test("what is no TLS on a TLS port is closed and harms nobody", async (t) => {
  const { sidecar } = await serveTls(t);
  for (const bytes of [requestText("GET", "/"), "\x16\x03\x01garbage", "\0".repeat(500)]) {
    const client = await connectRaw(t, sidecar.port);
    client.send(bytes);
    await client.closed();
  }
  await echoOver(await connectTls(t, sidecar.port), "/still-here");
});

test("a client that never begins or never finishes its handshake is cut off by the header timeout", async (t) => {
  const { sidecar } = await serveTls(t, { over: { downstream: { headerTimeout: "600ms" } } });
  for (const bytes of ["", "\x16\x03\x01\x02\x00\x01"]) {
    const client = await connectRaw(t, sidecar.port);
    client.send(bytes);
    await client.closed(3_000);
  }
});

test("a minted cookie over TLS is marked Secure", async (t) => {
  const split = { baseline: "v1", candidate: "v1", share: "50%", onMissingKey: { setCookie: { name: "cf" } } };
  const { sidecar } = await serveTls(t, { over: { routes: [{ name: "all", match: { pathPrefix: "/" }, split }] } });
  const client = await connectTls(t, sidecar.port);
  await echoOver(client, "/cookie");
  assert.match(client.text(), /set-cookie: cf=[^\r\n]*; Secure\r\n/i);
});
