import assert from "node:assert/strict";
import { test } from "node:test";
import { MAX_CONFIG_CHARS, readSource } from "../../src/config/source-tree.ts";
import { withVariables } from "../../src/config/variables.ts";
import { configFrom, goodConfig, problemsFrom, sentences } from "../support/config-text.ts";

function treeOf(text: string, env: Readonly<Record<string, string>> = {}): unknown {
  const { tree, issues } = readSource(text, "yaml", env);
  assert.deepEqual(issues, []);
  // Maps of a tree have no prototype, so that no key of a file can be mistaken for a method.
  return JSON.parse(JSON.stringify(tree));
}

function faultsOf(text: string, format: "yaml" | "json" | "auto" = "yaml"): readonly string[] {
  return readSource(text, format, {}).issues.map(({ path, message }) => [...path, message].join(" "));
}

test("YAML and JSON of the same config are the same config", () => {
  const yaml = `
# with a comment
listen: [{ address: "127.0.0.1:8080" }]
upstreams:
  v1: { endpoints: ["http://127.0.0.1:9001"] }
  v2: { endpoints: ["http://127.0.0.1:9002"] }
segments: { beta: { keys: [u1] } }
routes:
  - name: api
    match: { pathPrefix: /api/ }
    split:
      baseline: v1
      candidate: v2
      share: 10%
      overrides: [{ segment: beta, to: candidate }]
`;
  assert.deepEqual(configFrom(yaml), configFrom(goodConfig()));
});

test("aliases and merges are unfolded; a map's own keys beat merged ones, and nothing is shared between the copies", () => {
  const text =
    "base: &b { a: 1, b: 2 }\nextra: &e { b: 3, c: 4 }\none: *b\ntwo: { <<: *b, a: 9 }\nthree: { <<: [*b, *e] }\n";
  assert.deepEqual(treeOf(text), {
    base: { a: 1, b: 2 },
    extra: { b: 3, c: 4 },
    one: { a: 1, b: 2 },
    two: { a: 9, b: 2 },
    three: { a: 1, b: 2, c: 4 },
  });
  const env = { CROSSFADE_ROUTES_B_SPLIT_SHARE: "50%" };
  const routes = "routes: [{ name: a, split: &s { baseline: v1, candidate: v1, share: 1% } }, { name: b, split: *s }]";
  const config = configFrom(
    `listen: [{ address: "127.0.0.1:0" }]\nupstreams: { v1: { endpoints: [http://h:1] } }\n${routes}`,
    env,
  );
  assert.deepEqual(
    config.routes.map(({ split }) => split.candidatePpm),
    [10_000, 500_000],
  );
});

test("keys are text, whatever they look like", () => {
  assert.deepEqual(treeOf("1: a\ntrue: b\n3.50: c\nconstructor: d\n"), {
    1: "a",
    true: "b",
    "3.50": "c",
    constructor: "d",
  });
});

