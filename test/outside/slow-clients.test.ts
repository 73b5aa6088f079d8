import assert from "node:assert/strict";
import fs from "node:fs";
import http from "node:http";
import path from "node:path";
import { setInterval } from "node:timers/promises";
import type { TestContext } from "node:test";
import { proxyTo } from "../support/configs.ts";
import { startHttpUpstream } from "../support/http-upstream.ts";
import type { Scope } from "../support/scope.ts";
import { useSidecar, type Sidecar } from "../support/sidecar.ts";
import { until } from "../support/until.ts";
import { connectionsHeld, findTool, runTool, testWith, useFolder } from "./tools.ts";

const SLOWHTTPTEST = findTool("slowhttptest");
/** Slow readers are fewer: each costs us a socket buffer full of answer, and a CPU that has to fill it. */
const CONNECTIONS = { "-H": 200, "-B": 200, "-X": 100 };
/** The attack goes on for this long, unless all its connections are ended before. */
const ATTACK_S = 15;
const BIG = Buffer.alloc(8 << 20, "a");

testWith([SLOWHTTPTEST], "slow heads (slowhttptest -H) hold no connection", 60_000, async (t, [tool = ""]) => {
  await attack(t, tool, "-H", "/", ["-i", "1"]);
});

testWith([SLOWHTTPTEST], "slow bodies (slowhttptest -B) hold no connection", 60_000, async (t, [tool = ""]) => {
  await attack(t, tool, "-B", "/", ["-i", "1", "-s", "8192", "-x", "4"]);
});

testWith(
  [SLOWHTTPTEST],
  "slow readers (slowhttptest -X) of three pipelined answers hold no connection",
  60_000,
  async (t, [tool = ""]) => {
    await attack(t, tool, "-X", "/big", ["-w", "512", "-y", "1024", "-n", "5", "-z", "32", "-k", "3"]);
  },
);

/** One second of the attack, from the tool's own report. */
interface Second {
  readonly connected: number;
  readonly available: boolean;
}

/** What our own callers saw while it went on. */
interface Probe {
  readonly status: number | string;
  readonly tookMs: number;
  /** Connections that the sidecar's port held when it began. */
  readonly held: number;
}

async function attack(
  t: TestContext,
  tool: string,
  mode: keyof typeof CONNECTIONS,
  target: string,
  options: readonly string[],
): Promise<void> {
  const connections = CONNECTIONS[mode];
  const sidecar = await startTarget(t);
  const report = path.join(useFolder(t), "report");
  const over = new AbortController();
  const probing = probeUntil(sidecar, over.signal);
  const size = ["-c", String(connections), "-r", String(connections), "-l", String(ATTACK_S)];
  const output = ["-p", "2", "-g", "-o", report];
  const args = [mode, ...options, ...size, ...output, "-u", `${sidecar.url}${target}`];
  const { stdout } = await runTool(tool, args, { deadlineMs: 40_000 });
  over.abort();
  const probes = await probing;
  const seconds = secondsFrom(fs.readFileSync(`${report}.csv`, "utf8"));
  const most = Math.max(...seconds.map(({ connected }) => connected));
  const leastHeld = Math.min(...probes.slice(-8).map(({ held }) => held));
  const slowest = Math.max(...probes.map(({ tookMs }) => tookMs));
  t.diagnostic(`${verdictFrom(stdout)} after ${seconds.length - 1} s; ${most} of ${connections} had got through`);
  if (mode === "-X") t.diagnostic(`in the last 2 s the sidecar held ${leastHeld} connections at least`);
  t.diagnostic(`${probes.length} calls of our own meanwhile, the slowest took ${slowest.toFixed(0)} ms`);

  assert.ok(most > connections / 2, `the attack must get through to show anything, but only ${most} did`);
  assert.ok(
    seconds.every(({ available }) => available),
    "slowhttptest says that the service was not available",
  );
  assert.deepEqual(
    probes.filter(({ status }) => status !== 200),
    [],
  );
  // The tool ends when it sees that all its connections are closed. As a slow reader it would first have to read its own
  // buffers, which takes minutes: there the kernel is asked, while the tool still runs.
  if (mode === "-X") assert.equal(leastHeld, 0);
  else assert.equal(verdictFrom(stdout), "No open connections left");
  await until(() => connectionsHeld(sidecar.port) === 0, "the sidecar to hold no connection");
}

async function startTarget(scope: Scope): Promise<Sidecar> {
  const { url } = await startHttpUpstream(scope, {
    handler: (request, response) => {
      request.on("error", () => {});
      request.on("end", () => response.end(request.url === "/big" ? BIG : "hello"));
      request.resume();
    },
  });
  return useSidecar(scope, proxyTo(url, { downstream: { headerTimeout: "3s", bodyIdleTimeout: "2s" } }));
}

/** Calls four times a second, each time on a new connection. */
async function probeUntil(sidecar: Sidecar, signal: AbortSignal): Promise<readonly Probe[]> {
  const probes: Promise<Probe>[] = [];
  for await (const _ of setInterval(250)) {
    if (signal.aborted) break;
    probes.push(probe(sidecar));
  }
  return Promise.all(probes);
}

function probe(sidecar: Sidecar): Promise<Probe> {
  const { promise, resolve } = Promise.withResolvers<Probe>();
  const startMs = performance.now();
  const held = connectionsHeld(sidecar.port);
  const done = (status: number | string): void => resolve({ status, tookMs: performance.now() - startMs, held });
  const request = http.get(sidecar.url, { agent: false, timeout: 5_000 }, (response) => {
    response.resume();
    response.on("end", () => done(response.statusCode ?? 0));
    response.on("error", (error) => done(String(error)));
  });
  request.on("timeout", () => request.destroy(new Error("no answer in 5 s")));
  request.on("error", (error) => done(String(error)));
  return promise;
}

/** Rows of `Seconds,Closed,Pending,Connected,Service Available`; the last column is large while it is available. */
function secondsFrom(csv: string): readonly Second[] {
  const rows = csv.trim().split("\n").slice(1);
  return rows.map((row) => {
    const [, , , connected = 0, available = 0] = row.split(",").map(Number);
    return { connected, available: available > 0 };
  });
}

function verdictFrom(printed: string): string {
  // oxlint-disable-next-line no-control-regex -- it colours its words
  const plain = printed.replaceAll(/\u001b\[[\d;]*m/g, "");
  return /^Exit status:\s*(.+?)\s*$/m.exec(plain)?.[1] ?? `no verdict in: ${plain}`;
}
