import { chartSvg, type Bar, type Panel, type Tone } from "../bar-chart.ts";
import { REFERENCE } from "./contestants.ts";
import type { ClosedRow, CompareReport } from "./report.ts";

const TITLES: Readonly<Record<string, string>> = {
  small: "Small JSON GET: CPU of the proxy per request, user and then system",
  post: "POST with a body of 4 KiB: CPU of the proxy per request",
  large: "GET of 1 MiB: CPU of the proxy per MiB",
};

/** What a request costs each proxy, user and system time stacked, a panel for each load. */
export function compareSvg({ closed, machine, at }: CompareReport): string {
  const panels = Object.entries(TITLES).flatMap(([load, title]): Panel[] => {
    const bars = closed.filter((row) => row.load === load).flatMap(barsOf);
    return bars.length === 0 ? [] : [{ title, bars }];
  });
  return chartSvg(panels, `${machine.cpu}, ${machine.cores} cores, Node ${machine.node}, medians, ${at.slice(0, 10)}`);
}

function barsOf({ subject, median, ratio, unit }: ClosedRow): readonly Bar[] {
  if (median === null) return [];
  const tone: Tone = subject.startsWith("crossfade") ? "ours" : subject === REFERENCE.name ? "reference" : "other";
  const times = ratio === null ? "" : `, ${ratio.ofMedians.toFixed(2)} × ${REFERENCE.name}`;
  return [
    {
      label: subject,
      parts: [
        { value: median.userMicros, tone },
        { value: median.systemMicros, tone: `${tone}-second` },
      ],
      tail: null,
      words: `${median.cpuMicros.toFixed(unit === "MiB" ? 0 : 1)} µs${times}`,
    },
  ];
}
