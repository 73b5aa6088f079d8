import { machineLine } from "../machine.ts";
import type { CostTable, ResilienceReport, ResilienceRow } from "./report.ts";

const NOTHING = "–";

/** The report as Markdown: the machine, the table, what each setting costs, and what was switched on. */
export function printReport(report: ResilienceReport): string {
  const { rows, costs, settings } = report;
  return [
    ...headOf(report),
    "",
    ...tableOf(["what", "target", "measured", "met", "how"], rows.map(cellsOf)),
    "",
    ...disturbances(rows),
    ...costs.flatMap((each) => [`${each.title}:`, "", ...costTable(each), ""]),
    "Switched on:",
    "",
    ...Object.entries(settings).map(([name, what]) => `- ${name}: ${what}`),
    "",
  ].join("\n");
}

function headOf({ at, machine, loadAverageBefore, seconds, options, isPinned }: ResilienceReport): readonly string[] {
  const [before, after] = [loadAverageBefore.toFixed(1), machine.loadAverage.toFixed(1)];
  const cores = isPinned ? "the sidecar on core 0, load generator and upstreams on core 1" : "nobody is held to a core";
  return [
    `${machineLine(machine)}, load average ${before} before and ${after} after, ${at}`,
    "",
    `${options.rounds} ${options.rounds === 1 ? "round" : "rounds"} in turn, medians; paced measurements of ${options.seconds} s; ${cores}; ${Math.round(seconds)} s in all.`,
  ];
}

function cellsOf({ what, target, measured, met, how }: ResilienceRow): readonly string[] {
  return [what, target, measured, met === null ? NOTHING : met ? "yes" : "no", how];
}

function disturbances(rows: readonly ResilienceRow[]): readonly string[] {
  const lines = rows
    .filter(({ disturbed }) => disturbed.length > 0)
    .map(({ what, disturbed }) => `- ${what}: ${disturbed.join("; ")}`);
  return lines.length === 0 ? [] : ["Disturbed, not to be quoted:", "", ...lines, ""];
}

function costTable({ rows }: CostTable): readonly string[] {
  const head = ["subject", "CPU µs/request", "× plain", "median of pairs", "middle half of pairs", "by processes"];
  return tableOf(
    head,
    rows.map(({ subject, cpuMicros, ratio }) => {
      const start = [subject, cpuMicros.toFixed(2)];
      if (ratio === null) return [...start, ...head.slice(2).map(() => NOTHING)];
      return [
        ...start,
        ratio.ofMedians.toFixed(3),
        ratio.medianOfRounds?.toFixed(3) ?? NOTHING,
        ratio.middleHalf.map((each) => each.toFixed(3)).join(" to "),
        ratio.ofProcesses.map((each) => each.toFixed(3)).join(", "),
      ];
    }),
  );
}

function tableOf(head: readonly string[], rows: readonly (readonly string[])[]): readonly string[] {
  const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)];
}
