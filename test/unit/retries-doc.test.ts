import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { RETRY_CONDITIONS, RETRY_SKIPS } from "../../src/base/cells.ts";
import { FAILURE_KINDS, FAILURES } from "../../src/base/failure.ts";
import { conditionsOfFailure, mayRepeat, reasonForAnswer } from "../../src/policy/retry.ts";
import { RetryBudget } from "../../src/policy/retry-budget.ts";
import { RETRY_SPEC, UNSENT } from "../support/retry-facts.ts";

const page = readFileSync(new URL("../../docs/retries.md", import.meta.url), "utf8");

/** The cells of a table's rows, by the heading of its first column. */
function tableOf(heading: string): readonly (readonly string[])[] {
  const [, rows = ""] = new RegExp(`^\\| ${heading} \\|.*\\n\\|[-|]+\\n((?:\\|.*\\n)+)`, "m").exec(page) ?? [];
  const cells = rows
    .trimEnd()
    .split("\n")
    .map((row) => row.split("|").slice(1, -1));
  return cells.map((row) => row.map((cell) => cell.trim().replaceAll("`", "")));
}

test("docs/retries.md has a row for every condition and no other, in the order of the list", () => {
  assert.deepEqual(
    tableOf("Condition").map(([condition]) => condition),
    RETRY_CONDITIONS,
  );
});

for (const [index, condition] of RETRY_CONDITIONS.entries()) {
  test(`docs/retries.md says which answers meet ${condition}`, () => {
    const [, answers = ""] = tableOf("Condition")[index] ?? [];
    const [, grpc] = /^gRPC (\d+)$/.exec(answers) ?? [];
    const [, from, to = from] = /^(\d{3})(?:-(\d{3}))?$/.exec(answers) ?? [];
    const only = { on: [condition], statuses: [] };
    for (let status = 200; status < 600; status++) {
      const isListed = from !== undefined && status >= Number(from) && status <= Number(to);
      assert.equal(reasonForAnswer(only, status, null) !== null, isListed, `${status}`);
    }
    for (let status = 0; status <= 16; status++) {
      assert.equal(reasonForAnswer(only, 200, status) !== null, grpc === String(status), `gRPC ${status}`);
    }
  });
}

test("docs/retries.md says of every failure which conditions it meets and when it is repeated, and of no other", () => {
  const met = FAILURE_KINDS.filter((kind) => conditionsOfFailure(kind).length > 0);
  const rows = met.map((kind) => [kind, conditionsOfFailure(kind).join(", "), repeatedWhen(kind)]);
  assert.deepEqual(tableOf("Failure"), rows);
});

function repeatedWhen(kind: (typeof FAILURE_KINDS)[number]): string {
  const facts = { ...UNSENT, failure: kind, reason: "5xx" as const };
  const unsent = mayRepeat(RETRY_SPEC, facts, new RetryBudget(0), () => 0).kind;
  return unsent === "retry" ? FAILURES[kind].retriable : "never";
}

test("docs/retries.md explains every reason for which a try is not repeated", () => {
  const words = tableOf("Word").map(([word]) => word);
  assert.deepEqual(words.slice(1).toSorted(), RETRY_SKIPS.toSorted());
});
