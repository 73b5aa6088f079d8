import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { startHealthServer } from "../support/grpc-health-server.ts";
import { startHttpUpstream } from "../support/http-upstream.ts";

const SCRIPT = fileURLToPath(new URL("../support/health-process.ts", import.meta.url));

/** Runs the script to its own end; rejects when it has to be killed. */
function run(...targets: readonly string[]): Promise<readonly string[]> {
  const { promise, resolve, reject } = Promise.withResolvers<readonly string[]>();
  execFile(process.execPath, [SCRIPT, ...targets], { timeout: 20_000, killSignal: "SIGKILL" }, (error, stdout) => {
    if (error === null) resolve(JSON.parse(stdout) as readonly string[]);
    else reject(error);
  });
  return promise;
}

test("probes of all kinds, an open Watch included, do not keep the process alive", async (t) => {
  const [http, grpc] = [await startHttpUpstream(t), await startHealthServer(t)];
  const loaded = await run(`http=${http.port}`, `grpc=${grpc.port}`, `tcp=${http.port}`);
  assert.deepEqual(loaded, ["undici", "@grpc/grpc-js"]);
  assert.ok(grpc.calls.some((call) => call.method === "watch"));
});

test("what a kind of probe needs is loaded by the first check of that kind", async (t) => {
  const http = await startHttpUpstream(t);
  assert.deepEqual(await run(`tcp=${http.port}`), []);
  assert.deepEqual(await run(`http=${http.port}`), ["undici"]);
});
