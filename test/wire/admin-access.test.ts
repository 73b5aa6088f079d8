import assert from "node:assert/strict";
import { once } from "node:events";
import fs from "node:fs";
import net from "node:net";
import path from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { openAdminServer } from "../../src/admin/server.ts";
import type { AdminServer } from "../../src/admin/server.ts";
import { openBearerToken } from "../../src/admin/token.ts";
import { openAdminBench, TOKEN } from "../support/admin-bench.ts";
import { fakeClock, useFolder } from "../support/control-plane.ts";

function open(host: string, tokenFile: string | null): Promise<AdminServer> {
  const nothing = {} as never;
  const options = { port: 0, views: nothing, actions: nothing, clock: fakeClock(), onEvent: () => {} };
  return openAdminServer({ ...options, host, tokenFile });
}

function tokenFileWith(t: TestContext, text: string): string {
  const file = path.join(useFolder(t), "token");
  fs.writeFileSync(file, text);
  return file;
}

for (const host of ["0.0.0.0", "::", "192.0.2.1", "example.org"]) {
  test(`without a token ${host} is refused at the start`, async () => {
    await assert.rejects(
      open(host, null),
      /admin\.address: ".*" can be reached from other machines, which needs a token/,
    );
  });
}

test("with a token every address is allowed", async (t) => {
  const server = await open("0.0.0.0", tokenFileWith(t, TOKEN));
  await server.close();
});

for (const [what, text, expected] of [
  ["too short", "  fifteen-letters  \n", /holds 15 characters; a token has at least 16/],
  ["empty", "\n", /holds 0 characters/],
  ["of two lines", "0123456789abcdef\n0123456789abcdef\n", /more than one line/],
  ["not ASCII", "0123456789abcdefé", /outside of ASCII/],
] as const) {
  test(`a token that is ${what} is refused at the start`, async (t) => {
    await assert.rejects(open("127.0.0.1", tokenFileWith(t, text)), expected);
  });
}

test("a token file that is missing is refused at the start", async (t) => {
  await assert.rejects(
    open("127.0.0.1", path.join(useFolder(t), "none")),
    /admin\.tokenFile: ".*" cannot be read: ENOENT/,
  );
});

for (const [what, authorization] of [
  ["no token", undefined],
  ["another token", "Bearer 0123456789abcdef-another!"],
  ["the beginning of the token", `Bearer ${TOKEN.slice(0, -1)}`],
  ["the token and more", `Bearer ${TOKEN}x`],
  ["an empty token", "Bearer "],
  ["another scheme", `Basic ${TOKEN}`],
  ["the token alone", TOKEN],
] as const) {
  test(`${what} is answered with 401 on every path but the dashboard`, async (t) => {
    const bench = await openAdminBench(t);
    const headers = authorization === undefined ? {} : { authorization };
    for (const [method, target] of [
      ["GET", "/api/v1/status"],
      ["PUT", "/api/v1/kill"],
      ["GET", "/api/v1/events"],
      ["GET", "/api/v1/openapi.json"],
      ["GET", "/api/v1/there-is-nothing-here"],
      ["DELETE", "/api/v1/status"],
    ] as const) {
      const answer = await bench.ask(method, target, { token: null, headers });
      assert.equal(answer.status, 401);
      assert.match(String(answer.headers["www-authenticate"]), /^Bearer realm="crossfade"/);
      assert.equal((answer.json["error"] as { code: string }).code, "unauthorized");
    }
    assert.equal((await bench.ask("GET", "/", { token: null, headers })).status, 200);
    assert.equal(bench.store.current.generation, 1);
  });
}

test("the scheme may be written in any case", async (t) => {
  const bench = await openAdminBench(t);
  const headers = { authorization: `bEARER  ${TOKEN}` };
  assert.equal((await bench.ask("GET", "/api/v1/status", { token: null, headers })).status, 200);
});

test("the comparison takes tokens of any length and content", async (t) => {
  const token = await openBearerToken(tokenFileWith(t, TOKEN), fakeClock(), () => {});
  for (const presented of ["", "x", TOKEN.toUpperCase(), `${TOKEN}\u0000`, "x".repeat(10_000), "ü"]) {
    assert.equal(token.accepts(presented), false);
  }
  assert.equal(token.accepts(TOKEN), true);
});

test("a changed token file counts a second later, and the old token no more", async (t) => {
  const bench = await openAdminBench(t);
  fs.writeFileSync(bench.tokenFile ?? "", "another-token-of-enough-length\n");
  assert.equal((await bench.ask("GET", "/api/v1/status")).status, 200);
  bench.clock.advance(1000);
  assert.equal((await bench.ask("GET", "/api/v1/status")).status, 401);
  const token = "another-token-of-enough-length";
  assert.equal((await bench.ask("GET", "/api/v1/status", { token })).status, 200);
  assert.deepEqual(
    bench.events.map(({ name }) => name),
    ["admin-token-changed"],
  );
});

test("a token file that becomes unusable keeps the token, and says so once", async (t) => {
  const bench = await openAdminBench(t);
  for (const text of ["short", "shorter", TOKEN]) {
    fs.writeFileSync(bench.tokenFile ?? "", text);
    bench.clock.advance(1000);
    assert.equal((await bench.ask("GET", "/api/v1/status")).status, 200);
  }
  assert.deepEqual(
    bench.events.map(({ level, name }) => [level, name]),
    [["warn", "admin-token-unusable"]],
  );
});

