import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { Ajv } from "ajv";
import { KGC_ALIASES, KGC_LATER } from "../../src/config/kgc.ts";
import { LATER_SECTIONS } from "../../src/config/later.ts";
import { referenceRows, referenceTable } from "../../src/config/reference.ts";
import { configJsonSchema, configSchema } from "../../src/config/schema.ts";
import { goodConfig } from "../support/config-text.ts";

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
  assert.deepEqual([...rows.keys()], [...KGC_ALIASES.keys(), ...KGC_LATER.keys()]);
  for (const [name, meaning] of KGC_ALIASES)
    assert.equal(rows.get(name)?.replaceAll("`", ""), meaning.replaceAll("`", ""));
  for (const [name, what] of KGC_LATER) assert.equal(rows.get(name), `nothing yet: ${what} are not in this version`);
});

test("docs/config.md names every section that is not in this version", () => {
  for (const place of LATER_SECTIONS.keys())
    assert.ok(page.includes(`\`${place.replace("routes.*", "routes[]")}\``), place);
});

const validate = new Ajv({ strict: true, allowUnionTypes: true, strictTypes: false }).compile(configJsonSchema());

test("the JSON Schema takes what is right, with variables in any value", () => {
  const config = goodConfig();
  config.routes[0].split.share = "${SHARE:-10%}";
  config.listen[0].address = "${HOST}:8080";
  config.runtime = { threads: "${THREADS}", drain: { lameDuck: 0 } };
  config.downstream = { maxHeaders: "${MAX}", maxHeaderBytes: 65536 };
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
] as const;

for (const [name, part] of WRONG) {
  test(`the JSON Schema refuses ${name}`, () => assert.equal(validate({ ...goodConfig(), ...part }), false));
}
