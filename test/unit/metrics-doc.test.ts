import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { createMetrics, FAMILIES } from "../../src/telemetry/metrics.ts";
import { DECISION_REASONS } from "../../src/base/cells.ts";
import { countingSource } from "../support/metrics-source.ts";

const page = readFileSync(new URL("../../docs/metrics.md", import.meta.url), "utf8");
const rows = page
  .split("\n")
  .filter((line) => line.startsWith("| `crossfade_"))
  .map((line) => line.split("|").map((cell) => cell.replaceAll("`", "").trim()));

test("docs/metrics.md has a row for every metric, in the order of the exposition, and no row for any other", () => {
  const documented = rows.map(([, name]) => name);
  assert.deepEqual(
    documented,
    FAMILIES.map(({ name }) => name),
  );
});

for (const [index, family] of FAMILIES.entries()) {
  test(`docs/metrics.md gives type and labels of ${family.name}`, () => {
    const [, , type, labels, meaning] = rows[index] ?? [];
    assert.equal(type, family.type);
    assert.deepEqual(labels?.split(" ").filter(Boolean), family.labels);
    assert.ok(meaning !== undefined && meaning.length > 5, "what it means");
  });
}

test("docs/metrics.md names every reason for a decision", () => {
  const row = rows.find(([, name]) => name === "crossfade_decisions_total")?.join(" ") ?? "";
  for (const reason of DECISION_REASONS) assert.ok(row.includes(reason), reason);
});

test("docs/metrics.md lists the process and runtime metrics that are exposed", async (t) => {
  if (process.platform !== "linux") return t.skip("the list is for Linux");
  const text = await createMetrics(countingSource([]), { version: "0", bucketsPerDoubling: 1 }).scrape();
  const exposed = [...text.matchAll(/^# TYPE ((?:process|nodejs)_\S+)/gm)].map(([, name]) => name as string);
  const documented = new Set([...page.matchAll(/`((?:process|nodejs)_\w+)`/g)].map(([, name]) => name as string));
  assert.deepEqual(documented, new Set(exposed));
});

test("the alert rules of docs/metrics.md use metrics that exist", () => {
  const example = page.slice(page.indexOf("```yaml"));
  const used = [...example.matchAll(/crossfade_[a-z_]+/g)].map(([name]) => name);
  assert.ok(used.length > 0);
  for (const name of used)
    assert.ok(
      FAMILIES.some((family) => family.name === name),
      name,
    );
});
