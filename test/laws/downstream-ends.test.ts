import assert from "node:assert/strict";
import { test } from "node:test";
import { describeEngines, type Bench, type Caller, type OpenBench } from "../support/downstream-bench.ts";
import { header } from "../support/message-reader.ts";
import { requestText } from "../support/raw-client.ts";
import type { Scope } from "../support/scope.ts";
import type { Served } from "../support/served.ts";
import { until, untilQuiet } from "../support/until.ts";

const MIB = 1_048_576;
const GET = requestText("GET", "/");
const WINDOW_MS = 150;
const GONE = /^gone (client-gone|malformed-request)$/;

interface Moment {
  readonly bench: Bench;
  readonly caller: Caller;
  readonly served: Served;
}

async function asked(t: Scope, open: OpenBench, text: string): Promise<Moment> {
  const bench = await open(t);
  const caller = await bench.connect();
  caller.client.request(text);
  return { bench, caller, served: await bench.nth(0) };
}

/** Where an exchange may stand when its client leaves. */
const MOMENTS: Readonly<Record<string, (t: Scope, open: OpenBench) => Promise<Moment>>> = {
  "while it waits": (t, open) => asked(t, open, GET),
  "with another request behind": (t, open) => asked(t, open, GET + GET),
  "after an interim answer": async (t, open) => {
    const moment = await asked(t, open, GET);
    moment.served.downstream.sendInformation(103, ["link", "</a>"]);
    await moment.caller.client.interim();
    return moment;
  },
  "inside its body": async (t, open) => {
    const moment = await asked(t, open, `${requestText("POST", "/", ["Content-Length: 100"])}hello`);
    await until(() => moment.served.bytes === 5, "the first bytes of the body");
    return moment;
  },
  "inside its chunked body": async (t, open) => {
    const moment = await asked(t, open, `${requestText("POST", "/", ["Transfer-Encoding: chunked"])}5\r\nhello\r\n`);
    await until(() => moment.served.bytes === 5, "the first bytes of the body");
    return moment;
  },
  "inside the answer": async (t, open) => {
    const moment = await asked(t, open, GET);
    moment.served.sendHead(200);
    moment.served.downstream.sendData("hello");
    moment.served.downstream.flush();
    await moment.caller.client.bodyBytes(5);
    return moment;
  },
  "before it has read a whole answer": async (t, open) => {
    const moment = await asked(t, open, GET);
    moment.served.sendHead(200, ["content-length", String(32 * MIB)]);
    moment.caller.client.socket.pause();
    moment.served.downstream.sendData(Buffer.alloc(32 * MIB));
    moment.served.downstream.sendEnd(null);
    return moment;
  },
};

const WAYS: Readonly<Record<string, (caller: Caller) => void>> = {
  closes: ({ client }) => client.destroy(),
  resets: ({ tcp }) => void tcp.resetAndDestroy(),
  "half-closes": ({ client }) => client.halfClose(),
};

describeEngines("a client that leaves", (open) => {
  for (const [moment, reach] of Object.entries(MOMENTS)) {
    for (const [way, leave] of Object.entries(WAYS)) {
      // One that half-closes and does not read looks like one that reads slowly.
      if (way === "half-closes" && moment.startsWith("before")) continue;
      test(`${moment}, and ${way}, is told gone, once, and what the road still says goes nowhere`, async (t) => {
        const { bench, caller, served } = await reach(t, open);
        leave(caller);
        // A body that a FIN cuts is as well no HTTP, and then the road has the word.
        await until(() => GONE.test(served.heard.at(-1) ?? ""), "the end of the exchange");
        if (served.heard.at(-1) !== "gone client-gone") served.abort();
        served.downstream.sendData("to nobody");
        served.downstream.resumeBody();
        served.downstream.flush();
        served.downstream.sendEnd(null);
        served.downstream.abort();
        await until(() => bench.connections.open === 0, "the connection to be counted out");
        served.assertLaws();
      });
    }
  }

  test("after its answer has left is told nothing", async (t) => {
    const { bench, caller, served } = await asked(t, open, GET);
    served.answer("ok");
    await caller.client.answer();
    await served.hears("sent");
    caller.client.destroy();
    await until(() => bench.connections.open === 0, "the connection to be counted out");
    assert.equal(served.story, "body-end, sent");
  });

  test("inside the next head takes nothing with it", async (t) => {
    const { bench, caller, served } = await asked(t, open, GET);
    served.answer("ok");
    await caller.client.answer();
    await caller.client.flush("GET / HTTP/1.1\r\nHost:");
    caller.client.destroy();
    await until(() => bench.connections.open === 0, "the connection to be counted out");
    assert.equal(bench.served.length, 1);
    assert.equal(served.story, "body-end, sent");
  });
});

