import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { createMetrics, FAMILIES } from "../../src/telemetry/metrics.ts";
import { DECISION_REASONS, FALLBACK_KINDS, RETRY_SKIPS } from "../../src/base/cells.ts";
import { PROBE_FAILURES } from "../../src/policy/health.ts";
import { CIRCUIT_KINDS } from "../../src/telemetry/resilience-reports.ts";
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

for (const [name, what, values] of [
  ["crossfade_decisions_total", "reason for a decision", DECISION_REASONS],
  ["crossfade_fallbacks_total", "kind of fallback", FALLBACK_KINDS],
  ["crossfade_retries_skipped_total", "reason not to try again", RETRY_SKIPS],
  ["crossfade_health_check_failures_total", "reason for a failed check", PROBE_FAILURES],
  ["crossfade_circuit_state", "state of a circuit", CIRCUIT_KINDS],
] as const) {
  test(`docs/metrics.md names every ${what}`, () => {
    const row = rows.find((cells) => cells[1] === name)?.join(" ") ?? "";
    for (const value of values) assert.ok(row.includes(value), value);
  });
}

test("docs/metrics.md lists the process and runtime metrics that are exposed", async (t) => {
  if (process.platform !== "linux") return t.skip("the list is for Linux");
  const text = await createMetrics(countingSource([]), { version: "0", bucketsPerDoubling: 1 }).scrape();
  const exposed = [...text.matchAll(/^# TYPE ((?:process|nodejs)_\S+)/gm)].map(([, name]) => name as string);
  const documented = new Set([...page.matchAll(/`((?:process|nodejs)_\w+)`/g)].map(([, name]) => name as string));
  assert.deepEqual(documented, new Set(exposed));
});