const REFUSED = [
  ["a: b: c", "is not valid YAML: nested mappings are not allowed in compact mappings (line 1, column 4)"],
  ["a: [1, 2", /^is not valid YAML: .* \(line 1/],
  ["a: 'x", /^is not valid YAML: missing closing 'quote/],
  ['a: "\\q"', "is not valid YAML: no such escape in double quotes (line 1, column 5)"],
  ["a: 1\n---\nb: 2", "holds more than one document"],
  ["a: !!js/function x", "has a tag; tags are not allowed (line 1, column 4)"],
  ["a: ]", /^is not valid YAML: something unexpected stands here/],
  ["a: *nope", 'a is an alias of "nope", which is not defined above it'],
  ["a: &x { b: *x }", 'a b is an alias of "x", which contains it'],
  ["a: 1\na: 2", "a is given twice in this map; keep one"],
  ["__proto__: { x: 1 }", "__proto__ is not allowed as a key"],
  ["a: { <<: 5 }", "a << must be an alias of a map, or a list of them"],
  ["[".repeat(70), "is nested deeper than 64 levels"],
  ["- ".repeat(70), "is nested deeper than 64 levels"],
  ["? ".repeat(70), "is nested deeper than 64 levels"],
  ["x".repeat(MAX_CONFIG_CHARS + 1), `has ${MAX_CONFIG_CHARS + 1} characters; allowed: ${MAX_CONFIG_CHARS} or fewer`],
] as const;

for (const [text, expected] of REFUSED) {
  test(`${JSON.stringify(text.slice(0, 30))} is refused`, () => {
    const [fault = ""] = faultsOf(text);
    if (typeof expected === "string") assert.equal(fault, expected);
    else assert.match(fault, expected);
  });
}

test("deep indentation is refused, not recursed into", () => {
  const text = Array.from({ length: 200 }, (_, level) => `${" ".repeat(level)}a:`).join("\n");
  assert.match(faultsOf(text)[0] ?? "", /is nested deeper than 64 levels$/);
});

test("JSON is checked as JSON, and the fault is told by its line without quoting the text", () => {
  const secret = '{\n "a": 1,\n "token": hunter2\n}';
  assert.deepEqual(faultsOf(secret, "json"), ["is not valid JSON (line 3)"]);
  assert.deepEqual(faultsOf("{", "json"), ["is not valid JSON (line 1)"]);
  assert.deepEqual(faultsOf('{"a":1,"a":2}', "json"), ["a is given twice in this map; keep one"]);
  assert.deepEqual(faultsOf("a: 1", "json"), ["is not valid JSON (line 1)"]);
  assert.deepEqual(faultsOf("[1,\n]", "json"), ["is not valid JSON"]);
});

test("a text that begins like JSON and is none is read as YAML", () => {
  assert.deepEqual(readSource("{ a: b }", "auto", {}).issues, []);
});

test("an empty file is one problem", () => {
  assert.deepEqual(sentences(problemsFrom("# nothing\n")), ["config: is empty; give it a value or remove the line"]);
});

const ENV = { HOST: "h", EMPTY: "", MULTI: "a: 1\nb: 2", PRICE: "$5" };

const REPLACED = [
  ["plain", "plain"],
  ["http://${HOST}:1", "http://h:1"],
  ["${HOST}${HOST}", "hh"],
  ["${NOT_SET:-x}", "x"],
  ["${EMPTY:-x}", "x"],
  ["${EMPTY}", ""],
  ["${NOT_SET:-}", ""],
  ["${NOT_SET:-a:-b}", "a:-b"],
  ["$$", "$"],
  ["$${HOST}", "${HOST}"],
  ["^/a$", "^/a$"],
  ["$HOST", "$HOST"],
  ["${PRICE}", "$5"],
  ["${MULTI}", "a: 1\nb: 2"],
] as const;

for (const [text, value] of REPLACED) {
  test(`${text} becomes ${JSON.stringify(value)}`, () =>
    assert.deepEqual(withVariables(text, ENV), { ok: true, value }));
}

const NOT_REPLACED = [
  ["${NOT_SET}", "names the environment variable NOT_SET, which is not set; set it or write ${NOT_SET:-default}"],
  ["${toString}", "names the environment variable toString, which is not set; set it or write ${toString:-default}"],
  ["${}", "holds ${…} that names no variable; write ${NAME}, ${NAME:-default}, or $$ for a plain $"],
  ["${1A}", "holds ${…} that names no variable; write ${NAME}, ${NAME:-default}, or $$ for a plain $"],
  ["${HOST", "has a ${ without its }; write $$ for a plain $"],
] as const;

for (const [text, message] of NOT_REPLACED) {
  test(`${text} is refused`, () => assert.deepEqual(withVariables(text, ENV), { ok: false, message }));
}

test("a variable brings in a value, never structure", () => {
  assert.deepEqual(treeOf("x: ${MULTI}\n", ENV), { x: "a: 1\nb: 2" });
});

test("numbers may come out of variables", () => {
  const config = goodConfig();
  config.downstream = { maxHeaders: "${N}", maxHeaderBytes: "${SIZE}" };
  const { downstream } = configFrom(config, { N: "50", SIZE: "2048" });
  assert.deepEqual([downstream.maxHeaders, downstream.maxHeaderBytes], [50, 2048]);
});

test("lines are found through aliases and merges", () => {
  const text = "base: &b\n  deep: 1\nother:\n  <<: *b\n  own: 2\ncopy: *b\n";
  const { lineOf } = readSource(text, "yaml", {});
  assert.equal(lineOf(["other", "own"]), 5);
  assert.equal(lineOf(["copy", "deep"]), 2);
  assert.equal(lineOf(["other", "missing"]), 3);
  assert.equal(lineOf(["nowhere"]), null);
});
