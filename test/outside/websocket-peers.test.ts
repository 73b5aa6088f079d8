import assert from "node:assert/strict";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { proxyTo } from "../support/configs.ts";
import type { Scope } from "../support/scope.ts";
import { useSidecar } from "../support/sidecar.ts";
import { until } from "../support/until.ts";
import { connectionsHeld, findPythonWith, runTool, startTool, testWith } from "./tools.ts";
import { callWs, serveWs, type Close, type PeerPlan, type PeerReport, type ServingPeer } from "./websocket-peer.ts";

const PLAN: PeerPlan = {
  // Around each length that a frame header writes differently, and around common buffer sizes.
  sizes: [0, 1, 125, 126, 127, 4_096, 16_384, 65_535, 65_536, 65_537, 262_144, 1 << 20],
  closes: [
    [1000, "done"],
    [1001, "going away"],
    [1008, "policy"],
    [1011, ""],
    [3000, "registered"],
    [4999, "private, ünicode"],
    [1006, ""],
  ],
};

const EXPECTED: PeerReport = {
  subprotocol: "chat.v2",
  echoed: PLAN.sizes,
  ourFragments: "un deux trois",
  theirFragments: "one two three",
  theirPong: true,
  ourPong: "pong came",
  closedByThem: PLAN.closes,
};

const PEER = fileURLToPath(new URL("websocket_peer.py", import.meta.url));
const PYTHON = findPythonWith("websockets");

test("a ws client and a ws server understand each other through the sidecar", { timeout: 30_000 }, async (t) => {
  await checkPair(t, await serveWs(t), (url) => callWs(url, PLAN));
});

testWith([PYTHON], "a python client and a ws server understand each other", 30_000, async (t, [python = ""]) => {
  await checkPair(t, await serveWs(t), (url) => callPython(python, url));
});

testWith([PYTHON], "a ws client and a python server understand each other", 30_000, async (t, [python = ""]) => {
  await checkPair(t, await servePython(t, python), (url) => callWs(url, PLAN));
});

testWith([PYTHON], "a python client and a python server understand each other", 30_000, async (t, [python = ""]) => {
  await checkPair(t, await servePython(t, python), (url) => callPython(python, url));
});

/** Sizes, fragments, pings and close codes both ways; then nothing may be left open. */
async function checkPair(scope: Scope, server: ServingPeer, call: (url: string) => Promise<PeerReport>): Promise<void> {
  const sidecar = await useSidecar(scope, proxyTo(`http://127.0.0.1:${server.port}`));
  const report = await call(`ws://127.0.0.1:${sidecar.port}/talk`);
  assert.deepEqual(report, EXPECTED);
  // The first connection ends with 1000; then come those that the server was told to close, then the client's own.
  const ended: readonly Close[] = [[1000, ""], ...PLAN.closes, ...PLAN.closes];
  await until(() => server.closes().length >= ended.length, "all connections to close at the server");
  assert.deepEqual(server.closes().toSorted(), ended.toSorted());
  await until(() => connectionsHeld(sidecar.port) === 0, "the sidecar to hold no connection");
  await until(() => connectionsHeld(server.port) === 0, "the upstream to hold no connection");
}

async function servePython(scope: Scope, python: string): Promise<ServingPeer> {
  const server = startTool(scope, python, [PEER, "serve"]);
  const port = await until(() => /^\{"port": (\d+)\}$/m.exec(server.printed())?.[1], "the python peer to listen");
  const closes = (): Close[] => [...server.printed().matchAll(/^\[.*\]$/gm)].map(([line]) => JSON.parse(line) as Close);
  return { port: Number(port), closes };
}

async function callPython(python: string, url: string): Promise<PeerReport> {
  const { code, stdout, stderr } = await runTool(python, [PEER, "call", url, JSON.stringify(PLAN)], {
    deadlineMs: 25_000,
  });
  assert.equal(code, 0, stderr);
  return JSON.parse(stdout) as PeerReport;
}
