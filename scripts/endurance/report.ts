import type { EnduranceResult } from "./run.ts";

/** The final table; with the seed and the last log records when a promise was not kept. */
export function reportLines({ findings, table, lastLogs }: EnduranceResult, seed: number): readonly string[] {
  const width = Math.max(...table.map(([name]) => name.length));
  const rows = table.map(([name, value]) => `  ${name.padEnd(width)}  ${value}`);
  const verdicts = findings.map(({ promise, kept, detail }) => {
    return `${kept ? "kept" : "NOT KEPT"}: ${promise}\n      ${detail.replaceAll("\n", "\n      ")}`;
  });
  const lines = ["", ...rows, "", ...verdicts];
  if (findings.every(({ kept }) => kept)) return lines;
  return [...lines, "", `seed ${seed}; the last log records:`, ...lastLogs];
}
