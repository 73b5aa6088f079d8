import { machineLine, type Machine } from "./machine.ts";

/** Medians of one load on one subject. */
export interface Row {
  readonly load: string;
  readonly connections: number;
  readonly subject: string;
  readonly requestsPerSecond: number;
  /** Of the proxy's process, all threads, user and system; null when there is no proxy. */
  readonly cpuMicrosPerRequest: number | null;
  readonly cpuMicrosOfRounds: readonly (number | null)[];
  readonly upstreamCpuMicrosPerRequest: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly residentBytes: number | null;
}

/** One run of the benchmark, with all that is needed to judge its numbers. */
export interface Report {
  /** ISO 8601. */
  readonly at: string;
  /** At the end of the run. */
  readonly machine: Machine;
  readonly options: Readonly<Record<string, string | number>>;
  /** What was switched on, by subject. */
  readonly settings: Readonly<Record<string, string>>;
  readonly rows: readonly Row[];
}

/** The middle value; of an even number of them the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  const [low = NaN, high = low] = [sorted[Math.ceil(middle) - 1], sorted[Math.floor(middle)]];
  return (low + high) / 2;
}

/** The report as text: the machine, the settings, and a Markdown table of medians. */
export function printTable(report: Report): string {
  const { machine, options, settings } = report;
  const lines = [
    "",
    machineLine(machine),
    Object.entries(options)
      .map(([name, value]) => `${name}: ${value}`)
      .join("; "),
    ...Object.entries(settings).map(([name, what]) => `${name}: ${what}`),
    "",
    "| load | subject | requests/s | CPU µs/request | p50 ms | p99 ms | resident MiB |",
    "|---|---|--:|--:|--:|--:|--:|",
    ...report.rows.map(lineFrom),
    "",
  ];
  return lines.join("\n");
}

function lineFrom(row: Row): string {
  const cells = [
    `${row.load}, ${row.connections} ${row.connections === 1 ? "connection" : "connections"}`,
    row.subject,
    String(Math.round(row.requestsPerSecond)),
    row.cpuMicrosPerRequest === null ? "–" : row.cpuMicrosPerRequest.toFixed(1),
    row.p50Ms.toFixed(3),
    row.p99Ms.toFixed(3),
    row.residentBytes === null ? "–" : (row.residentBytes / 2 ** 20).toFixed(0),
  ];
  return `| ${cells.join(" | ")} |`;
}