describeEngines("an exchange that is aborted", (open, { secured }) => {
  for (const [name, text, headers] of [
    ["of known length", GET, ["content-length", "50"]],
    ["of unknown length", GET, []],
    ["to HTTP/1.0", "GET / HTTP/1.0\r\n\r\n", []],
  ] as const) {
    test(`in the middle of an answer ${name} cannot be taken for whole`, async (t) => {
      const { bench, caller, served } = await asked(t, open, text);
      served.sendHead(200, headers);
      served.downstream.sendData("hello");
      served.downstream.flush();
      await caller.client.bodyBytes(5);
      served.abort();
      const how = await caller.client.closed();
      // Over TLS it is the missing close_notify that tells, which Node's client does not report.
      if (!secured || !name.endsWith("1.0")) assert.equal((await caller.client.answer()).complete, false);
      if (!secured && name.endsWith("1.0")) assert.equal(how, "reset");
      await until(() => bench.connections.open === 0, "the connection to be counted out");
      served.assertLaws();
    });
  }

  test("before its answer sends nothing", async (t) => {
    const { bench, caller, served } = await asked(t, open, GET + GET);
    served.abort();
    await caller.client.closed();
    assert.equal(caller.client.text(), "");
    await until(() => bench.connections.open === 0, "the connection to be counted out");
    assert.equal(bench.served.length, 1, "what was behind it is not begun");
  });
});

describeEngines("a client that is too slow", (openBench, { secured }) => {
  const open: OpenBench = (t) => openBench(t, { limits: { bodyIdleTimeoutMs: WINDOW_MS } });

  test("with its body is told, and still gets its answer, with which its connection ends", async (t) => {
    const { caller, served } = await asked(t, open, `${requestText("POST", "/", ["Content-Length: 100"])}hello`);
    await served.hears("gone request-timeout");
    served.answer("too slow", { close: true });
    const answer = await caller.client.answer();
    assert.deepEqual([answer.text, header(answer, "connection")], ["too slow", "close"]);
    await caller.client.closed();
    assert.equal(served.story, "body, gone request-timeout, sent");
  });

  test("because its body is paused is not to blame", async (t) => {
    const { bench, caller, served } = await asked(t, open, `${requestText("POST", "/", ["Content-Length: 10"])}hello`);
    await until(() => served.bytes === 5, "the first bytes of the body");
    served.downstream.pauseBody();
    // Another client's window, begun later, is the clock.
    const other = await bench.ask(`${requestText("POST", "/", ["Content-Length: 100"])}hello`);
    await (await bench.nth(1)).hears("gone request-timeout");
    other.destroy();
    assert.equal(served.story, "body");
    served.downstream.resumeBody();
    caller.client.send("world");
    await served.hears("body-end");
    served.answer("ok");
    assert.equal((await caller.client.answer()).text, "ok");
  });

  test("with its answer is told, and can be cut off", async (t) => {
    const { bench, caller, served } = await asked(t, open, GET);
    caller.tcp.pause();
    caller.client.socket.pause();
    served.sendHead(200, ["content-length", String(64 * MIB)]);
    served.pour(64 * MIB);
    await served.hears("gone request-timeout");
    served.abort();
    await until(() => bench.connections.open === 0, "the connection to be counted out");
    caller.tcp.resume();
    caller.client.socket.resume();
    await caller.client.closed();
    if (!secured) assert.equal((await caller.client.answer()).complete, false);
  });

  test("is none who waits for an answer that takes long", async (t) => {
    const { bench, caller, served } = await asked(t, open, GET);
    const other = await bench.ask(`${requestText("POST", "/", ["Content-Length: 100"])}hello`);
    await (await bench.nth(1)).hears("gone request-timeout");
    other.destroy();
    served.answer("at last");
    assert.equal((await caller.client.answer()).text, "at last");
  });
});

describeEngines("a body that breaks off", (open) => {
  test("into no HTTP is told, and the answer to it ends the connection", async (t) => {
    const text = `${requestText("POST", "/", ["Transfer-Encoding: chunked"])}5\r\nhello\r\n`;
    const { caller, served } = await asked(t, open, text);
    await until(() => served.text === "hello", "the first chunk");
    caller.client.send(`-5\r\nhello\r\n0\r\n\r\n${GET}`);
    await served.hears("gone malformed-request");
    served.answer("no HTTP", { close: true });
    assert.equal((await caller.client.answer()).text, "no HTTP");
    await caller.client.closed();
    await untilQuiet(() => served.heard.length, 20);
    served.assertLaws();
  });

  test("into no HTTP behind the beginning of its answer can only be cut", async (t) => {
    const text = `${requestText("POST", "/", ["Transfer-Encoding: chunked"])}5\r\nhello\r\n`;
    const { caller, served } = await asked(t, open, text);
    served.sendHead(200);
    served.downstream.sendData("begun");
    served.downstream.flush();
    await caller.client.bodyBytes(5);
    caller.client.send("-5\r\n");
    await served.hears("gone malformed-request");
    served.abort();
    await caller.client.closed();
    assert.equal((await caller.client.answer()).complete, false);
  });
});
