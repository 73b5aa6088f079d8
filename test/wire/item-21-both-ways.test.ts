import assert from "node:assert/strict";
import net from "node:net";
import test from "node:test";
import { proxyTo } from "../support/configs.ts";
import { startRawUpstream } from "../support/raw-upstream.ts";
import { fileScope } from "../support/scope.ts";
import { useSidecar } from "../support/sidecar.ts";
import { changed, until, untilQuiet } from "../support/until.ts";

const MIB = 1_048_576;
const UPLOAD_MIB = 64;
/** What kernels and both sides' buffers may hold of an answer that nobody reads. */
const HELD_LIMIT = 24 * MIB;

const upstream = await startRawUpstream(fileScope);
upstream.onRequest = null;
const sidecar = await useSidecar(fileScope, proxyTo(upstream.url));

test("an answer that is not read does not pile up because the upload beside it flows", async (t) => {
  let accepted = 0;
  let finished = false;
  const block = Buffer.alloc(MIB / 4, "a");
  // Slower than the client, so that the upload is held back and let go all the time.
  upstream.onConnection = ({ socket }) => {
    socket.on("data", () => {
      socket.pause();
      setImmediate(() => setImmediate(() => socket.resume()));
    });
  };
  upstream.onHead = ({ connection }) => {
    connection.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    const more = (): void => {
      while (accepted < UPLOAD_MIB * MIB) {
        accepted += block.length;
        connection.send(`${block.length.toString(16)}\r\n`);
        connection.send(block);
        if (!connection.send("\r\n")) return void connection.socket.once("drain", more);
      }
      finished = true;
    };
    more();
  };
  const client = net.connect(sidecar.port, "127.0.0.1");
  t.after(() => client.destroy());
  client.pause();
  client.write(`POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: ${UPLOAD_MIB * MIB}\r\n\r\n`);
  let sent = 0;
  const push = (): void => {
    while (sent < UPLOAD_MIB * MIB) {
      sent += block.length;
      if (!client.write(block)) return void client.once("drain", push);
    }
    client.once("drain", changed);
  };
  push();
  await until(() => sent === UPLOAD_MIB * MIB && client.writableLength === 0, "the whole upload to leave", {
    deadlineMs: 30_000,
  });
  await untilQuiet(() => accepted, 200);
  t.diagnostic(`${Math.round(accepted / MIB)} MiB of the answer taken beside an upload of ${UPLOAD_MIB} MiB`);
  assert.equal(finished, false);
  assert.ok(accepted < HELD_LIMIT, `${accepted} bytes taken`);
});
