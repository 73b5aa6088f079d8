import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));

// What the image holds: dist and bin beside package.json, and no sources.
const image = mkdtempSync(join(tmpdir(), "crossfade-image-"));
after(() => rmSync(image, { recursive: true, force: true }));
const compiler = join(ROOT, "node_modules/typescript/bin/tsc");
const project = join(ROOT, "tsconfig.build.json");
execFileSync(process.execPath, [compiler, "-p", project, "--outDir", join(image, "dist")]);
for (const name of ["package.json", "bin", "proto"]) cpSync(join(ROOT, name), join(image, name), { recursive: true });
symlinkSync(join(ROOT, "node_modules"), join(image, "node_modules"));
const CROSSFADE = join(image, "bin/crossfade.js");

test("the built program says its version", () => {
  const { version } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as {
    readonly version: string;
  };
  for (const entry of [CROSSFADE, join(image, "dist/main.js")]) {
    assert.equal(execFileSync(process.execPath, [entry, "--version"], { encoding: "utf8" }), `${version}\n`);
  }
});

test("the built program serves with its threads and ends with 0", async (t) => {
  const config = join(image, "crossfade.yaml");
  writeFileSync(
    config,
    [
      "listen: [{ address: 127.0.0.1:0 }]",
      "runtime: { threads: 1, drain: { lameDuck: 0s, deadline: 2s } }",
      // The probe needs what is not compiled: the definition of the protocol.
      "upstreams: { v1: { endpoints: [http://127.0.0.1:1], health: { grpc: {}, unhealthyThreshold: 10 } } }",
      "routes: [{ name: all, split: { baseline: v1 } }]",
    ].join("\n"),
  );
  const child = spawn(process.execPath, [CROSSFADE, "run", "--config", config], { stdio: ["ignore", "pipe", "pipe"] });
  t.after(() => child.kill("SIGKILL"));
  const exited = new Promise<number | null>((resolve) => {
    child.on("exit", (code) => resolve(code));
  });
  const url = await new Promise<string>((resolve, reject) => {
    let printed = "";
    const onText = (chunk: Buffer): void => {
      printed += chunk.toString("utf8");
      const ready = printed.split("\n").find((line) => line.includes('"crossfade ready"'));
      if (ready !== undefined)
        resolve((JSON.parse(ready) as { readonly listen: readonly string[] }).listen[0] as string);
    };
    child.stdout.on("data", onText);
    child.stderr.on("data", onText);
    child.on("exit", () => reject(new Error(printed)));
  });
  const answer = await fetch(`${url}/x`, { headers: { connection: "close" } });
  assert.deepEqual([answer.status, answer.headers.get("x-crossfade-error")], [502, "connect_failure"]);
  child.kill("SIGTERM");
  assert.equal(await exited, 0);
});
