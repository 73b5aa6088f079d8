import assert from "node:assert/strict";
import test from "node:test";
import { servedBy } from "../support/arms.ts";
import { assertLocalReply } from "../support/local-reply.ts";
import { allHeaders, header } from "../support/message-reader.ts";
import { connectRaw, requestText } from "../support/raw-client.ts";
import { answering, okText, startRawUpstream } from "../support/raw-upstream.ts";
import { fileScope } from "../support/scope.ts";
import { useSidecar } from "../support/sidecar.ts";
import { switchingText, upgradeText, WEBSOCKET_KEY } from "../support/ws-peer.ts";

const v1 = await startRawUpstream(fileScope);
const v2 = await startRawUpstream(fileScope);
const sidecar = await useSidecar(fileScope, {
  upstreams: { v1: { endpoints: [v1.url] }, v2: { endpoints: [v2.url] } },
  routes: [
    {
      name: "split",
      match: { pathPrefix: "/split" },
      split: {
        baseline: "v1",
        candidate: "v2",
        share: "0%",
        sticky: [{ header: "x-user-id" }],
        onMissingKey: { setCookie: { name: "cf" } },
        overrides: [{ header: { "x-crossfade-force": "v2" }, to: "candidate" }],
      },
    },
    { name: "all", match: { pathPrefix: "/" }, split: { baseline: "v1" } },
  ],
});

function forget(): void {
  v1.forget();
  v2.forget();
  v1.onRequest = answering(switchingText());
  v2.onRequest = answering(switchingText());
}

test("every Sec-WebSocket field goes up and comes back as it is", async (t) => {
  forget();
  v1.onRequest = answering(
    switchingText(["Sec-WebSocket-Protocol: chat.v2", "Sec-WebSocket-Extensions: permessage-deflate"]),
  );
  const client = await connectRaw(t, sidecar.port);
  const fields = [
    "Sec-WebSocket-Protocol: chat.v1, chat.v2",
    "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits",
  ];
  client.request(upgradeText("/ws?a=%2F&b=//", fields));
  const answer = await client.head();
  const request = await v1.request();
  assert.equal(request.method, "GET");
  assert.equal(request.target, "/ws?a=%2F&b=//");
  assert.equal(header(request, "sec-websocket-key"), WEBSOCKET_KEY);
  assert.equal(header(request, "sec-websocket-version"), "13");
  assert.equal(header(request, "sec-websocket-protocol"), "chat.v1, chat.v2");
  assert.equal(header(request, "sec-websocket-extensions"), "permessage-deflate; client_max_window_bits");
  assert.match(header(request, "connection") ?? "", /^upgrade$/i);
  assert.match(header(request, "upgrade") ?? "", /^websocket$/i);
  assert.equal(answer.status, 101);
  assert.equal(header(answer, "sec-websocket-accept"), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
  assert.equal(header(answer, "sec-websocket-protocol"), "chat.v2");
  assert.equal(header(answer, "sec-websocket-extensions"), "permessage-deflate");
  assert.match(header(answer, "connection") ?? "", /^upgrade$/i);
  assert.match(header(answer, "upgrade") ?? "", /^websocket$/i);
});

test("an upgrade carries what every request carries: forwarded fields, ids, no field of ours from outside", async (t) => {
  forget();
  const client = await connectRaw(t, sidecar.port);
  client.request(
    upgradeText("/ws", [
      "X-Request-Id: my-id-1",
      "X-Crossfade-Force: v2",
      "X-Forwarded-For: 6.6.6.6",
      "Keep-Alive: timeout=5",
      "Proxy-Authorization: Basic xyz",
      "Cookie: a=b",
    ]),
  );
  const answer = await client.head();
  const request = await v1.request();
  assert.equal(header(request, "host"), "a.test");
  assert.equal(header(request, "x-request-id"), "my-id-1");
  assert.equal(header(request, "x-forwarded-for"), "127.0.0.1");
  assert.equal(header(request, "x-forwarded-proto"), "http");
  assert.equal(header(request, "via"), "1.1 crossfade");
  assert.equal(header(request, "cookie"), "a=b");
  assert.match(header(request, "traceparent") ?? "", /^00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]$/);
  for (const name of ["x-crossfade-force", "keep-alive", "proxy-authorization"]) {
    assert.deepEqual(allHeaders(request, name), [], name);
  }
  assert.equal(header(answer, "x-request-id"), "my-id-1");
  assert.equal(servedBy(answer), "v1");
});

