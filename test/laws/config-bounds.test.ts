import assert from "node:assert/strict";
import { test } from "node:test";
import { parseConfig } from "../../src/config/parse.ts";
import { readSource } from "../../src/config/source-tree.ts";
import { configFrom, goodConfig, problemsFrom } from "../support/config-text.ts";

const BOMBS = [
  [
    "a tower of aliases",
    `a: &a [x,x,x,x,x,x,x,x,x]\n${[..."bcdefghij"].map((name, i) => `${name}: &${name} [${Array(9).fill(`*${"abcdefghij"[i]}`).join(",")}]`).join("\n")}`,
  ],
  ["a text of millions of marks", `a: [${"b,".repeat(1_500_000)}]`],
  ["a list that is too long", `routes: [{ match: { methods: [${"G,".repeat(50_000)}] } }]`],
] as const;

for (const [name, text] of BOMBS) {
  test(`${name} is refused in bounded time`, () => {
    const started = performance.now();
    assert.equal(parseConfig(text, { format: "auto", env: {} }).ok, false);
    assert.ok(performance.now() - started < 15_000);
  });
}

test("what unfolds to too much is told at the first alias that does", () => {
  const told = readSource(BOMBS[0][1], "yaml", {}).issues.map(({ message }) => message);
  assert.equal(told.length, 1);
  assert.match(told[0] ?? "", /is an alias that unfolds to more than 100000 values$/);
});

test("ten thousand routes are read in a few seconds, and ten thousand mistakes told", () => {
  const config = goodConfig();
  const routes = Array.from({ length: 10_000 }, (_, index) => ({
    name: `route-${index}`,
    match: { pathPrefix: `/api/${index}/`, methods: ["GET", "POST"] },
    split: { baseline: "v1", candidate: "v2", share: "10%", sticky: [{ header: "x-user-id" }, { cookie: "session" }] },
  }));
  const started = performance.now();
  assert.equal(configFrom({ ...config, segments: {}, routes }).routes.length, 10_000);
  assert.ok(performance.now() - started < 10_000, "a generous bound: a loaded machine needs about two seconds");
  const wrong = routes.map((route) => ({ ...route, split: { ...route.split, baseline: "nobody" } }));
  assert.equal(problemsFrom({ ...config, segments: {}, routes: wrong }).length, 10_000);
});
