import assert from "node:assert/strict";
import type { Duplex } from "node:stream";
import { test } from "node:test";
import type tls from "node:tls";
import { describeEngines, tlsMaterial } from "../support/downstream-bench.ts";
import { requestText } from "../support/raw-client.ts";
import { until, untilQuiet } from "../support/until.ts";

const MIB = 1_048_576;
const GET = requestText("GET", "/");
const SHORT_MS = 120;

describeEngines("a listener", (open, { secured }) => {
  test("counts connections in and out", async (t) => {
    const bench = await open(t, { onRequest: (served) => served.answer("ok") });
    const callers = await Promise.all([bench.connect(), bench.connect(), bench.connect()]);
    await until(() => bench.connections.open === 3, "three connections");
    // Who leaves before our side has finished its handshake is only noticed at the end of the time for that.
    for (const { client } of callers) await client.exchange(GET);
    callers[0]?.client.destroy();
    callers[1]?.tcp.resetAndDestroy();
    callers[2]?.client.halfClose();
    await until(() => bench.connections.open === 0, "none");
    assert.equal(bench.connections.total, 3);
  });

  test("gives a connection up to its limit and no further, and again when one is free", async (t) => {
    const bench = await open(t, { limits: { maxConnections: 2 }, onRequest: (served) => served.answer("ok") });
    const [first, second] = [await bench.ask(GET), await bench.ask(GET)];
    assert.deepEqual([(await first.answer()).text, (await second.answer()).text], ["ok", "ok"]);
    const third = await bench.connect();
    third.client.request(GET);
    await third.client.closed();
    assert.equal(third.client.text(), "");
    first.destroy();
    await until(() => bench.connections.open === 1, "one to be free");
    assert.equal((await (await bench.ask(GET)).answer()).text, "ok");
  });

  for (const [name, text, kind] of [
    ["that is no HTTP", "\x01\x02\x03\x04\r\n\r\n", "malformed-request"],
    ["with a field that is none", "GET / HTTP/1.1\r\nHost: a.test\r\nno colon\r\n\r\n", "malformed-request"],
    ["with blanks before a colon", "GET / HTTP/1.1\r\nHost: a.test\r\nX-A : b\r\n\r\n", "malformed-request"],
    ["beyond the limit", `GET / HTTP/1.1\r\nX: ${"a".repeat(20_000)}\r\n\r\n`, "header-too-large"],
    ["that never ends", `GET / HTTP/1.1\r\n${"X-Field: value of it\r\n".repeat(2_000)}`, "header-too-large"],
    ["of a method that opens tunnels", "CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\n\r\n", "method-refused"],
  ] as const) {
    test(`refuses a head ${name}, in the road's words, and ends the connection`, async (t) => {
      const bench = await open(t);
      const client = await bench.ask(text);
      assert.equal((await client.answer()).text, kind);
      await client.closed();
      assert.deepEqual([bench.served.length, bench.refusals], [0, [`${kind} from 127.0.0.1`]]);
    });
  }

  test("answers what came before a broken head first", async (t) => {
    const bench = await open(t);
    const client = await bench.ask(`${GET}broken\r\n\r\n`);
    const served = await bench.nth(0);
    await untilQuiet(() => client.bytes().length, 20);
    served.answer("first");
    assert.deepEqual([(await client.answer()).text, (await client.answer()).text], ["first", "malformed-request"]);
    await client.closed();
    assert.equal(served.story, "body-end, sent");
  });

  test("ends a connection whose head does not come in time, also the second one", async (t) => {
    const bench = await open(t, { limits: { headerTimeoutMs: SHORT_MS } });
    const slow = await bench.ask("GET / HTTP/1.1\r\nHost: a");
    assert.equal((await slow.answer()).text, "request-timeout");
    await slow.closed();
    const second = await bench.ask(GET);
    (await bench.nth(0)).answer("ok");
    assert.equal((await second.answer()).text, "ok");
    second.send("GET / HTTP/1.1\r\nHost: a");
    assert.equal((await second.answer()).text, "request-timeout");
    await second.closed();
  });

  test("ends a connection on which nothing is ever said", async (t) => {
    const bench = await open(t, { limits: { headerTimeoutMs: SHORT_MS } });
    const { client } = await bench.connect();
    await client.closed();
    assert.equal(bench.served.length, 0);
    assert.ok(client.finalCount() <= 1);
  });

  test("closes a connection that has served and is idle too long, with no word; a busy one stays", async (t) => {
    const bench = await open(t, { limits: { keepAliveTimeoutMs: SHORT_MS } });
    const busy = await bench.ask(GET);
    const served = await bench.nth(0);
    const idle = await bench.ask(GET);
    (await bench.nth(1)).answer("ok");
    await idle.answer();
    const length = idle.bytes().length;
    assert.equal(await idle.closed(), "fin");
    assert.equal(idle.bytes().length, length);
    served.answer("at last");
    assert.equal((await busy.answer()).text, "at last");
  });

  test("takes new limits for the connections that come", async (t) => {
    const bench = await open(t, { onRequest: (served) => served.answer("ok") });
    bench.listener.update({ ...bench.limits, keepAliveTimeoutMs: SHORT_MS }, null);
    const client = await bench.ask(GET);
    await client.answer();
    assert.equal(await client.closed(), "fin");
  });

  if (secured) {
    test("shows a new certificate to the connections that come", async (t) => {
      const bench = await open(t);
      const nameOf = async (): Promise<unknown> => {
        const { client } = await bench.connect();
        return (client.socket as tls.TLSSocket).getPeerCertificate().subject.CN;
      };
      assert.equal(await nameOf(), "first");
      bench.listener.update(bench.limits, tlsMaterial("second"));
      assert.equal(await nameOf(), "second");
    });
  }

  test("is refused an address that is taken, and says which", async (t) => {
    const bench = await open(t);
    await assert.rejects(open(t, { port: bench.listener.port }), new RegExp(`127.0.0.1.* port ${bench.listener.port}`));
  });

  test("gives an upgrade that is wanted to the road, with what came behind it", async (t) => {
    let tunnel: { target: string; socket: Duplex; early: string } | null = null;
    const bench = await open(t, {
      wantsTunnel: ({ headers }) => headers.includes("websocket"),
      onTunnel: ({ target }, socket, early) => {
        tunnel = { target, socket, early: early.toString("latin1") };
        socket.on("data", (piece: Buffer) => socket.write(`echo ${piece.toString("latin1")}`));
        socket.write("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n");
      },
    });
    const upgrade = (what: string): string => requestText("GET", "/up", ["Connection: upgrade", `Upgrade: ${what}`]);
    const client = await bench.ask(`${upgrade("websocket")}early`);
    await until(() => tunnel, "the tunnel");
    assert.deepEqual([tunnel?.["target"], tunnel?.["early"]], ["/up", "early"]);
    await until(() => client.reader.tunnel, "the switch");
    client.send("bytes");
    await until(() => client.text().endsWith("echo bytes"), "the echo");
    const other = await bench.ask(upgrade("h2c"));
    (await bench.nth(0)).answer("plain");
    assert.equal((await other.answer()).text, "plain");
  });
});

