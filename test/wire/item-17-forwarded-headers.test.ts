import assert from "node:assert/strict";
import test from "node:test";
import { proxyTo } from "../support/configs.ts";
import { allHeaders } from "../support/message-reader.ts";
import { exchangeOnce, requestText } from "../support/raw-client.ts";
import { startRawUpstream } from "../support/raw-upstream.ts";
import { fileScope } from "../support/scope.ts";
import { useSidecar } from "../support/sidecar.ts";

const upstream = await startRawUpstream(fileScope);
const distrustful = await useSidecar(fileScope, proxyTo(upstream.url));
const trusting = await useSidecar(fileScope, proxyTo(upstream.url, { runtime: { trustedProxies: ["127.0.0.0/8"] } }));

const CLAIMS = [
  "X-Forwarded-For: 203.0.113.7",
  "X-Forwarded-Proto: https",
  "X-Forwarded-Host: claimed.test",
  "X-Forwarded-Port: 443",
];

async function forwardedBy(
  t: Parameters<typeof exchangeOnce>[0],
  port: number,
  fields: readonly string[],
): Promise<Readonly<Record<string, readonly string[]>>> {
  upstream.forget();
  assert.equal((await exchangeOnce(t, port, requestText("GET", "/", fields))).status, 200);
  const seen = await upstream.request();
  const names = ["for", "proto", "host", "port"];
  return Object.fromEntries(names.map((name) => [name, allHeaders(seen, `x-forwarded-${name}`)]));
}

test("a request without claims says who called, how, and where", async (t) => {
  assert.deepEqual(await forwardedBy(t, distrustful.port, []), {
    for: ["127.0.0.1"],
    proto: ["http"],
    host: ["a.test"],
    port: [String(distrustful.port)],
  });
});

test("what an untrusted peer claims is overwritten", async (t) => {
  assert.deepEqual(await forwardedBy(t, distrustful.port, CLAIMS), {
    for: ["127.0.0.1"],
    proto: ["http"],
    host: ["a.test"],
    port: [String(distrustful.port)],
  });
});

test("claims on several lines and in any case are overwritten too", async (t) => {
  const fields = ["x-forwarded-for: 1.1.1.1", "X-FORWARDED-FOR: 2.2.2.2", "X-Forwarded-Proto: https, http"];
  const seen = await forwardedBy(t, distrustful.port, fields);
  assert.deepEqual(seen["for"], ["127.0.0.1"]);
  assert.deepEqual(seen["proto"], ["http"]);
});

test("what a trusted peer claims is kept, and the peer is appended", async (t) => {
  assert.deepEqual(await forwardedBy(t, trusting.port, CLAIMS), {
    for: ["203.0.113.7, 127.0.0.1"],
    proto: ["https"],
    host: ["claimed.test"],
    port: ["443"],
  });
});

test("a trusted peer's chain on several lines stays in order", async (t) => {
  const fields = ["X-Forwarded-For: 198.51.100.1, 203.0.113.7", "X-Forwarded-For: 192.0.2.9"];
  const seen = await forwardedBy(t, trusting.port, fields);
  assert.equal(seen["for"]?.join(", "), "198.51.100.1, 203.0.113.7, 192.0.2.9, 127.0.0.1");
});

test("a trusted peer without claims is treated as the client", async (t) => {
  assert.deepEqual(await forwardedBy(t, trusting.port, []), {
    for: ["127.0.0.1"],
    proto: ["http"],
    host: ["a.test"],
    port: [String(trusting.port)],
  });
});
