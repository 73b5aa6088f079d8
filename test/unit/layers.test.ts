import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { FLOORS, PURE_FOLDERS, PURE_NODE_MODULES } from "../../scripts/layers.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const LINTER = join(ROOT, "node_modules/.bin/oxlint");

const folders = mkdtempSync(join(tmpdir(), "crossfade-layers-"));
after(() => rmSync(folders, { recursive: true }));

test("the committed lint configuration is the one that the table of floors makes", () => {
  const copy = join(folders, "generated");
  cpSync(join(ROOT, "scripts"), join(copy, "scripts"), { recursive: true });
  cpSync(join(ROOT, "package.json"), join(copy, "package.json"));
  symlinkSync(join(ROOT, "node_modules"), join(copy, "node_modules"));
  execFileSync(process.execPath, [join(copy, "scripts/generate-lint.ts")]);
  assert.equal(
    readFileSync(join(copy, ".oxlintrc.json"), "utf8"),
    readFileSync(join(ROOT, ".oxlintrc.json"), "utf8"),
    "run: node scripts/generate-lint.ts",
  );
});

/** File → source. Each is planted under src/ of a project that has nothing else, with our lint configuration. */
type Planted = Readonly<Record<string, string>>;

/** File → the rules that it broke. */
function lint(name: string, planted: Planted): Map<string, string[]> {
  const project = join(folders, name);
  for (const [file, source] of Object.entries(planted)) {
    mkdirSync(dirname(join(project, "src", file)), { recursive: true });
    writeFileSync(join(project, "src", file), `${source}\n`);
  }
  cpSync(join(ROOT, ".oxlintrc.json"), join(project, ".oxlintrc.json"));
  const run = spawnSync(LINTER, ["--format", "json", "src"], { cwd: project, encoding: "utf8" });
  const report = JSON.parse(run.stdout) as {
    diagnostics: { filename: string; code: string }[];
    number_of_files: number;
  };
  assert.equal(report.number_of_files, Object.keys(planted).length, "the linter read every planted file");
  const broken = new Map<string, string[]>(Object.keys(planted).map((file) => [file, []]));
  for (const { filename, code } of report.diagnostics) broken.get(filename.replace(/^src\//, ""))?.push(code);
  return broken;
}

const IMPORTS = "eslint(no-restricted-imports)";

function importOf(path: string): string {
  return `import { target } from "${path}";\nexport const planted = target;`;
}

test("a folder may import lower floors, and never a higher floor or a sibling", () => {
  const all = FLOORS.flatMap((names, floor) => names.map((name) => ({ name, floor })));
  const planted: Record<string, string> = {};
  for (const from of all) {
    planted[`${from.name}/target.ts`] = "export const target = 1;";
    for (const to of all) {
      if (to.name !== from.name) planted[`${from.name}/imports-${to.name}.ts`] = importOf(`../${to.name}/target.ts`);
    }
  }
  const broken = lint("floors", planted);
  for (const from of all) {
    assert.deepEqual(broken.get(`${from.name}/target.ts`), []);
    for (const to of all) {
      if (to.name === from.name) continue;
      const expected = to.floor < from.floor ? [] : [IMPORTS];
      assert.deepEqual(broken.get(`${from.name}/imports-${to.name}.ts`), expected, `${from.name}/ imports ${to.name}/`);
    }
  }
});

test("no folder may import the wiring", () => {
  const wiring = ["../main.ts", "../data-thread.ts", "../lab-thread.ts", "../cli/run.ts"];
  const planted: Record<string, string> = {};
  for (const folder of FLOORS.flat()) {
    for (const [index, path] of wiring.entries()) planted[`${folder}/wiring-${index}.ts`] = importOf(path);
  }
  for (const [file, rules] of lint("wiring", planted)) assert.deepEqual(rules, [IMPORTS], file);
});

test("importing only a type, exporting from, and importing late count as imports", () => {
  const broken = lint("ways", {
    "base/type.ts": 'import type { T } from "../proxy/t.ts";\nexport type U = T;',
    "base/from.ts": 'export { target } from "../proxy/t.ts";',
    "base/late.ts": 'export const planted = import("../proxy/t.ts");',
  });
  for (const [file, rules] of broken) assert.ok(rules.includes(IMPORTS), file);
});

// What each line would give a pure floor: the time, chance, the environment, the network, a timer, a log.
const IMPURE = {
  now: "export const planted = Date.now();",
  destructured: "const { now } = Date;\nexport const planted = now();",
  random: "export const planted = Math.random();",
  process: "export const planted = process.env;",
  timeout: "export const planted = setTimeout(String, 1);",
  interval: "export const planted = setInterval(String, 1);",
  immediate: "export const planted = setImmediate(String);",
  microtask: "queueMicrotask(String);",
  performance: "export const planted = performance.now();",
  fetch: 'export const planted = fetch("http://127.0.0.1/");',
  console: 'console.log("x");',
  fs: 'import { readFileSync } from "node:fs";\nexport const planted = readFileSync;',
  net: 'import { connect } from "node:net";\nexport const planted = connect;',
  timers: 'import { setTimeout as wait } from "node:timers/promises";\nexport const planted = wait;',
  undici: 'import { Pool } from "undici";\nexport const planted = Pool;',
  pino: 'import { pino } from "pino";\nexport const planted = pino;',
  prometheus: 'import { Registry } from "prom-client";\nexport const planted = Registry;',
} as const;

test("a pure floor that takes time, chance, environment, sockets or a logger is reported; other floors may", () => {
  const planted: Record<string, string> = {};
  for (const folder of [...PURE_FOLDERS, "transport"]) {
    for (const [name, source] of Object.entries(IMPURE)) planted[`${folder}/${name}.ts`] = source;
  }
  for (const [file, rules] of lint("purity", planted)) {
    const restricted = rules.filter((rule) => rule.startsWith("eslint(no-restricted-"));
    assert.equal(restricted.length, file.startsWith("transport/") ? 0 : 1, `${file}: ${rules.join()}`);
  }
});

test("a pure floor may import the Node modules that only compute", () => {
  const planted = Object.fromEntries(
    PURE_NODE_MODULES.map((name, index) => [
      `config/pure-${index}.ts`,
      `import * as target from "${name}";\nexport const planted = target.constants;`,
    ]),
  );
  for (const [file, rules] of lint("allowed", planted)) assert.deepEqual(rules, [], file);
});

test("a cycle of imports is reported, of types too", () => {
  const broken = lint("cycle", {
    "proxy/one.ts": 'import type { Two } from "./two.ts";\nexport interface One { readonly two: Two | null }',
    "proxy/two.ts": 'import type { One } from "./one.ts";\nexport interface Two { readonly one: One | null }',
  });
  for (const [file, rules] of broken) assert.ok(rules.includes("import(no-cycle)"), `${file}: ${rules.join()}`);
});

// Ways around the rules that a person in a hurry finds.
const DETOURS = {
  "base/sub/nested.ts": importOf("../../proxy/target.ts"),
  "proxy/sub/nested.ts": importOf("../../control/target.ts"),
  "base/bare.ts": 'import { readFileSync } from "fs";\nexport const planted = readFileSync;',
  "base/sqlite.ts": 'import { DatabaseSync } from "node:sqlite";\nexport const planted = DatabaseSync;',
  "base/global.ts": "export const planted = globalThis.process;",
  "base/uuid.ts": "export const planted = crypto.randomUUID();",
} as const;

test("a detour around a rule is reported as the straight way is", () => {
  for (const [file, rules] of lint("detours", DETOURS)) {
    assert.ok(
      rules.some((rule) => rule.startsWith("eslint(no-restricted-")),
      file,
    );
  }
});
