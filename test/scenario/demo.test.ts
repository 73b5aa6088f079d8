import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import { connect } from "node:net";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import type { Scope } from "../support/scope.ts";
import { changed, until } from "../support/until.ts";

const DEMO = fileURLToPath(new URL("../../scripts/demo.ts", import.meta.url));

interface Run {
  readonly child: ChildProcess;
  readonly printed: () => string;
  readonly exited: Promise<number | null>;
}

function runDemo(scope: Scope, ...args: readonly string[]): Run {
  const child = spawn(process.execPath, [DEMO, ...args], { stdio: ["ignore", "pipe", "pipe"] });
  let printed = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding("utf8").on("data", (text: string) => {
      printed += text;
      changed();
    });
  }
  const exited = new Promise<number | null>((resolve) => {
    child.on("close", (code) => resolve(code));
  });
  // SIGTERM, not SIGKILL: the demo has children of its own to end.
  scope.after(async () => {
    child.kill("SIGTERM");
    await exited;
  });
  return { child, printed: () => printed, exited };
}

/** The addresses that a run has printed. */
function addresses(printed: string): readonly string[] {
  return [...printed.matchAll(/^ {2}(?:sidecar|v1|v2) +(http:\S+)$/gm)].map(([, url]) => url as string);
}

function refuses(url: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(Number(new URL(url).port), "127.0.0.1");
    socket.on("connect", () => {
      socket.destroy();
      resolve(false);
    });
    socket.on("error", () => resolve(true));
  });
}

test("the demo walks the whole way, keeps its promises, exits with 0 and leaves nothing running", async (t) => {
  const run = runDemo(t, "--fast");
  const code = await run.exited;
  const printed = run.printed();
  assert.equal(code, 0, printed);
  for (const share of ["0 %", "10 %", "25 %", "50 %", "100 %"])
    assert.match(printed, new RegExp(`^ *${share} [█░]`, "m"));
  assert.match(printed, /^ {2}\$ npx crossfade ctl .*rollback api --reason/m);
  for (const event of ["circuit open", "unhealthy", "healthy", "circuit closed", "99 users are back"])
    assert.match(printed, new RegExp(`^ +\\d+\\.\\d\\d s +${event}`, "m"));
  const summary = printed.slice(printed.indexOf("\nSummary\n"));
  assert.equal(summary.match(/^ {2}kept /gm)?.length, 8, summary);
  assert.doesNotMatch(printed, /NOT KEPT|FAILED/);
  assert.ok(!printed.includes("\u001b"), "plain lines where there is no terminal");
  const urls = addresses(printed);
  assert.equal(urls.length, 3, printed);
  for (const url of urls) assert.equal(await refuses(url), true, `${url} still answers`);
});

test("an interrupted demo ends everything that it started", async (t) => {
  const run = runDemo(t);
  await until(() => addresses(run.printed()).length === 3, "the addresses", {
    deadlineMs: 20_000,
    detail: run.printed,
  });
  run.child.kill("SIGINT");
  assert.equal(await run.exited, 130, run.printed());
  for (const url of addresses(run.printed())) assert.equal(await refuses(url), true, `${url} still answers`);
});

test("the demo refuses what it does not understand, with its usage", async (t) => {
  const run = runDemo(t, "--seconds", "soon");
  assert.equal(await run.exited, 2);
  assert.match(run.printed(), /--seconds: "soon" is not a number from 4 to 600[^]*usage: npm run demo/);
});
