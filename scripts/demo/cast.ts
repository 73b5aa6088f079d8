import { setTimeout as sleep } from "node:timers/promises";
import type { Admin, CandidateReading, CtlRun } from "./admin.ts";
import type { Stage } from "./processes.ts";
import { phaseLine, type Screen } from "./screen.ts";
import type { Phase, PhaseResult, Tally } from "./tally.ts";

/** What the story is told with. */
export interface Cast {
  readonly route: string;
  readonly stage: Stage;
  readonly admin: Admin;
  readonly tally: Tally;
  readonly screen: Screen;
  /** How long each phase lasts, as a multiple of what the story says. */
  readonly pace: number;
  /** Hears of each phase, for the moving block. */
  readonly onPhase: (title: string, sharePpm: number) => void;
  readonly signal: AbortSignal;
}

/** Longest that the story waits for something that should come by itself, beyond the time it takes by the config. */
const PATIENCE_MS = 10_000;

/** Lets a phase run for its time, and until every user had an answer in it. */
export async function hold(cast: Cast, phase: Phase, seconds: number): Promise<PhaseResult> {
  const { onPhase, pace, screen, signal, tally } = cast;
  const beganMs = performance.now();
  tally.begin(phase, beganMs);
  onPhase(phase.title, phase.sharePpm);
  const endMs = beganMs + seconds * pace * 1000;
  while (performance.now() < endMs || !tally.everybodyHeard) {
    if (performance.now() > endMs + PATIENCE_MS) throw new Error(`${phase.title}: some users have no answer at all`);
    await sleep(20, undefined, { signal });
  }
  const result = tally.result(performance.now()) as PhaseResult;
  screen.say(phaseLine(result));
  return result;
}

/** Waits until v2 is, in the sidecar's eyes, as `isSo` says; rejects with `what` when that takes too long. */
export async function untilCandidate(
  { admin, signal, pace }: Pick<Cast, "admin" | "signal" | "pace">,
  what: string,
  isSo: (reading: CandidateReading) => boolean,
): Promise<CandidateReading> {
  const deadlineMs = performance.now() + PATIENCE_MS * Math.max(1, pace);
  for (;;) {
    const reading = await admin.candidate();
    if (isSo(reading)) return reading;
    if (performance.now() > deadlineMs) throw new Error(`waited in vain: ${what}; ${JSON.stringify(reading)}`);
    await sleep(20, undefined, { signal });
  }
}

/** Shows a command that was run and what it printed. */
export function sayRun(screen: Screen, { typed, lines, ms }: CtlRun): void {
  screen.say(`  $ ${typed}`, ...lines.map((line) => `    ${line}`));
  screen.say(`    (${Math.round(ms)} ms, nearly all of it the start of the command)`, "");
}
