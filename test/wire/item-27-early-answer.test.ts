import assert from "node:assert/strict";
import test from "node:test";
import { proxyTo } from "../support/configs.ts";
import { header } from "../support/message-reader.ts";
import { connectRaw, exchangeOnce, requestText } from "../support/raw-client.ts";
import { answering, OK_ANSWER, startRawUpstream } from "../support/raw-upstream.ts";
import { fileScope } from "../support/scope.ts";
import { useSidecar } from "../support/sidecar.ts";
import { until } from "../support/until.ts";

const MIB = 1_048_576;
const upstream = await startRawUpstream(fileScope);
const sidecar = await useSidecar(fileScope, proxyTo(upstream.url));
const TOO_LARGE = `HTTP/1.1 413 Content Too Large\r\nContent-Length: 9\r\n\r\ntoo large`;

function refuseAtTheHead(): void {
  upstream.forget();
  upstream.onRequest = null;
  upstream.onHead = answering(TOO_LARGE);
}

function serve(): void {
  upstream.onHead = null;
  upstream.onRequest = answering(OK_ANSWER);
}

test("an answer to an unfinished upload reaches the client whole, and its connection ends with it", async (t) => {
  refuseAtTheHead();
  const client = await connectRaw(t, sidecar.port);
  client.request(requestText("POST", "/", [`Content-Length: ${10 * MIB}`]));
  client.send(Buffer.alloc(64 * 1024, "x"));
  const answer = await client.answer();
  serve();
  assert.equal(answer.status, 413);
  assert.equal(answer.text, "too large");
  assert.equal(header(answer, "connection"), "close");
  assert.equal(await client.closed(), "fin");
});

test("the same for a chunked upload", async (t) => {
  refuseAtTheHead();
  const client = await connectRaw(t, sidecar.port);
  client.request(requestText("POST", "/", ["Transfer-Encoding: chunked"]));
  client.send("5\r\nhello\r\n");
  const answer = await client.answer();
  serve();
  assert.equal(answer.status, 413);
  assert.equal(header(answer, "connection"), "close");
  await client.closed();
});

test("the upstream connection with the unfinished request is not used again", async (t) => {
  refuseAtTheHead();
  await exchangeOnce(t, sidecar.port, `${requestText("POST", "/", ["Content-Length: 100"])}begin`);
  const { connection } = await upstream.request();
  serve();
  await connection.ended();
  assert.equal((await exchangeOnce(t, sidecar.port, requestText("GET", "/"))).status, 200);
  assert.notEqual((await upstream.request(1)).connection, connection);
});

test("a client that sends the rest of its upload after the answer is not reset", async (t) => {
  refuseAtTheHead();
  const client = await connectRaw(t, sidecar.port);
  client.request(`${requestText("POST", "/", [`Content-Length: ${256 * 1024}`])}begin`);
  await client.head();
  client.send(Buffer.alloc(256 * 1024 - 5, "x"));
  const answer = await client.answer();
  serve();
  assert.equal(answer.text, "too large");
  assert.equal(await client.closed(), "fin");
});

test("what follows the unfinished upload on its connection is not served", async (t) => {
  refuseAtTheHead();
  const client = await connectRaw(t, sidecar.port);
  client.request(`${requestText("POST", "/", ["Content-Length: 5"])}h`);
  await client.head();
  client.request(`ello${requestText("GET", "/smuggled")}`);
  await client.answer();
  serve();
  await client.closed();
  assert.equal(client.finalCount(), 1);
  assert.deepEqual(
    upstream.requests.map(({ target }) => target),
    ["/"],
  );
});

test("a client that goes on and on is cut off after a bounded number of bytes", async (t) => {
  refuseAtTheHead();
  const client = await connectRaw(t, sidecar.port);
  client.request(`${requestText("POST", "/", [`Content-Length: ${1_024 * MIB}`])}begin`);
  await client.answer();
  serve();
  let sent = 0;
  const push = (): void => {
    while (!client.socket.destroyed && sent < 64 * MIB) {
      sent += MIB;
      if (!client.socket.write(Buffer.alloc(MIB))) return void client.socket.once("drain", push);
    }
  };
  push();
  await until(() => client.socket.destroyed, "the client to be cut off");
  assert.ok(sent < 64 * MIB, `${sent} bytes were taken`);
});

test("an answer to a request of which only the head was sent reaches the client", async (t) => {
  refuseAtTheHead();
  const client = await connectRaw(t, sidecar.port);
  const answer = await client.exchange(requestText("POST", "/", ["Content-Length: 100"]));
  serve();
  assert.equal(answer.status, 413);
  assert.equal(header(answer, "connection"), "close");
});

test("an answer may begin before the upload ends, and both go on", async (t) => {
  upstream.forget();
  upstream.onHead = null;
  upstream.onRequest = null;
  const client = await connectRaw(t, sidecar.port);
  client.request(`${requestText("POST", "/", ["Transfer-Encoding: chunked"])}5\r\nbegin\r\n`);
  const { connection, message } = await upstream.request();
  connection.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
  await client.head();
  for (const piece of ["one", "two", "three"]) {
    client.send(`${piece.length.toString(16)}\r\n${piece}\r\n`);
    await until(() => Buffer.concat(message.pieces).toString().endsWith(piece), `${piece} at the upstream`);
    connection.send(`${piece.length.toString(16)}\r\n${piece}\r\n`);
    await until(() => client.text().includes(`\r\n${piece}\r\n`), `${piece} back at the client`);
  }
  client.send("0\r\n\r\n");
  await upstream.whole();
  connection.send("0\r\n\r\n");
  const answer = await client.answer();
  serve();
  assert.equal(answer.text, "onetwothree");
  assert.equal(answer.complete, true);
});
