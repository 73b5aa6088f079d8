import assert from "node:assert/strict";
import test from "node:test";
import { proxyTo } from "../support/configs.ts";
import { header } from "../support/message-reader.ts";
import { connectRaw, requestText, type RawClient } from "../support/raw-client.ts";
import { startRawUpstream, type UpstreamConnection } from "../support/raw-upstream.ts";
import type { Scope } from "../support/scope.ts";
import { fileScope } from "../support/scope.ts";
import { useSidecar } from "../support/sidecar.ts";
import { until } from "../support/until.ts";

// Order instead of time: the upstream sends the next piece only after the client has the one before.
const upstream = await startRawUpstream(fileScope);
upstream.onRequest = null;
const sidecar = await useSidecar(fileScope, proxyTo(upstream.url));

async function begin(t: Scope, text: string): Promise<{ client: RawClient; connection: UpstreamConnection }> {
  upstream.forget();
  const client = await connectRaw(t, sidecar.port);
  client.request(text);
  return { client, connection: (await upstream.request()).connection };
}

test("the head of an event stream reaches the client before the first event exists", async (t) => {
  const { client, connection } = await begin(t, requestText("GET", "/events"));
  connection.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n");
  const head = await client.head();
  assert.equal(head.status, 200);
  assert.equal(header(head, "content-type"), "text/event-stream");
  connection.answer("0\r\n\r\n", "keep");
  assert.equal((await client.answer()).complete, true);
});

test("each event reaches the client before the next one exists", async (t) => {
  const { client, connection } = await begin(t, requestText("GET", "/events"));
  connection.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n");
  let expected = "";
  for (let number = 1; number <= 20; number++) {
    const event = `data: ${number}\n\n`;
    expected += event;
    connection.send(`${event.length.toString(16)}\r\n${event}\r\n`);
    assert.equal((await client.bodyBytes(expected.length)).toString(), expected);
  }
  connection.send("0\r\n\r\n");
  const answer = await client.answer();
  assert.equal(answer.complete, true);
  assert.equal(answer.text, expected);
});

test("pieces of a body with a length come as they are sent", async (t) => {
  const { client, connection } = await begin(t, requestText("GET", "/"));
  connection.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n");
  await client.head();
  connection.send("hello");
  assert.equal((await client.bodyBytes(5)).toString(), "hello");
  connection.send("world");
  assert.equal((await client.answer()).text, "helloworld");
});

test("pieces of a body that ends with the connection come as they are sent", async (t) => {
  const { client, connection } = await begin(t, requestText("GET", "/"));
  connection.send("HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\n\r\n");
  await client.head();
  connection.send('{"a":1}\n');
  await client.bodyBytes(8);
  connection.answer('{"b":2}\n', "close");
  const answer = await client.answer();
  assert.equal(answer.text, '{"a":1}\n{"b":2}\n');
  assert.equal(answer.complete, true);
});

test("an HTTP/1.0 client gets pieces as they are sent too", async (t) => {
  const { client, connection } = await begin(t, "GET / HTTP/1.0\r\nHost: a.test\r\n\r\n");
  connection.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
  await client.head();
  connection.send("5\r\nhello\r\n");
  await client.bodyBytes(5);
  connection.send("0\r\n\r\n");
  assert.equal((await client.answer()).text, "hello");
});

test("pieces of a request body reach the upstream before the next one exists", async (t) => {
  upstream.forget();
  const client = await connectRaw(t, sidecar.port);
  client.request(requestText("POST", "/", ["Transfer-Encoding: chunked"]));
  let expected = "";
  for (let number = 1; number <= 20; number++) {
    const piece = `piece ${number};`;
    expected += piece;
    client.send(`${piece.length.toString(16)}\r\n${piece}\r\n`);
    await until(() => bodySeen() === expected, `the upstream to have ${expected}`, { detail: bodySeen });
  }
  client.send("0\r\n\r\n");
  const { connection } = await upstream.whole();
  connection.send("HTTP/1.1 204 No Content\r\n\r\n");
  assert.equal((await client.answer()).status, 204);
});

test("the head of a request reaches the upstream before its body exists", async (t) => {
  const { client, connection } = await begin(t, requestText("POST", "/", ["Content-Length: 5"]));
  client.send("hello");
  await upstream.whole();
  connection.send("HTTP/1.1 204 No Content\r\n\r\n");
  assert.equal((await client.answer()).status, 204);
});

function bodySeen(): string {
  return Buffer.concat(upstream.requests[0]?.message.pieces ?? []).toString();
}
