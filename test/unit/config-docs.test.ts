import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { Ajv } from "ajv";
import { KGC_ALIASES } from "../../src/config/kgc.ts";
import { LATER_SECTIONS } from "../../src/config/later.ts";
import { referenceRows, referenceTable } from "../../src/config/reference.ts";
import { configJsonSchema, configSchema } from "../../src/config/schema.ts";
import { goodConfig, warningsFrom } from "../support/config-text.ts";

const page = readFileSync(new URL("../../docs/config.md", import.meta.url), "utf8");
const schemaFile = readFileSync(new URL("../../config/crossfade.schema.json", import.meta.url), "utf8");

test("config/crossfade.schema.json is what the schema gives (else: node scripts/generate-schema.ts)", () => {
  assert.deepEqual(JSON.parse(schemaFile), JSON.parse(JSON.stringify(configJsonSchema())));
});

test("docs/config.md has a row for every setting and no row for any other (else: node scripts/generate-schema.ts)", () => {
  const [, table] = /<!-- reference:begin -->\n([\s\S]*)<!-- reference:end -->/.exec(page) ?? [];
  assert.equal(table, referenceTable(configSchema));
});

for (const row of referenceRows(configSchema)) {
  test(`${row.path} is described in a sentence`, () => {
    assert.match(row.description, /^[A-Za-z/].*[.}]$/);
    assert.notEqual(row.title, "");
  });
}

test("docs/config.md names every KGC variable, and says of each what it sets", () => {
  const rows = new Map([...page.matchAll(/^\| `(KGC_\w+)` \| (.*) \|$/gm)].map(([, name, meaning]) => [name, meaning]));
  assert.deepEqual([...rows.keys()], [...KGC_ALIASES.keys()]);
  for (const [name, { means }] of KGC_ALIASES)
    assert.equal(rows.get(name)?.replaceAll("`", ""), means.replaceAll("`", ""));
});

test("docs/config.md names every section that is not in this version", () => {
  for (const place of LATER_SECTIONS.keys())
    assert.ok(page.includes(`\`${place.replace("routes.*", "routes[]")}\``), place);
});

for (const [index, [, example = ""]] of [...page.matchAll(/```yaml\n([\s\S]*?)```/g)].entries()) {
  test(`example ${index + 1} of docs/config.md is accepted without a warning`, () => {
    assert.deepEqual(warningsFrom(example), []);
  });
}

const validate = new Ajv({ strict: true, allowUnionTypes: true, strictTypes: false }).compile(configJsonSchema());

test("the JSON Schema takes what is right, with variables in any value", () => {
  const config = goodConfig();
  config.routes[0].split.share = "${SHARE:-10%}";
  config.listen[0].address = "${HOST}:8080";
  config.runtime = { threads: "${THREADS}", drain: { lameDuck: 0 } };
  config.downstream = { maxHeaders: "${MAX}", maxHeaderBytes: 65536 };
  config.upstreams.v1.health = { tcp: {}, believeExplicit: "${BELIEVE}", jitter: "${JITTER}" };
  config.upstreams.v2.health = { http: { path: "/", expectStatus: [204, "200-299", "${STATUS}"] } };
  config.upstreams.v2.outlierDetection = { deviations: 1.9 };
  config.upstreams.local = { endpoints: ["http+unix:///run/local.sock"] };
  config.routes[0].fallback = ["arm", "${STEP}", { upstream: "local" }];
  config.routes[0].fallbackOn = ["5xx", "${CONDITION}"];
  assert.ok(validate(config), JSON.stringify(validate.errors));
});

const WRONG = [
  ["a misspelt key", { routes: [{ name: "a", split: { baseline: "v1", shaer: "1%" } }] }],
  ["a share without %", { routes: [{ name: "a", split: { baseline: "v1", share: "1" } }] }],
  ["a duration without unit", { downstream: { headerTimeout: "5" } }],
  ["too many threads", { runtime: { threads: 65 } }],
  [
    "two kinds of sticky source",
    { routes: [{ name: "a", split: { baseline: "v1", sticky: [{ header: "a", cookie: "b" }] } }] },
  ],
  ["no upstreams", { upstreams: {} }],
  ["two kinds of check", { upstreams: { v1: { endpoints: ["http://h:1"], health: { tcp: {}, grpc: {} } } } }],
  ["a socket's path that is relative", { upstreams: { v1: { endpoints: ["http+unix://run/x"] } } }],
  [
    "two kinds of fallback",
    { routes: [{ name: "a", split: { baseline: "v1" }, fallback: [{ stale: {}, static: {} }] }] },
  ],
  ["a word that is no fallback", { routes: [{ name: "a", split: { baseline: "v1" }, fallback: ["stale"] }] }],
] as const;

for (const [name, part] of WRONG) {
  test(`the JSON Schema refuses ${name}`, () => assert.equal(validate({ ...goodConfig(), ...part }), false));
}
