/** Whose bar it is, and which part of it: each has a colour of its own, on light paper and on dark. */
export type Tone = "ours" | "ours-second" | "reference" | "reference-second" | "other" | "other-second";

/** One line of a panel. */
export interface Bar {
  readonly label: string;
  /** From left to right. */
  readonly parts: readonly { readonly value: number; readonly tone: Tone }[];
  /** End of the thin line, for a second value; null = none. */
  readonly tail: number | null;
  /** What stands behind it. */
  readonly words: string;
}

/** Bars of one unit under a title. */
export interface Panel {
  readonly title: string;
  readonly bars: readonly Bar[];
}

const WIDTH = 760;
const LABEL_WIDTH = 230;
const WORDS_WIDTH = 190;
const BAR_HEIGHT = 18;
const ROW_HEIGHT = 26;
const PANEL_GAP = 46;

const STYLE = `
.paper { fill: #ffffff } .ink { fill: #1f2328 } .faint { fill: #59636e } .line { stroke: #1f2328 }
.ours { fill: #2f6fdb } .ours-second { fill: #8db3ee }
.reference { fill: #6b727c } .reference-second { fill: #b4b9c0 }
.other { fill: #4c8a5a } .other-second { fill: #a3cbad }
@media (prefers-color-scheme: dark) {
  .paper { fill: #0d1117 } .ink { fill: #e6edf3 } .faint { fill: #9198a1 } .line { stroke: #e6edf3 }
  .ours { fill: #4c8df6 } .ours-second { fill: #27509a }
  .reference { fill: #9aa1ab } .reference-second { fill: #555c66 }
  .other { fill: #63a974 } .other-second { fill: #33603f }
}
`;

/** Panels below one another, each with a scale of its own, as an SVG that follows the reader's light or dark mode. */
export function chartSvg(panels: readonly Panel[], note: string): string {
  let y = 34;
  const drawn: string[] = [];
  for (const panel of panels) {
    drawn.push(panelSvg(panel, y));
    y += panel.bars.length * ROW_HEIGHT + PANEL_GAP;
  }
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${y}" font-family="sans-serif" font-size="12">
<style>${STYLE}</style>
<rect class="paper" width="${WIDTH}" height="${y}"/>
${drawn.join("\n")}
<text class="faint" x="12" y="${y - 12}" font-size="11">${escaped(note)}</text>
</svg>
`;
}

function panelSvg({ title, bars }: Panel, top: number): string {
  const most = Math.max(...bars.map((bar) => bar.tail ?? lengthOf(bar)), Number.MIN_VALUE);
  const scale = (WIDTH - LABEL_WIDTH - WORDS_WIDTH) / most;
  const lines = bars.map((bar, index) => barSvg(bar, top + 12 + index * ROW_HEIGHT, scale));
  return [`<text class="ink" x="12" y="${top}" font-weight="bold">${escaped(title)}</text>`, ...lines].join("\n");
}

function barSvg(bar: Bar, y: number, scale: number): string {
  const middle = y + BAR_HEIGHT / 2;
  const end = LABEL_WIDTH + (bar.tail ?? lengthOf(bar)) * scale;
  const whisker = `<line class="line" x1="${LABEL_WIDTH}" y1="${middle}" x2="${end.toFixed(1)}" y2="${middle}"/>`;
  return [
    `<text class="ink" x="${LABEL_WIDTH - 8}" y="${middle + 4}" text-anchor="end">${escaped(bar.label)}</text>`,
    ...partsSvg(bar, y, scale),
    ...(bar.tail === null ? [] : [whisker]),
    `<text class="ink" x="${(end + 8).toFixed(1)}" y="${middle + 4}">${escaped(bar.words)}</text>`,
  ].join("\n");
}

function partsSvg({ parts }: Bar, y: number, scale: number): readonly string[] {
  let x = LABEL_WIDTH;
  return parts.map(({ value, tone }) => {
    const width = value * scale;
    const rect = `<rect class="${tone}" x="${x.toFixed(1)}" y="${y}" width="${width.toFixed(1)}" height="${BAR_HEIGHT}"/>`;
    x += width;
    return rect;
  });
}

function lengthOf({ parts }: Bar): number {
  return parts.reduce((sum, { value }) => sum + value, 0);
}

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
