import { machineLine } from "../machine.ts";
import type { ClosedRow, CompareReport, MemoryRow, PacedRow, TargetRow } from "./report.ts";
import type { Sample } from "./rounds.ts";

const NOTHING = "–";
const OTHERS = "others on its core";
const MIB = 2 ** 20;
/** The kernel's own work and the idle rivals have a few hundredths; where others had more of the core, it is not quoted. */
export const MOST_FOR_STRANGERS = 0.08;

const TITLES: Readonly<Record<string, string>> = {
  small: "Small JSON GET, 64 connections",
  post: "POST with a body of 4 KiB, 64 connections",
  large: "GET of 1 MiB, 16 connections",
  routes: "10 000 routes against 1, small JSON GET to the last route, 64 connections",
  threads: "Two data threads against one, not pinned, small JSON GET, 64 connections",
};

/** The report as Markdown: the machine, who took part with what switched on, and a table for each load. */
export function printReport(report: CompareReport): string {
  const { closed, paced, memory, targets, unequal } = report;
  const loads = [...new Set(closed.map(({ load }) => load))];
  const tables = loads.map((load) => {
    const rows = closed.filter((row) => row.load === load);
    return section(TITLES[load] ?? load, closedTable(rows, unequal), notesOn(rows));
  });
  return [
    headOf(report),
    ...tables,
    ...(paced.length === 0
      ? []
      : [section("Paced at 60 % of own saturation, 64 connections", pacedTable(paced), notesOn(paced))]),
    ...(memory.length === 0 ? [] : [section("Resident memory, one data thread", memoryTable(memory), [])]),
    section("Targets", targetTable(targets), []),
  ].join("\n");
}

function headOf({ at, machine, options, settings, absent, unequal, failures }: CompareReport): string {
  const list = (entries: Readonly<Record<string, string>>): readonly string[] =>
    Object.entries(entries).map(([name, what]) => `- ${name}: ${what}`);
  const missing = Object.fromEntries(
    Object.entries(unequal).map(([name, what]) => [name, `not equal: missing ${what.join(", ")}`]),
  );
  return [
    `${machineLine(machine)}, load average ${machine.loadAverage.toFixed(1)} at the end, ${at}`,
    "",
    ...list(options),
    "",
    ...part("Switched on:", list(settings)),
    ...part("Took no part:", list(absent)),
    ...part("Not the same work, marked ≠ below:", list(missing)),
    ...part("Could not be done:", list(failures)),
  ].join("\n");
}

function part(title: string, lines: readonly string[]): readonly string[] {
  return lines.length === 0 ? [] : [title, "", ...lines, ""];
}

function section(title: string, table: readonly string[], notes: readonly string[]): string {
  return [
    `### ${title}`,
    "",
    ...table,
    ...(notes.length === 0 ? [] : ["", ...notes.map((note) => `- ${note}`)]),
    "",
  ].join("\n");
}

function closedTable(rows: readonly ClosedRow[], unequal: CompareReport["unequal"]): readonly string[] {
  const unit = rows[0]?.unit ?? "request";
  const head = [
    "subject",
    "requests/s",
    `CPU µs/${unit}`,
    "user",
    "system",
    "×",
    "p50 ms",
    "p99 ms",
    "busy",
    "others on its core",
  ];
  return tableOf(
    head,
    rows.map(({ subject, median, ratio }) => {
      const name = subject in unequal ? `${subject} ≠` : subject;
      if (median === null) return [name, "failed", ...head.slice(2).map(() => NOTHING)];
      return [
        name,
        String(Math.round(median.perSecond)),
        median.cpuMicros.toFixed(1),
        median.userMicros.toFixed(1),
        median.systemMicros.toFixed(1),
        ratioText(ratio?.ofMedians ?? null),
        median.p50Ms.toFixed(2),
        median.p99Ms.toFixed(2),
        percent(median.busyShare),
        othersText(median),
      ];
    }),
  );
}

function pacedTable(rows: readonly PacedRow[]): readonly string[] {
  const head = [
    "rate of",
    "requests/s",
    "subject",
    "p50 ms",
    "p99 ms",
    "p99.9 ms",
    "× p99",
    "generator late, p99 ms",
    "stalled",
    OTHERS,
  ];
  return tableOf(
    head,
    rows.map(({ rateOf, perSecond, subject, median, ratio }) => {
      const start = [rateOf, String(perSecond), subject];
      if (median === null) return [...start, "failed", ...head.slice(4).map(() => NOTHING)];
      const times = [median.p50Ms, median.p99Ms, median.p999Ms].map((ms) => ms.toFixed(3));
      const generator = [median.lateP99Ms.toFixed(3), `${(100 * median.stalledShare).toFixed(1)} %`];
      return [...start, ...times, ratioText(ratio?.ofMedians ?? null), ...generator, othersText(median)];
    }),
  );
}

function memoryTable(rows: readonly MemoryRow[]): readonly string[] {
  const busy = `MiB, ${rows[0]?.connections ?? 0} busy connections`;
  return tableOf(
    ["subject", "MiB, idle after 5 s", busy, "failed"],
    rows.map(({ subject, idleBytes, busyBytes, failure }) => [
      subject,
      (idleBytes / MIB).toFixed(0),
      (busyBytes / MIB).toFixed(0),
      failure ?? "nothing",
    ]),
  );
}

function targetTable(rows: readonly TargetRow[]): readonly string[] {
  return tableOf(
    ["what", "target", "measured", "met"],
    rows.map(({ what, target, measured, met }) => [
      what,
      target,
      measured === null ? "not measured" : measured.toFixed(2),
      met === null ? NOTHING : met ? "yes" : "no",
    ]),
  );
}

function notesOn(rows: readonly (ClosedRow | PacedRow)[]): readonly string[] {
  return [...roundFailures(rows), ...disturbances(rows)];
}

function roundFailures(rows: readonly (ClosedRow | PacedRow)[]): readonly string[] {
  return rows.flatMap(({ subject, rounds }) => {
    const failed = rounds.flatMap((round) => ("failure" in round ? [round.failure] : []));
    return failed.length === 0
      ? []
      : [`${subject}: no measurement in ${failed.length} of ${rounds.length} rounds: ${failed[0]}`];
  });
}

function disturbances(rows: readonly (ClosedRow | PacedRow)[]): readonly string[] {
  const disturbed = rows.filter(({ median }) => (median?.strangersShare ?? 0) > MOST_FOR_STRANGERS);
  if (disturbed.length === 0) return [];
  const names = disturbed.map(({ subject }) => subject).join(", ");
  return [`Disturbed, not to be quoted: others had more than ${percent(MOST_FOR_STRANGERS)} of the core of ${names}.`];
}

function tableOf(head: readonly string[], rows: readonly (readonly string[])[]): readonly string[] {
  const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
  return [line(head), line(head.map((_, index) => (index === 0 ? "---" : "--:"))), ...rows.map(line)];
}

function ratioText(ratio: number | null): string {
  return ratio === null ? NOTHING : `${ratio.toFixed(2)} ×`;
}

function othersText({ strangersShare }: Pick<Sample, "strangersShare">): string {
  return strangersShare === null ? NOTHING : percent(strangersShare);
}

function percent(share: number): string {
  return `${(100 * share).toFixed(0)} %`;
}
