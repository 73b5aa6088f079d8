import assert from "node:assert/strict";
import { test } from "node:test";
import { readFacts } from "../../src/model/request-facts.ts";
import { describeEngines } from "../support/downstream-bench.ts";
import { requestText, type RawClient } from "../support/raw-client.ts";
import { until, untilQuiet } from "../support/until.ts";

const MIB = 1_048_576;

describeEngines("a request", (openBench, { engine, secured }) => {
  test("is told with its head as it was sent", async (t) => {
    const bench = await openBench(t);
    await bench.ask(
      "DELETE /a%20b/../c?x=%00&y HTTP/1.1\r\nHost: a.test\r\nX-Odd-CASE:  two  blanks \t\r\nx-odd-case: again\r\nX-Empty:\r\nX-Obs: caf\xe9\r\n\r\n",
    );
    const { head, downstream } = await bench.nth(0);
    const { facts, headers, method, target, majorVersion, minorVersion, peerAddress, localPort, encrypted } = head;
    const told = { method, target, majorVersion, minorVersion, peerAddress, localPort, encrypted };
    assert.deepEqual(told, {
      method: "DELETE",
      target: "/a%20b/../c?x=%00&y",
      majorVersion: 1,
      minorVersion: 1,
      peerAddress: "127.0.0.1",
      localPort: bench.listener.port,
      encrypted: secured,
    });
    assert.deepEqual(headers, [
      "Host",
      "a.test",
      "X-Odd-CASE",
      "two  blanks",
      "x-odd-case",
      "again",
      "X-Empty",
      "",
      "X-Obs",
      "caf\xe9",
    ]);
    assert.equal(downstream.lane, engine);
    if (facts !== null) assert.deepEqual(facts, readFacts({ ...head, facts: null }));
  });

  test("brings facts, if any, that the model reads out of its head too", async (t) => {
    const bench = await openBench(t, { onRequest: (served) => served.answer("") });
    const fields = [
      ["Connection: close, X-A", "Via: 1.0 a", "via: 1.1 b", "Cookie: a=1", "cookie: b=2", "TE: trailers"],
      ["X-Request-ID: 1", "X-Forwarded-For: 1.1.1.1", "x-forwarded-for: 2.2.2.2", "X-Forwarded-Proto: https"],
      ["traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "X-Forwarded-Host: b.test"],
      ["X-Request-Id: 1", "x-request-id: 2", "traceparent: 1", "traceparent: 2", "X-Forwarded-Port: 1"],
      ["Max-Forwards: 3", "Trailer: X-Sum", "Transfer-Encoding: chunked"],
    ];
    for (const [i, lines] of fields.entries()) {
      const body = lines.includes("Transfer-Encoding: chunked") ? "0\r\n\r\n" : "";
      const target = `/p;q/%7e?a=1&b=%20&n=${i}`;
      await (await bench.ask(requestText("OPTIONS", target, lines) + body)).answer();
      const { head } = await bench.nth(i);
      if (head.facts !== null) assert.deepEqual(head.facts, readFacts({ ...head, facts: null }));
    }
  });

  test("of HTTP/1.0 says so", async (t) => {
    const bench = await openBench(t);
    await bench.ask("GET / HTTP/1.0\r\n\r\n");
    const { head } = await bench.nth(0);
    assert.deepEqual([head.majorVersion, head.minorVersion, head.headers], [1, 0, []]);
  });

  for (const [name, fields] of [
    ["without framing", []],
    ["of length 0", ["Content-Length: 0"]],
  ] as const) {
    test(`${name} has a body that ends at once`, async (t) => {
      const bench = await openBench(t);
      await bench.ask(requestText("POST", "/", fields));
      const served = await bench.nth(0);
      await served.hears("body-end");
      assert.deepEqual(served.heard, ["body-end"]);
    });
  }

  test("in two packets, cut anywhere, is the same request", async (t) => {
    const bench = await openBench(t, { onRequest: (served) => (served.whenEnded = () => served.answer("ok")) });
    const text = `${requestText("POST", "/cut", ["Transfer-Encoding: chunked"])}3\r\nabc\r\n0\r\nX-T: 1\r\n\r\n`;
    const { client } = await bench.connect();
    for (let at = 1; at < text.length; at++) {
      await client.flush(text.slice(0, at));
      await new Promise(setImmediate);
      client.send(text.slice(at));
      assert.equal((await client.answer()).text, "ok", `cut at ${at}`);
      const served = await bench.nth(at - 1);
      assert.deepEqual([served.head.target, served.text, served.trailers], ["/cut", "abc", ["X-T", "1"]]);
    }
  });

  test("says so when its head brought nothing of its body, and not when it did", async (t) => {
    const bench = await openBench(t, { onRequest: (served) => (served.whenEnded = () => served.answer("ok")) });
    const client = await bench.ask(requestHead(5));
    await (await bench.nth(0)).hears("body-waits");
    client.send("hello");
    await client.answer();
    client.request(`${requestHead(5)}hello`);
    await client.answer();
    client.request(requestText("GET", "/"));
    await client.answer();
    const waits = bench.served.map(({ heard }) => heard.filter((what) => what === "body-waits").length);
    assert.deepEqual(waits, [1, 0, 0]);
  });

  test("does not say so when its head brought the beginning of its body", async (t) => {
    const bench = await openBench(t);
    const client = await bench.ask(`${requestHead(5)}he`);
    const served = await bench.nth(0);
    await until(() => served.bytes === 2, "the first piece");
    await new Promise(setImmediate);
    client.send("llo");
    await served.hears("body-end");
    assert.ok(!served.heard.includes("body-waits"), served.heard.join());
  });

  test("gives its body byte for byte, in order, and ends it once", async (t) => {
    const bench = await openBench(t);
    const body = Buffer.from(Array.from({ length: 100_000 }, (_, i) => (i * 7) % 256)).toString("latin1");
    const client = await bench.ask(requestHead(body.length));
    for (let at = 0; at < body.length; at += 9_999) await client.flush(body.slice(at, at + 9_999));
    const served = await bench.nth(0);
    await served.hears("body-end");
    assert.equal(served.text, body);
    assert.equal(served.story, "body, body-end");
    assert.equal(served.trailers, null);
  });

  test("gives chunks without their framing, and trailers with the end", async (t) => {
    const bench = await openBench(t);
    const client = await bench.ask(requestText("POST", "/", ["Transfer-Encoding: chunked"]));
    for (const piece of ["5;ext=1\r\nhello\r\n", "A\r", "\n0123", "456789\r\n0\r\nX-Sum:", " 1\r\nx-sum: 2\r\n\r\n"]) {
      await client.flush(piece);
    }
    const served = await bench.nth(0);
    await served.hears("body-end");
    assert.equal(served.text, "hello0123456789");
    assert.deepEqual(served.trailers, ["X-Sum", "1", "x-sum", "2"]);
    assert.equal(served.story, "body, body-end");
  });

  test("with an Expect is told at its head, and the body when it comes", async (t) => {
    const bench = await openBench(t);
    const client = await bench.ask(requestText("POST", "/", ["Expect: 100-continue", "Content-Length: 5"]));
    const served = await bench.nth(0);
    assert.equal(client.text(), "", "whether to go on is not the engine's decision");
    served.downstream.sendInformation(100, []);
    assert.equal((await client.interim()).status, 100);
    client.send("hello");
    await served.hears("body-end");
    served.answer("thanks");
    assert.equal((await client.answer()).text, "thanks");
    assert.equal(served.text, "hello");
  });

  test("whose body is paused stops the client within a bounded number of bytes, and goes on when resumed", async (t) => {
    const bench = await openBench(t);
    const size = 64 * MIB;
    const client = await bench.ask(requestHead(size));
    const served = await bench.nth(0);
    served.whenBody = () => served.downstream.pauseBody();
    const sent = pump(client, size);
    await until(() => served.bytes > 0, "the first piece");
    await untilQuiet(() => served.bytes + sent.bytes, 100);
    assert.ok(served.bytes <= MIB, `${served.bytes} bytes came before the pause took hold`);
    assert.ok(sent.bytes < size, "the client is held back");
    served.whenBody = null;
    served.downstream.resumeBody();
    await until(() => served.bytes === size, "the whole body", { deadlineMs: 20_000 });
    await served.hears("body-end");
  });

  test("behind another on its connection begins when that one's answer has left", async (t) => {
    const order: string[] = [];
    const bench = await openBench(t, {
      onRequest: ({ head }) => order.push(`begins ${head.target}`),
    });
    const texts = [requestText("GET", "/1"), requestText("POST", "/2", [], "hello"), requestText("GET", "/3")];
    const client = await bench.ask(texts.join(""));
    for (const index of [0, 1, 2]) {
      const served = await bench.nth(index);
      await served.hears("body-end");
      await untilQuiet(() => bench.served.length, 20);
      assert.equal(bench.served.length, index + 1, "one at a time");
      order.push(`answers ${served.head.target}`);
      served.answer(`for ${served.head.target}`);
      assert.equal((await client.answer()).text, `for ${served.head.target}`);
    }
    const targets = ["/1", "/2", "/3"];
    assert.deepEqual(
      order,
      targets.flatMap((target) => [`begins ${target}`, `answers ${target}`]),
    );
    assert.deepEqual(
      bench.served.map(({ text }) => text),
      ["", "hello", ""],
    );
  });
});

function requestHead(length: number): string {
  return requestText("POST", "/", [`Content-Length: ${length}`]);
}

/** Sends `size` bytes as fast as they are taken; `bytes` says how many the sockets have accepted. */
function pump(client: RawClient, size: number): { bytes: number } {
  const sent = { bytes: 0 };
  const piece = Buffer.alloc(262_144, "x");
  const push = (): void => {
    while (sent.bytes < size) {
      sent.bytes += piece.length;
      if (!client.socket.write(piece)) return void client.socket.once("drain", push);
    }
  };
  push();
  return sent;
}
