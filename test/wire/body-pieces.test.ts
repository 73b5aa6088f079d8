import assert from "node:assert/strict";
import { test } from "node:test";
import { describeEngines } from "../support/downstream-bench.ts";
import type { Served } from "../support/served.ts";

const SIZE = 1_048_576;

describeEngines("the pieces of a request body", (open) => {
  test("belong to the road: what is read later, here or for another client, never changes them", async (t) => {
    const copies = new Map<Served, Buffer[]>();
    const bench = await open(t, {
      onRequest: (served) => {
        const own: Buffer[] = [];
        copies.set(served, own);
        served.whenBody = () => own.push(Buffer.from(served.pieces.at(-1) as Buffer));
      },
    });
    const head = `POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${SIZE}\r\n\r\n`;
    const clients = await Promise.all([bench.ask(head), bench.ask(head)]);
    for (let sent = 0; sent < SIZE; sent += 32_768) {
      for (const [which, client] of clients.entries()) {
        // A byte of its own for each client and each place.
        client.send(Buffer.alloc(32_768, (which * 64 + sent / 32_768) % 256));
      }
    }
    for (const index of [0, 1]) {
      const served = await bench.nth(index);
      await served.hears("body-end");
      const own = copies.get(served) ?? [];
      assert.equal(served.bytes, SIZE);
      assert.ok(served.pieces.every((piece, i) => piece.equals(own[i] as Buffer)));
    }
  });
});
