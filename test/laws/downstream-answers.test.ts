import assert from "node:assert/strict";
import { test } from "node:test";
import { describeEngines, type Bench } from "../support/downstream-bench.ts";
import { allHeaders, header, valuesOf } from "../support/message-reader.ts";
import { requestText, type RawClient } from "../support/raw-client.ts";
import type { Served } from "../support/served.ts";
import { until, untilQuiet } from "../support/until.ts";

const MIB = 1_048_576;
const GET = requestText("GET", "/");
/** Every byte value, as latin1 text. */
const BYTES = String.fromCharCode(...Array.from({ length: 256 }, (_, i) => i));

describeEngines("an answer", (openBench) => {
  test("of known length keeps its length", async (t) => {
    const bench = await openBench(t);
    const client = await bench.ask(GET);
    const served = await bench.nth(0);
    const fields = ["X-A", "1", "x-a", "2", "Content-Length", "512", "Set-Cookie", "a", "Set-Cookie", "b"];
    served.sendHead(207, fields);
    served.downstream.sendData(BYTES);
    served.downstream.sendData(Buffer.from(BYTES, "latin1"));
    served.downstream.sendEnd(null);
    const answer = await client.answer();
    assert.deepEqual([answer.status, answer.reason, answer.framing, answer.minorVersion], [207, "Told", "length", 1]);
    assert.equal(answer.text, BYTES + BYTES);
    assert.deepEqual(answer.rawHeaders.slice(0, fields.length), fields);
    assert.equal(allHeaders(answer, "date").length, 1, "an answer without a date gets one");
  });

  test("keeps the date that it has", async (t) => {
    const bench = await openBench(t);
    const client = await bench.ask(GET);
    const date = "Fri, 20 Nov 2026 00:00:00 GMT";
    (await bench.nth(0)).sendHead(200, ["Date", date, "content-length", "0"]);
    (await bench.nth(0)).downstream.sendEnd(null);
    assert.equal(header(await client.answer(), "date"), date);
  });

  test("of unknown length is chunked, and its trailers follow", async (t) => {
    const bench = await openBench(t);
    const client = await bench.ask(GET);
    const served = await bench.nth(0);
    served.sendHead(200, ["Trailer", "X-Sum"]);
    served.downstream.sendData(BYTES);
    served.downstream.sendData("more");
    served.downstream.sendEnd(["X-Sum", "1", "X-Other", "2"]);
    const answer = await client.answer();
    assert.deepEqual([answer.framing, answer.text, answer.complete], ["chunked", `${BYTES}more`, true]);
    assert.deepEqual(answer.trailers, ["X-Sum", "1", "X-Other", "2"]);
  });

  test("of known length has no place for trailers", async (t) => {
    const bench = await openBench(t);
    const client = await bench.ask(GET);
    const served = await bench.nth(0);
    served.sendHead(200, ["content-length", "2"]);
    served.downstream.sendData("ok");
    served.downstream.sendEnd(["X-Sum", "1"]);
    assert.equal((await client.answer()).text, "ok");
    served.assertLaws();
    client.request(GET);
    (await bench.nth(1)).answer("next");
    assert.equal((await client.answer()).text, "next", "no byte too many was sent");
  });

  test("of unknown length and without a body is whole", async (t) => {
    const bench = await openBench(t);
    const client = await bench.ask(GET);
    const served = await bench.nth(0);
    served.sendHead(200);
    served.downstream.sendEnd(null);
    const answer = await client.answer();
    assert.deepEqual([answer.text, answer.complete, answer.framing === "close"], ["", true, false]);
  });

  test("to HTTP/1.0 of unknown length ends with its connection", async (t) => {
    const bench = await openBench(t);
    const client = await bench.ask("GET / HTTP/1.0\r\n\r\n");
    const served = await bench.nth(0);
    served.downstream.sendInformation(103, ["link", "</a>"]);
    served.sendHead(200);
    served.downstream.sendData("hello");
    served.downstream.sendEnd(null);
    const answer = await client.answer();
    assert.deepEqual([answer.framing, answer.text, answer.interim.length], ["close", "hello", 0]);
    assert.equal(header(answer, "connection"), "close");
  });

  test("whose head leaves alone keeps every byte of it, and nothing leaves before the head", async (t) => {
    const bench = await openBench(t);
    const client = await bench.ask(GET);
    const served = await bench.nth(0);
    served.downstream.flush();
    await untilQuiet(() => client.bytes().length, 20);
    assert.equal(client.text(), "");
    served.sendHead(200, ["X-Obs", "caf\xe9 \x80\xff", "content-length", "2"]);
    served.downstream.flush();
    assert.equal(header(await client.head(), "x-obs"), "caf\xe9 \x80\xff");
    served.downstream.sendData("ok");
    served.downstream.sendEnd(null);
    assert.equal((await client.answer()).text, "ok");
  });

  test("in pieces that come turn by turn arrives turn by turn", async (t) => {
    const bench = await openBench(t);
    const client = await bench.ask(GET);
    const { downstream } = await bench.nth(0);
    downstream.sendInformation(103, ["link", "</a>", "link", "</b>"]);
    const interim = await client.interim();
    // Repeats of a list may come joined.
    assert.deepEqual([interim.status, valuesOf(interim.rawHeaders, "link").join()], [103, "</a>,</b>"]);
    (await bench.nth(0)).sendHead(200);
    downstream.flush();
    assert.equal((await client.head()).status, 200);
    for (const [piece, length] of [
      ["one", 3],
      ["two", 6],
      ["three", 11],
    ] as const) {
      downstream.sendData(piece);
      downstream.flush();
      assert.equal((await client.bodyBytes(length)).length, length);
    }
    downstream.sendEnd(null);
    const answer = await client.answer();
    assert.deepEqual([answer.text, answer.complete], ["onetwothree", true]);
  });

  for (const [name, method, status, headers] of [
    ["to HEAD", "HEAD", 200, ["content-length", "1234"]],
    ["to HEAD of unknown length", "HEAD", 200, []],
    ["of status 204", "GET", 204, []],
    ["of status 304", "GET", 304, ["content-length", "1234"]],
  ] as const) {
    test(`${name} has no body, and its connection goes on`, async (t) => {
      const bench = await openBench(t);
      const client = await bench.ask(requestText(method, "/"));
      const served = await bench.nth(0);
      served.sendHead(status, headers, { bodyless: true });
      served.downstream.sendEnd(null);
      const answer = await client.answer();
      assert.deepEqual([answer.status, answer.text, answer.complete], [status, "", true]);
      assert.deepEqual(allHeaders(answer, "content-length"), headers.slice(1));
      if (status !== 200) assert.deepEqual(allHeaders(answer, "transfer-encoding"), []);
      await served.hears("sent");
      client.request(GET);
      (await bench.nth(1)).answer("next");
      assert.equal((await client.answer()).text, "next");
    });
  }

  test("that says so ends its connection, and what is behind it is not served", async (t) => {
    const bench = await openBench(t);
    const client = await bench.ask(GET + requestText("GET", "/behind"));
    (await bench.nth(0)).answer("last", { close: true });
    const answer = await client.answer();
    assert.deepEqual([answer.text, header(answer, "connection")], ["last", "close"]);
    assert.equal(await client.closed(), "fin");
    assert.deepEqual([client.finalCount(), bench.served.length], [1, 1]);
  });

  test("to a client that says Connection: close ends its connection", async (t) => {
    const bench = await openBench(t);
    const client = await bench.ask(requestText("GET", "/", ["Connection: close"]) + GET);
    (await bench.nth(0)).answer("last");
    assert.equal(header(await client.answer(), "connection"), "close");
    assert.equal(await client.closed(), "fin");
    assert.equal(bench.served.length, 1);
  });

  test("given at the head of a request reaches a client that sends on, and ends its connection", async (t) => {
    const bench = await openBench(t, { onRequest: (served) => served.answer("too large") });
    const rest = 256 * 1024;
    const client = await bench.ask(`${requestText("POST", "/", [`Content-Length: ${rest + 5}`])}begin`);
    await client.head();
    client.send(`${"x".repeat(rest)}${requestText("GET", "/behind")}`);
    const answer = await client.answer();
    assert.deepEqual([answer.text, header(answer, "connection")], ["too large", "close"]);
    assert.equal(await client.closed(), "fin", "a reset could have overtaken the answer");
    await bench.served[0]?.hears("sent");
    assert.equal(bench.served.length, 1);
  });

  test("may begin before the body of its request ends, and both go on", async (t) => {
    const bench = await openBench(t);
    const client = await bench.ask(requestText("POST", "/", ["Transfer-Encoding: chunked"]));
    const served = await bench.nth(0);
    served.sendHead(200);
    served.downstream.flush();
    await client.head();
    for (const [i, piece] of ["one", "two", "six"].entries()) {
      client.send(`3\r\n${piece}\r\n`);
      await until(() => served.bytes === 3 * (i + 1), `${piece} in the body`);
      served.downstream.sendData(piece);
      served.downstream.flush();
      await client.bodyBytes(3 * (i + 1));
    }
    client.send("0\r\n\r\n");
    await served.hears("body-end");
    served.downstream.sendEnd(null);
    const answer = await client.answer();
    assert.deepEqual([answer.text, answer.complete], ["onetwosix", true]);
    await served.hears("sent");
  });

  test("waits for a client that does not read, drains when it does, and has left only then", async (t) => {
    const bench = await openBench(t);
    const size = 32 * MIB;
    const { client, served, readOn } = await askWithoutReading(bench);
    served.sendHead(200, ["content-length", String(size)]);
    let taken = 0;
    const { sendData } = served.downstream;
    served.downstream.sendData = (chunk) => {
      taken += chunk.length;
      return sendData.call(served.downstream, chunk);
    };
    served.pour(size);
    await untilQuiet(() => taken, 100);
    assert.ok(taken < size, `held back after ${taken} bytes`);
    assert.ok(!served.heard.includes("sent"));
    readOn();
    const answer = await client.answer(20_000);
    assert.deepEqual([answer.body.length, answer.complete], [size, true]);
    await served.hears("sent");
    assert.ok(served.heard.includes("drain"));
  });

  test("that was handed over whole has left when the client has taken it, not before", async (t) => {
    const bench = await openBench(t);
    const { client, served, readOn } = await askWithoutReading(bench);
    const body = Buffer.alloc(32 * MIB, "z");
    served.sendHead(200, ["content-length", String(body.length)]);
    served.downstream.sendData(body);
    served.downstream.sendEnd(null);
    await untilQuiet(() => served.heard.length, 100);
    assert.deepEqual(served.heard, ["body-end"]);
    readOn();
    assert.equal((await client.answer(20_000)).complete, true);
    await served.hears("sent");
  });

  for (const size of [10, 10_000, 4 * MIB]) {
    test(`of ${size} bytes is out of the road's buffer when none of them is said to be unsent`, async (t) => {
      const bench = await openBench(t);
      const { client, served, readOn } = await askWithoutReading(bench);
      const buffer = Buffer.alloc(size, "a");
      served.sendHead(200, ["content-length", String(size)]);
      const overwrite = (): boolean => {
        const sent = served.downstream.unsentBytes() === 0;
        if (sent) buffer.fill("z");
        return sent || served.downstream.unsentBytes() === Infinity;
      };
      served.downstream.sendData(buffer);
      const early = overwrite();
      served.downstream.flush();
      readOn();
      if (!early) await until(overwrite, "the bytes to have left");
      served.downstream.sendEnd(null);
      assert.equal((await client.answer()).text, "a".repeat(size));
    });
  }
});

/** A client that has asked and does not read, with the exchange. */
async function askWithoutReading(bench: Bench): Promise<{ client: RawClient; served: Served; readOn: () => void }> {
  const { client, tcp } = await bench.connect();
  client.request(GET);
  const served = await bench.nth(0);
  tcp.pause();
  client.socket.pause();
  const readOn = (): void => {
    tcp.resume();
    client.socket.resume();
  };
  return { client, served, readOn };
}