for (const host of [
  "evil.example",
  "evil.example:80",
  "127.0.0.1.evil.example",
  "10.0.0.1",
  "[fd00::1]",
  "[::1",
  "localhost:x",
]) {
  test(`without a token Host "${host}" is refused, on the dashboard too`, async (t) => {
    const bench = await openAdminBench(t, { token: false });
    for (const target of ["/", "/api/v1/status"]) {
      const answer = await bench.ask("GET", target, { headers: { host } });
      assert.equal(answer.status, 403);
      assert.equal((answer.json["error"] as { code: string }).code, "host_refused");
    }
  });
}

for (const host of ["127.0.0.1", "127.0.0.1:9901", "localhost:9901", "LOCALHOST", "[::1]:9901", "127.9.9.9"]) {
  test(`without a token Host "${host}" is served`, async (t) => {
    const bench = await openAdminBench(t, { token: false });
    assert.equal((await bench.ask("GET", "/api/v1/status", { headers: { host } })).status, 200);
  });
}

test("without a token a request without Host is refused", async (t) => {
  const bench = await openAdminBench(t, { token: false });
  const socket = net.connect(bench.port, "127.0.0.1");
  t.after(() => socket.destroy());
  socket.end("GET /api/v1/status HTTP/1.0\r\n\r\n");
  const [bytes] = (await once(socket, "data")) as [Buffer];
  assert.match(bytes.toString(), /^HTTP\/1\.1 403 [^]*host_refused/);
});

test("with a token any Host is served, as behind a port forward", async (t) => {
  const bench = await openAdminBench(t);
  assert.equal((await bench.ask("GET", "/api/v1/status", { headers: { host: "sidecar.example" } })).status, 200);
});

for (const [what, headers] of [
  ["of another site", { "sec-fetch-site": "cross-site" }],
  ["of another port of this machine", { "sec-fetch-site": "same-site" }],
  ["with another origin", { origin: "http://evil.example" }],
  ["with this machine's name and another port as origin", { origin: "http://127.0.0.1:1" }],
  ["without an origin of its own", { origin: "null" }],
] as const) {
  for (const token of [true, false]) {
    test(`a web page ${what} is refused ${token ? "with" : "without"} a token`, async (t) => {
      const bench = await openAdminBench(t, { token });
      for (const [method, target] of [
        ["GET", "/api/v1/status"],
        ["PUT", "/api/v1/kill"],
        ["POST", "/api/v1/reload"],
      ] as const) {
        const answer = await bench.ask(method, target, { headers });
        assert.equal(answer.status, 403);
        assert.equal((answer.json["error"] as { code: string }).code, "origin_refused");
      }
      assert.equal(bench.store.current.killed, false);
    });
  }
}

test("the dashboard itself may ask, and a link to it may be followed from anywhere", async (t) => {
  const bench = await openAdminBench(t, { token: false });
  const host = `127.0.0.1:${bench.port}`;
  const own = { host, origin: `http://${host}`, "sec-fetch-site": "same-origin" };
  assert.equal((await bench.ask("PUT", "/api/v1/kill", { headers: own })).status, 200);
  assert.equal((await bench.ask("GET", "/", { headers: { host, "sec-fetch-site": "cross-site" } })).status, 200);
  const typed = { host, "sec-fetch-site": "none" };
  assert.equal((await bench.ask("GET", "/api/v1/status", { headers: typed })).status, 200);
});

for (const type of [
  "text/plain",
  "application/x-www-form-urlencoded",
  "multipart/form-data; boundary=x",
  "application/jsonx",
]) {
  test(`a change sent as ${type} is refused, with a body and without`, async (t) => {
    const bench = await openAdminBench(t, { token: false });
    for (const body of ['{"reason":"x"}', ""]) {
      const answer = await bench.ask("PUT", "/api/v1/kill", { headers: { "content-type": type }, body });
      assert.equal(answer.status, 415);
    }
    assert.equal(bench.store.current.killed, false);
  });
}

test("a body without a content type is refused, one with a charset is served", async (t) => {
  const bench = await openAdminBench(t);
  assert.equal((await bench.ask("PUT", "/api/v1/kill", { body: "{}" })).status, 415);
  const chunked = { "transfer-encoding": "chunked" };
  assert.equal((await bench.ask("PUT", "/api/v1/kill", { headers: chunked })).status, 415);
  const headers = { "content-type": "Application/JSON; charset=utf-8" };
  assert.equal((await bench.ask("PUT", "/api/v1/kill", { headers, body: "{}" })).status, 200);
});

test("the actor is who says so, else how the request got in", async (t) => {
  const actorOf = async (token: boolean, headers: Record<string, string>): Promise<string | undefined> => {
    const bench = await openAdminBench(t, { token });
    await bench.ask("PUT", "/api/v1/kill", { headers });
    return bench.auditLog.read(1)[0]?.actor;
  };
  assert.equal(await actorOf(true, {}), "token");
  assert.equal(await actorOf(false, {}), "local");
  assert.equal(await actorOf(true, { "x-crossfade-actor": "deploy bot/7" }), "deploy bot/7");
});

for (const actor of ["", " ", "-x", "a".repeat(65), "a\tb", '"quoted"', "<b>"]) {
  test(`an actor named ${JSON.stringify(actor)} is refused`, async (t) => {
    const bench = await openAdminBench(t);
    const answer = await bench.ask("PUT", "/api/v1/kill", { headers: { "x-crossfade-actor": actor } });
    assert.equal(answer.status, 400);
    assert.equal(bench.store.current.killed, false);
  });
}
