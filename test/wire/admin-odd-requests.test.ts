import assert from "node:assert/strict";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { openAdminBench, TOKEN } from "../support/admin-bench.ts";
import type { AdminBench } from "../support/admin-bench.ts";
import { connectRaw } from "../support/raw-client.ts";
import { until } from "../support/until.ts";

const AUTH = `authorization: Bearer ${TOKEN}`;

/** The first status line that the server answers to these bytes; "" when it only closes. */
async function statusOf(t: TestContext, bench: AdminBench, bytes: string): Promise<string> {
  const client = await connectRaw(t, bench.port);
  let heard = "";
  client.socket.on("data", (chunk: Buffer) => {
    heard += chunk.toString("latin1");
  });
  client.socket.write(bytes);
  await until(() => heard.includes("\r\n") || client.state !== "open", "an answer or the end");
  return heard.split("\r\n")[0] ?? "";
}

const odd: readonly (readonly [string, string, RegExp])[] = [
  ["no HTTP at all", "hello\r\n\r\n", /^HTTP\/1\.1 400 /],
  [
    "two lengths",
    "PUT /api/v1/kill HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
    /^HTTP\/1\.1 400 /,
  ],
  ["a head that is too large", `GET / HTTP/1.1\r\nhost: a\r\nx: ${"y".repeat(20_000)}\r\n\r\n`, /^HTTP\/1\.1 431 /],
  ["a tunnel", "CONNECT a:1 HTTP/1.1\r\nhost: a\r\n\r\n", /^$/],
  [
    "an upgrade",
    `GET /api/v1/status HTTP/1.1\r\nhost: a\r\n${AUTH}\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n`,
    /^HTTP\/1\.1 200 /,
  ],
  ["the server as a whole", `OPTIONS * HTTP/1.1\r\nhost: a\r\n${AUTH}\r\n\r\n`, /^HTTP\/1\.1 400 /],
  ["another method", `BREW /api/v1/kill HTTP/1.1\r\nhost: a\r\n${AUTH}\r\n\r\n`, /^HTTP\/1\.1 40\d /],
  ["a long path", `GET /${"a/".repeat(4000)} HTTP/1.1\r\nhost: a\r\n${AUTH}\r\n\r\n`, /^HTTP\/1\.1 404 /],
];

for (const [what, bytes, expected] of odd) {
  test(`${what} is answered or closed, and the next caller is served`, async (t) => {
    const bench = await openAdminBench(t);
    assert.match(await statusOf(t, bench, bytes), expected);
    assert.equal((await bench.ask("GET", "/api/v1/status")).status, 200);
    assert.equal(bench.store.current.generation, 1);
  });
}