describeEngines("a listener that stops accepting", (open) => {
  test("takes no connection more, closes idle ones, and busy ones after their answer", async (t) => {
    const bench = await open(t);
    const idle = await bench.ask(GET);
    (await bench.nth(0)).answer("ok");
    await idle.answer();
    const busy = await bench.ask(GET);
    const served = await bench.nth(1);
    bench.listener.stopAccepting();
    assert.equal(await idle.closed(), "fin");
    const late = await bench.connect();
    assert.notEqual(late.client.state, "open");
    assert.equal(busy.state, "open");
    served.answer("the last");
    assert.equal((await busy.answer()).text, "the last");
    await busy.closed();
    await bench.listener.closed;
    assert.equal(served.story, "body-end, sent");
  });

  test("lets a body come to its end and a slow reader read", async (t) => {
    const bench = await open(t);
    const { client, tcp } = await bench.connect();
    client.request(`${requestText("POST", "/", ["Content-Length: 10"])}hello`);
    const served = await bench.nth(0);
    bench.listener.stopAccepting();
    await untilQuiet(() => bench.connections.open, 100);
    client.send("world");
    await served.hears("body-end");
    tcp.pause();
    client.socket.pause();
    served.sendHead(200, ["content-length", String(16 * MIB)]);
    served.downstream.sendData(Buffer.alloc(16 * MIB));
    served.downstream.sendEnd(null);
    await untilQuiet(() => bench.connections.open, 100);
    tcp.resume();
    client.socket.resume();
    assert.equal((await client.answer(20_000)).complete, true);
    await bench.listener.closed;
  });

  test("and is destroyed ends every exchange", async (t) => {
    const bench = await open(t);
    const client = await bench.ask(GET);
    const served = await bench.nth(0);
    bench.listener.destroy();
    await bench.listener.closed;
    await client.closed();
    await served.hears("gone client-gone");
  });
});
