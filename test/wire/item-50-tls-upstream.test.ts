import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import test from "node:test";
import { useFolder } from "../support/control-plane.ts";
import type { Echo } from "../support/http-upstream.ts";
import { assertLocalReply } from "../support/local-reply.ts";
import { connectRaw, exchangeOnce, requestText } from "../support/raw-client.ts";
import { fileScope, type Scope } from "../support/scope.ts";
import { selfSigned } from "../support/self-signed.ts";
import { useSidecar, type Sidecar } from "../support/sidecar.ts";
import { startTlsUpstream, type TlsUpstream } from "../support/tls-peers.ts";
import { openEchoSocket, upgradeText } from "../support/ws-peer.ts";

const folder = useFolder(fileScope);
const server = selfSigned("localhost");
const firstClient = selfSigned("client-one");
const secondClient = selfSigned("client-two");
const caFile = write("ca.crt", server.cert);

function write(name: string, text: string): string {
  const file = path.join(folder, name);
  fs.writeFileSync(file, text);
  return file;
}

/** A sidecar in front of an https upstream at `host`. */
function configOf(upstream: TlsUpstream, tls: object | null, host: string = "localhost"): object {
  const v1 = { endpoints: [`https://${host}:${upstream.port}`], ...(tls !== null && { tls }) };
  return { upstreams: { v1 }, routes: [{ name: "all", match: { pathPrefix: "/" }, split: { baseline: "v1" } }] };
}

async function inFrontOf(
  scope: Scope,
  tls: object | null,
  host?: string,
): Promise<{ sidecar: Sidecar; upstream: TlsUpstream }> {
  const upstream = await startTlsUpstream(scope, server);
  return { upstream, sidecar: await useSidecar(scope, configOf(upstream, tls, host)) };
}

const REQUESTS: Readonly<Record<string, string>> = {
  "a request": requestText("GET", "/"),
  "a request with Expect": requestText("POST", "/", ["Expect: 100-continue"], "hello"),
  "an upgrade": upgradeText("/ws"),
};

const UNTRUSTED: Readonly<Record<string, { readonly tls: object | null; readonly host: string }>> = {
  "nobody vouches for": { tls: null, host: "localhost" },
  "carries another name than the endpoint's": { tls: { ca: caFile }, host: "127.0.0.2" },
  "carries another name than the configured one": { tls: { ca: caFile, serverName: "other.test" }, host: "localhost" },
};

for (const [what, { tls, host }] of Object.entries(UNTRUSTED)) {
  test(`an upstream certificate that ${what} is refused with 502, and nothing is sent to it`, async (t) => {
    const upstream = await startTlsUpstream(t, server, host === "localhost" ? {} : { host });
    const sidecar = await useSidecar(t, configOf(upstream, tls, host));
    for (const [name, text] of Object.entries(REQUESTS)) {
      const answer = await exchangeOnce(t, sidecar.port, text);
      assert.equal(assertLocalReply(answer, 502).code, "tls_failure", name);
    }
    assert.equal(upstream.requests, 0);
  });
}

const TRUSTED: Readonly<
  Record<string, { readonly tls: object; readonly host: string; readonly name: string | false }>
> = {
  "by its name": { tls: { ca: caFile }, host: "localhost", name: "localhost" },
  "by its address": { tls: { ca: caFile }, host: "127.0.0.1", name: false },
  "by a configured name": { tls: { ca: caFile, serverName: "localhost" }, host: "127.0.0.1", name: "localhost" },
};

for (const [how, { tls, host, name }] of Object.entries(TRUSTED)) {
  test(`an upstream whose certificate is vouched for ${how} is served, and asked for by that name`, async (t) => {
    const { sidecar, upstream } = await inFrontOf(t, tls, host);
    const answer = await exchangeOnce(t, sidecar.port, requestText("POST", "/path", [], "hello"));
    assert.equal(answer.status, 200, answer.text);
    const echo = JSON.parse(answer.text) as Echo;
    assert.equal(echo.body.length, 5);
    const expecting = await connectRaw(t, sidecar.port);
    assert.equal((await expecting.exchange(REQUESTS["a request with Expect"] ?? "")).status, 200);
    const socket = await openEchoSocket(t, `ws://127.0.0.1:${sidecar.port}/ws`);
    await socket.echo("through TLS");
    assert.deepEqual([...new Set(upstream.names)], [name]);
  });
}

test("the client's Host has no say in whose certificate is wanted", async (t) => {
  const { sidecar, upstream } = await inFrontOf(t, { ca: caFile });
  const answer = await exchangeOnce(t, sidecar.port, "GET / HTTP/1.1\r\nHost: evil.test\r\n\r\n");
  assert.equal(answer.status, 200);
  assert.deepEqual([...new Set(upstream.names)], ["localhost"]);
});

test("an upstream that wants a certificate of ours is shown the one in force, also after a change", async (t) => {
  const upstream = await startTlsUpstream(t, server, { clientCa: [firstClient.cert, secondClient.cert] });
  const pairOf = (name: string, pair: typeof firstClient): object => ({
    ca: caFile,
    cert: write(`${name}.crt`, pair.cert),
    key: write(`${name}.key`, pair.key),
  });
  const sidecar = await useSidecar(t, configOf(upstream, pairOf("one", firstClient)));
  const client = await connectRaw(t, sidecar.port);
  assert.equal((await client.exchange(requestText("GET", "/"))).status, 200);
  await (await openEchoSocket(t, `ws://127.0.0.1:${sidecar.port}/ws`)).echo("with a certificate");
  assert.deepEqual([...new Set(upstream.identities)], ["client-one"]);
  const seen = sidecar.logs.length;
  sidecar.writeConfig(configOf(upstream, pairOf("two", secondClient)));
  await sidecar.log("config applied", seen);
  assert.equal((await client.exchange(requestText("GET", "/"))).status, 200);
  assert.equal(upstream.identities.at(-1), "client-two", "no connection of the old identity is used");
});

test("an upstream that wants a certificate and gets none is a 502", async (t) => {
  const upstream = await startTlsUpstream(t, server, { clientCa: [firstClient.cert] });
  const sidecar = await useSidecar(t, configOf(upstream, { ca: caFile }));
  const answer = await exchangeOnce(t, sidecar.port, requestText("GET", "/"));
  assertLocalReply(answer, 502);
  assert.equal(upstream.requests, 0);
});

test("an upstream that speaks no TLS is a 502", async (t) => {
  const upstream = await startTlsUpstream(t, server);
  // The other way round is easier to have: plain HTTP towards a port that wants TLS.
  const config = { upstreams: { v1: { endpoints: [`http://127.0.0.1:${upstream.port}`] } } };
  const sidecar = await useSidecar(t, { ...configOf(upstream, null), ...config });
  assertLocalReply(await exchangeOnce(t, sidecar.port, requestText("GET", "/")), 502);
});
