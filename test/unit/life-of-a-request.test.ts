import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { FAILURE_KINDS, FAILURES, type FailureKind } from "../../src/base/failure.ts";

const ROOT = new URL("../../", import.meta.url);
const page = readFileSync(new URL("docs/life-of-a-request.md", ROOT), "utf8");

/** The exits that the page lists: kind, code, status, when. */
const exits = page
  .split("\n")
  .filter((line) => /^\| `[a-z-]+` \|/.test(line))
  .map((line) => line.split("|").map((cell) => cell.trim().replaceAll("`", "")))
  .map(([, kind = "", code = "", status = "", when = ""]) => ({ kind, code, status, when }));

test("docs/life-of-a-request.md lists every failure once, and nothing else", () => {
  assert.deepEqual(exits.map(({ kind }) => kind).toSorted(), FAILURE_KINDS.toSorted());
});

for (const { kind, code, status, when } of exits) {
  test(`docs/life-of-a-request.md gives the code and the status of ${kind}`, () => {
    const row = FAILURES[kind as FailureKind];
    assert.deepEqual([code, status], [row.code, String(row.status)]);
    assert.ok(when.length > 10, "and says when");
  });
}

test("the picture of docs/life-of-a-request.md shows every status that is sent before an upstream is asked", () => {
  const picture = page.slice(page.indexOf("```\n"), page.indexOf("Read along"));
  const early = exits.filter(({ kind }) => FAILURES[kind as FailureKind].fault === "client" && kind !== "client-gone");
  for (const { kind, status } of early) assert.ok(picture.includes(status), `${status} of ${kind}`);
});

test("docs/life-of-a-request.md names source files that exist", () => {
  const named = [...page.matchAll(/`(src\/[\w/-]+\.ts)`/g)].map(([, path]) => path as string);
  assert.ok(named.length > 5);
  for (const path of named) assert.ok(existsSync(new URL(path, ROOT)), path);
});
