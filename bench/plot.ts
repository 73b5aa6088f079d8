import type { Report, Row } from "./report.ts";

const WIDTH = 760;
const LABEL_WIDTH = 230;
const BAR_HEIGHT = 18;
const ROW_HEIGHT = 26;
const PANEL_GAP = 46;

interface Panel {
  readonly title: string;
  readonly bars: readonly Bar[];
  readonly unit: string;
}

interface Bar {
  readonly label: string;
  readonly subject: string;
  readonly value: number;
  /** End of the thin line, for a second value; null = none. */
  readonly tail: number | null;
}

const COLOURS: Readonly<Record<string, string>> = { crossfade: "#2f6fdb", nginx: "#8a8f98", direct: "#c9ccd1" };

/** The report as an SVG: CPU per request under the full load, and latency on one connection. */
export function plotSvg(report: Report): string {
  const panels = [cpuPanel(report.rows), latencyPanel(report.rows)];
  let y = 34;
  const parts: string[] = [];
  for (const panel of panels) {
    parts.push(panelSvg(panel, y));
    y += panel.bars.length * ROW_HEIGHT + PANEL_GAP;
  }
  const { machine } = report;
  const note = `${machine.cpu}, ${machine.cores} cores, Node ${machine.node}, ${report.at.slice(0, 10)}`;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${y}" font-family="sans-serif" font-size="12">
<rect width="${WIDTH}" height="${y}" fill="#ffffff"/>
${parts.join("\n")}
<text x="12" y="${y - 12}" fill="#666666" font-size="11">${escaped(note)}</text>
</svg>
`;
}

function cpuPanel(rows: readonly Row[]): Panel {
  const bars = rows
    .filter((row) => row.connections > 1 && row.cpuMicrosPerRequest !== null)
    .map((row) => ({ label: labelOf(row), subject: row.subject, value: row.cpuMicrosPerRequest ?? 0, tail: null }));
  return { title: "CPU of the proxy per request, full load", bars, unit: "µs" };
}

function latencyPanel(rows: readonly Row[]): Panel {
  const bars = rows
    .filter((row) => row.connections === 1)
    .map((row) => ({ label: labelOf(row), subject: row.subject, value: row.p50Ms, tail: row.p99Ms }));
  return { title: "Latency on one connection: p50 (bar) and p99 (line)", bars, unit: "ms" };
}

function labelOf({ subject, load }: Row): string {
  return `${subject} (${load})`;
}

function panelSvg({ title, bars, unit }: Panel, top: number): string {
  const most = Math.max(...bars.map(({ value, tail }) => tail ?? value), Number.MIN_VALUE);
  const scale = (WIDTH - LABEL_WIDTH - 140) / most;
  const lines = bars.map((bar, index) => barSvg(bar, top + 12 + index * ROW_HEIGHT, scale, unit));
  return [`<text x="12" y="${top}" font-weight="bold">${escaped(title)}</text>`, ...lines].join("\n");
}

function barSvg({ label, subject, value, tail }: Bar, y: number, scale: number, unit: string): string {
  const middle = y + BAR_HEIGHT / 2;
  const end = LABEL_WIDTH + (tail ?? value) * scale;
  const digits = unit === "ms" ? 3 : 1;
  const words =
    tail === null ? `${value.toFixed(digits)} ${unit}` : `${value.toFixed(digits)} / ${tail.toFixed(digits)} ${unit}`;
  const whisker =
    tail === null
      ? ""
      : `<line x1="${LABEL_WIDTH}" y1="${middle}" x2="${end.toFixed(1)}" y2="${middle}" stroke="#333333"/>`;
  return `<text x="${LABEL_WIDTH - 8}" y="${middle + 4}" text-anchor="end">${escaped(label)}</text>
<rect x="${LABEL_WIDTH}" y="${y}" width="${(value * scale).toFixed(1)}" height="${BAR_HEIGHT}" fill="${COLOURS[subject] ?? "#5b9a68"}"/>
${whisker}<text x="${(end + 8).toFixed(1)}" y="${middle + 4}">${escaped(words)}</text>`;
}

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
