#!/usr/bin/env node
// Finds a Node that can run crossfade: this one if it is new enough, else the pinned one of the package `node`.
// Plain JavaScript for any Node that has ES modules, so that an old one gets a sentence and not a syntax error.
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

const NEEDED = [24, 12];
const root = new URL("../", import.meta.url);
const fromSources = existsSync(new URL("src/main.ts", root));
const entry = fileURLToPath(new URL(fromSources ? "src/main.ts" : "dist/main.js", root));

function isNewEnough(version) {
  const [major, minor] = version.split(".").map(Number);
  return major > NEEDED[0] || (major === NEEDED[0] && minor >= NEEDED[1]);
}

function pinnedNode() {
  const candidates = ["node_modules/node/bin/node", "../node/bin/node"];
  const found = candidates.map((path) => fileURLToPath(new URL(path, root))).find((path) => existsSync(path));
  return found ?? null;
}

function startWith(node) {
  const child = spawn(node, [entry, ...process.argv.slice(2)], { stdio: "inherit" });
  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"]) process.on(signal, () => child.kill(signal));
  child.on("exit", (code, signal) => {
    process.exitCode = code ?? (signal === null ? 70 : 128);
  });
  child.on("error", (error) => {
    console.error(`crossfade: ${node} cannot be started: ${error.message}`);
    process.exitCode = 70;
  });
}

if (isNewEnough(process.versions.node)) await import(new URL(entry, "file://").href);
else if (pinnedNode() !== null) startWith(pinnedNode());
else {
  console.error(
    `crossfade needs Node ${NEEDED.join(".")} or newer, this is ${process.versions.node}. ` +
      "Install a newer Node, or run `npm ci` here, which brings the pinned one.",
  );
  process.exitCode = 70;
}
