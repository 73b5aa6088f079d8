import { chartSvg, type Bar, type Panel, type Tone } from "./bar-chart.ts";
import type { Report, Row } from "./report.ts";

const TONES: Readonly<Record<string, Tone>> = { crossfade: "ours", nginx: "reference", direct: "reference-second" };

/** The report as an SVG: CPU per request under the full load, and latency on one connection. */
export function plotSvg({ rows, machine, at }: Report): string {
  const note = `${machine.cpu}, ${machine.cores} cores, Node ${machine.node}, ${at.slice(0, 10)}`;
  return chartSvg([cpuPanel(rows), latencyPanel(rows)], note);
}

function cpuPanel(rows: readonly Row[]): Panel {
  const bars = rows.flatMap((row) => {
    const { connections, cpuMicrosPerRequest: micros } = row;
    return connections > 1 && micros !== null ? [barOf(row, micros, null, `${micros.toFixed(1)} µs`)] : [];
  });
  return { title: "CPU of the proxy per request, full load", bars };
}

function latencyPanel(rows: readonly Row[]): Panel {
  const bars = rows
    .filter(({ connections }) => connections === 1)
    .map((row) => barOf(row, row.p50Ms, row.p99Ms, `${row.p50Ms.toFixed(3)} / ${row.p99Ms.toFixed(3)} ms`));
  return { title: "Latency on one connection: p50 (bar) and p99 (line)", bars };
}

function barOf({ subject, load }: Row, value: number, tail: number | null, words: string): Bar {
  return { label: `${subject} (${load})`, parts: [{ value, tone: TONES[subject] ?? "other" }], tail, words };
}
