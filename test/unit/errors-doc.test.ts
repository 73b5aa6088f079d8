import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { FAILURE_KINDS, FAILURES } from "../../src/base/failure.ts";

const page = readFileSync(new URL("../../docs/errors.md", import.meta.url), "utf8");
const rows = page
  .split("\n")
  .filter((line) => line.startsWith("| `"))
  .map((line) => line.split("|").map((cell) => cell.trim()));

test("docs/errors.md has a row for every failure, in the order of the table, and no row for any other", () => {
  assert.deepEqual(
    rows.map(([, kind]) => kind),
    FAILURE_KINDS.map((kind) => `\`${kind}\``),
  );
});

for (const [index, kind] of FAILURE_KINDS.entries()) {
  test(`docs/errors.md says of ${kind} what the code does`, () => {
    const [, , code, status, retriable, blame, meaning, advice] = rows[index] ?? [];
    const row = FAILURES[kind];
    assert.deepEqual([code, status, retriable, blame], [`\`${row.code}\``, `${row.status}`, row.retriable, row.fault]);
    assert.ok(meaning !== undefined && meaning.length > 10, "what it means");
    assert.ok(advice !== undefined && advice.length > 10, "what to do");
  });
}
