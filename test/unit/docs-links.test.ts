import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, globSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { compile } from "../../src/config/compile.ts";
import { parseConfig } from "../../src/config/parse.ts";
import { EMPTY_OVERLAY } from "../../src/model/overlay.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const MAIN = join(ROOT, "src/main.ts");
const NOT_OURS = /^(?:node_modules|dist|coverage)\/|\/node_modules\//;
const pages = globSync("**/*.md", { cwd: ROOT, exclude: (path) => path === "node_modules" })
  .filter((path) => !NOT_OURS.test(path))
  .toSorted();

function textOf(page: string): string {
  return readFileSync(join(ROOT, page), "utf8");
}

/** Fenced blocks of a page: what stands behind the fence, and what is in it. */
function fences(page: string): readonly { readonly language: string; readonly text: string }[] {
  const found = textOf(page).matchAll(/^```([a-z]*)[^\n]*\n(.*?)^```$/gms);
  return [...found].map(([, language = "", text = ""]) => ({ language, text }));
}

/** A page without fences and code in the line, where brackets are no links. */
function prose(page: string): string {
  return textOf(page)
    .replaceAll(/^```.*?^```$/gms, "")
    .replaceAll(/`[^`\n]*`/g, (code) => code.replaceAll(/[[\]()]/g, " "));
}

/** The name that a heading gets in the rendered page. */
function anchorOf(heading: string): string {
  const plain = heading.replaceAll(/\[([^\]]*)\]\([^)]*\)/g, "$1").replaceAll("`", "");
  return plain
    .trim()
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N} _-]/gu, "")
    .replaceAll(" ", "-");
}

function anchorsOf(page: string): ReadonlySet<string> {
  const bare = textOf(page).replaceAll(/^```.*?^```$/gms, "");
  return new Set([...bare.matchAll(/^#{1,6} (.*)$/gm)].map(([, heading = ""]) => anchorOf(heading)));
}

assert.ok(pages.includes("README.md"), "the pages were found");

for (const page of pages) {
  test(`every relative link of ${page} leads somewhere`, () => {
    for (const [, target = ""] of prose(page).matchAll(/\]\(([^()\s]+)\)/g)) {
      if (/^[a-z]+:/.test(target)) continue;
      const [path = "", anchor] = target.split("#");
      const file = path === "" ? page : normalize(join(dirname(page), path));
      assert.ok(existsSync(join(ROOT, file)), `${target}: there is no ${file}`);
      if (anchor !== undefined) assert.ok(anchorsOf(file).has(anchor), `${target}: ${file} has no such heading`);
    }
  });
}

function helpOf(...command: readonly string[]): string {
  return spawnSync(process.execPath, [MAIN, ...command, "--help"], { encoding: "utf8" }).stdout;
}

/** Commands that a page shows: in fences of a shell and as code in the line. */
function shownCommands(page: string): readonly (readonly [command: string, verb: string])[] {
  const shells = fences(page).filter(({ language }) => ["sh", "console"].includes(language));
  const inline = textOf(page).matchAll(/`((?:npx )?crossfade [^`\n]+)`/g);
  const places = [...shells.map(({ text }) => text), ...[...inline].map(([, text = ""]) => text)];
  const found = places.flatMap((text) => [
    ...text.matchAll(/(?:^|[\s;])(?:npx |-- )?crossfade (-{0,2}[a-z]+)(?: ([a-z]+))?/gm),
  ]);
  return found.map(([, command = "", verb = ""]) => [command, verb]);
}

const mainHelp = helpOf();
const ctlHelp = helpOf("ctl");

for (const page of pages) {
  const shown = shownCommands(page);
  if (shown.length === 0) continue;
  test(`the crossfade commands that ${page} shows exist`, () => {
    for (const [command, verb] of shown) {
      assert.match(mainHelp, new RegExp(`^ {2}crossfade ${command}\\b`, "m"), `crossfade ${command}`);
      if (command === "ctl" && verb !== "") {
        assert.match(ctlHelp, new RegExp(`^ {2}${verb}\\b`, "m"), `crossfade ctl ${verb}`);
      }
    }
  });
}

test("README shows every command, and every verb of ctl but those that only print", () => {
  const shown = shownCommands("README.md");
  for (const command of ["run", "check", "explain", "ctl"]) {
    assert.ok(
      shown.some(([other]) => other === command),
      command,
    );
  }
  for (const verb of ["status", "split", "rollback", "kill", "unkill", "reload", "audit", "events"]) {
    assert.ok(
      shown.some(([command, other]) => command === "ctl" && other === verb),
      `ctl ${verb}`,
    );
  }
});

for (const page of pages) {
  const configs = fences(page).filter(({ language, text }) => language === "yaml" && /^routes:/m.test(text));
  for (const [index, { text }] of configs.entries()) {
    test(`config example ${index + 1} of ${page} is a valid config`, () => {
      const parsed = parseConfig(text, { format: "yaml", env: {} });
      assert.ok(parsed.ok, parsed.ok ? "" : JSON.stringify(parsed.problems, null, 2));
      const compiled = compile(parsed.config, EMPTY_OVERLAY, new Map());
      assert.ok(compiled.ok, compiled.ok ? "" : JSON.stringify(compiled.problems, null, 2));
    });
  }
}

test("a page of docs/decisions is short and says what would change our mind", () => {
  const decisions = pages.filter((page) => page.startsWith("docs/decisions/"));
  assert.ok(decisions.length > 0);
  for (const [index, page] of decisions.entries()) {
    const text = textOf(page);
    assert.match(page, new RegExp(`/${String(index + 1).padStart(4, "0")}-[a-z0-9-]+\\.md$`), "numbered without gaps");
    assert.match(text, new RegExp(`^# ${index + 1}\\. `), page);
    assert.match(text, /^\*\*What would change our mind/m, page);
    assert.ok(text.trimEnd().split("\n").length <= 40, `${page} has more than 40 lines`);
  }
});