test("an upgrade is split like any request, and pinned by a cookie in its 101", async (t) => {
  forget();
  const forced = await connectRaw(t, sidecar.port);
  forced.request(upgradeText("/split", ["x-crossfade-force: v2"]));
  assert.equal(servedBy(await forced.head()), "v2");
  assert.equal(v2.requests.length, 1);
  const minted = await connectRaw(t, sidecar.port);
  minted.request(upgradeText("/split"));
  const answer = await minted.head();
  assert.equal(servedBy(answer), "v1");
  assert.match(header(answer, "set-cookie") ?? "", /^cf=[0-9a-f]{32}; Path=\//);
});

const BAD_KEYS: Readonly<Record<string, readonly string[]>> = {
  "without a key": [],
  "with an empty key": ["Sec-WebSocket-Key:"],
  "with a key of 15 bytes": ["Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAA"],
  "with a key of 17 bytes": ["Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAAA="],
  "with a key that is not base64": ["Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAA!A=="],
  "with a key whose last bits say more": ["Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAB=="],
  "with two keys": [`Sec-WebSocket-Key: ${WEBSOCKET_KEY}`, `Sec-WebSocket-Key: ${WEBSOCKET_KEY}`],
};

for (const [how, keys] of Object.entries(BAD_KEYS)) {
  test(`an upgrade ${how} is a 400 and goes nowhere`, async (t) => {
    forget();
    const client = await connectRaw(t, sidecar.port);
    const lines = [
      "GET /ws HTTP/1.1",
      "Host: a.test",
      "Connection: Upgrade",
      "Upgrade: websocket",
      "Sec-WebSocket-Version: 13",
    ];
    client.request(`${[...lines, ...keys].join("\r\n")}\r\n\r\n`);
    assertLocalReply(await client.answer(), 400);
    assert.equal(await client.closed(), "fin");
    assert.equal(v1.text(), "");
  });
}

const PLAIN: Readonly<Record<string, string>> = {
  h2c: requestText("GET", "/plain", [
    "Connection: Upgrade, HTTP2-Settings",
    "Upgrade: h2c",
    "HTTP2-Settings: AAMAAABkAAQAAP__",
  ]),
  "a protocol that nobody knows": requestText("GET", "/plain", ["Connection: upgrade", "Upgrade: teapot/1"]),
  "a list of protocols": requestText("GET", "/plain", ["Connection: upgrade", "Upgrade: websocket, h2c"]),
  "WebSocket without Connection: upgrade": requestText("GET", "/plain", [
    "Upgrade: websocket",
    `Sec-WebSocket-Key: ${WEBSOCKET_KEY}`,
  ]),
  "WebSocket over HTTP/1.0": upgradeText("/plain").replace("HTTP/1.1", "HTTP/1.0"),
};

for (const [what, text] of Object.entries(PLAIN)) {
  test(`an upgrade to ${what} is not asked for upstream: the request is served as a plain one`, async (t) => {
    forget();
    v1.onRequest = answering(okText("plain"));
    const client = await connectRaw(t, sidecar.port);
    const answer = await client.exchange(text);
    assert.equal(answer.status, 200);
    assert.equal(answer.text, "plain");
    const request = await v1.whole();
    assert.deepEqual(allHeaders(request, "upgrade"), []);
    assert.deepEqual(allHeaders(request, "http2-settings"), []);
    assert.doesNotMatch(header(request, "connection") ?? "", /upgrade|http2/i);
    assert.equal(Buffer.concat(request.message.pieces).toString(), "");
  });
}

test("a connection whose upgrade was served as a plain request serves the next one", async (t) => {
  forget();
  v1.onRequest = answering(okText("plain"));
  const client = await connectRaw(t, sidecar.port);
  for (let i = 0; i < 3; i++) assert.equal((await client.exchange(PLAIN["h2c"] ?? "")).text, "plain");
});

test("a 101 that nobody asked for is a 502", async (t) => {
  forget();
  const client = await connectRaw(t, sidecar.port);
  assertLocalReply(await client.exchange(requestText("GET", "/")), 502, "bad_answer");
  await (await v1.request()).connection.ended();
});

const MISUSES: Readonly<Record<string, string>> = {
  "WebSocket by POST": requestText(
    "POST",
    "/plain",
    ["Connection: Upgrade", "Upgrade: websocket", `Sec-WebSocket-Key: ${WEBSOCKET_KEY}`],
    "hello",
  ),
  "WebSocket with a body": requestText(
    "GET",
    "/plain",
    ["Connection: Upgrade", "Upgrade: websocket", `Sec-WebSocket-Key: ${WEBSOCKET_KEY}`],
    "hello",
  ),
};

for (const [what, text] of Object.entries(MISUSES)) {
  test(`an upgrade to ${what} is refused and reaches no upstream`, async (t) => {
    forget();
    const client = await connectRaw(t, sidecar.port);
    assertLocalReply(await client.exchange(text), 400, "bad_request");
    assert.equal(v1.text(), "");
  });
}
