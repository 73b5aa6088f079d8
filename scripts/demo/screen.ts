import type { CandidateReading } from "./admin.ts";
import type { PhaseResult, Totals } from "./tally.ts";

/** Where the demo prints: lines that stay, and below them a block that is painted over. */
export interface Screen {
  /** A block that moves can be shown. */
  readonly live: boolean;
  /** Prints lines that stay. */
  say(...lines: readonly string[]): void;
  /** Paints the moving block; nothing on a screen that cannot. */
  paint(lines: readonly string[]): void;
  /** Leaves the moving block as it is. */
  close(): void;
}

/** A screen on a terminal, or plain lines on anything else. `NO_COLOR` takes the colours away. */
export function screenOn(stream: NodeJS.WriteStream, env: NodeJS.ProcessEnv): Screen {
  const live = stream.isTTY;
  const tint = live && (env["NO_COLOR"] ?? "") === "" ? coloured : plain;
  let painted = 0;
  const erase = (): string => (painted === 0 ? "" : `\u001b[${painted}A\u001b[0J`);
  return {
    live,
    say(...lines) {
      const before = erase();
      painted = 0;
      stream.write(`${before}${lines.map((line) => `${tint(line)}\n`).join("")}`);
    },
    paint(lines) {
      if (!live) return;
      const fitted = lines.map((line) => line.slice(0, Math.max(20, (stream.columns || 100) - 1)));
      stream.write(`${erase()}${fitted.map((line) => `${tint(line)}\n`).join("")}`);
      painted = fitted.length;
    },
    close() {
      painted = 0;
    },
  };
}

const BAR_CELLS = 40;

/** The split as a bar: what the candidate has is filled. A share above zero shows at least one cell. */
export function splitBar(ppm: number, cells: number = BAR_CELLS): string {
  const exact = Math.round((ppm / 1_000_000) * cells);
  const filled = ppm === 0 ? 0 : ppm === 1_000_000 ? cells : Math.min(cells - 1, Math.max(1, exact));
  return `${"█".repeat(filled)}${"░".repeat(cells - filled)}`;
}

/** What the moving block shows. */
export interface LiveView {
  readonly title: string;
  readonly sharePpm: number;
  /** What stands at the right of the title, such as the time. */
  readonly note: string;
  readonly users: number;
  readonly usersOnV2: number;
  readonly totals: Totals;
  /** Null while a change is being made. */
  readonly phase: PhaseResult | null;
  /** Null until the sidecar was asked for the first time. */
  readonly candidate: CandidateReading | null;
  readonly perSecond: number;
}

/** The moving block. */
export function liveLines(view: LiveView): readonly string[] {
  const { totals, phase, candidate } = view;
  const speed = phase === null ? "" : `     p50 ${ms(phase.p50Ms)}     p99 ${ms(phase.p99Ms)}`;
  return [
    "",
    row("now", `${view.title.padEnd(46)} ${view.note}`),
    row("split", `v1 ${splitBar(view.sharePpm)} v2   ${percent(view.sharePpm)} of the callers`),
    row("users", `v1 ${pad(view.users - view.usersOnV2)}   v2 ${pad(view.usersOnV2)}   ${movesText(totals)}`),
    row("answers", `v1 ${pad(totals.v1)}   v2 ${pad(totals.v2)}   ${failuresText(totals)}`),
    row("v2 is", candidate === null ? "" : candidateText(candidate)),
    row("speed", `${pad(view.perSecond)} requests/s${speed}`),
    "",
  ];
}

/** How v2 is in the sidecar's eyes, and how often v1 answered in its place. */
export function candidateText({ health, circuit, fallbacks }: CandidateReading): string {
  return `${health.padEnd(9)}   circuit ${circuit.padEnd(9)}   fallbacks ${fallbacks}`;
}

/** What a phase came to, in one line. */
export function phaseLine({ phase, ...result }: PhaseResult): string {
  const rate = Math.round((result.v1 + result.v2) / Math.max(0.001, result.seconds));
  const users = `${String(result.usersOnV2).padStart(3)} users on v2 ${changeText(result.toV2, result.toV1)}`;
  const answers = `v1 ${pad(result.v1)}  v2 ${pad(result.v2)}`;
  const speed = `${rate}/s  p50 ${ms(result.p50Ms)}  p99 ${ms(result.p99Ms)}`;
  const planted = result.planted === 0 ? "" : `  ${result.planted} planted lies`;
  const failed = result.failed === 0 ? "" : `  ${result.failed} FAILED`;
  return `${percent(phase.sharePpm).padStart(5)} ${splitBar(phase.sharePpm, 10)}  ${users}  ${answers}  ${speed}${planted}${failed}`;
}

/** A row of the block and of the summary. */
export function row(name: string, text: string): string {
  return `  ${name.padEnd(10)} ${text}`;
}

function changeText(toV2: number, toV1: number): string {
  const parts = [toV2 > 0 ? `+${toV2}` : "", toV1 > 0 ? `−${toV1}` : ""].filter((part) => part !== "");
  return `(${parts.join(", ") || "±0"})`.padEnd(7);
}

function movesText({ moved, movedBack }: Totals): string {
  return `moves to v2 ${moved}, back while the share rose ${movedBack}`;
}

function failuresText({ failed, planted }: Totals): string {
  return `failed ${failed}${planted === 0 ? "" : `, planted lies ${planted}`}`;
}

function percent(ppm: number): string {
  return `${ppm / 10_000} %`;
}

function ms(value: number): string {
  return `${value.toFixed(1)} ms`;
}

function pad(count: number): string {
  return String(count).padStart(5);
}

function plain(line: string): string {
  return line;
}

const BLUE = "\u001b[34m";
const ORANGE = "\u001b[38;5;208m";
const DIM = "\u001b[2m";
const RED = "\u001b[31m";
const RESET = "\u001b[0m";

/** Colours by meaning: v1 blue, v2 orange, commands dim, failures and what is out of service red. */
function coloured(line: string): string {
  if (/^\s*\$ /.test(line)) return `${DIM}${line}${RESET}`;
  return line
    .replaceAll(/█+/g, (cells) => `${ORANGE}${cells}${RESET}`)
    .replaceAll(/░+/g, (cells) => `${BLUE}${cells}${RESET}`)
    .replaceAll(/\bv1\b/g, `${BLUE}v1${RESET}`)
    .replaceAll(/\bv2\b/g, `${ORANGE}v2${RESET}`)
    .replaceAll(/\b\d+ FAILED|NOT KEPT|\bunhealthy\b|\bcircuit open\b/g, (text) => `${RED}${text}${RESET}`);
}
