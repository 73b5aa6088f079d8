import { setTimeout as sleep } from "node:timers/promises";
import type { Admin, CtlRun } from "./admin.ts";
import type { Stage } from "./processes.ts";
import { phaseLine, row, type Screen } from "./screen.ts";
import type { Phase, PhaseResult, Tally, Totals } from "./tally.ts";

/** What the story is told with. */
export interface Cast {
  readonly route: string;
  readonly stage: Stage;
  readonly admin: Admin;
  readonly tally: Tally;
  readonly screen: Screen;
  /** How long each phase lasts, as a multiple of what is written below. */
  readonly pace: number;
  /** Hears of each phase, for the moving block. */
  readonly onPhase: (title: string, sharePpm: number) => void;
  readonly signal: AbortSignal;
}

/** What the story found out beyond the tally. */
export interface Findings {
  /** From the moment the sidecar took the rollback to the last request that reached v2; below 0: it came before. */
  readonly rollbackMs: number;
  /** Planted failures that clients still saw once the rollback was answered. */
  readonly plantedAfterRollback: number;
  readonly beforeKill: number;
  readonly duringKill: number;
  readonly afterKill: number;
}

/** A promise of the demo and whether it was kept. */
export interface Kept {
  readonly kept: boolean;
  readonly text: string;
}

/** What all phases take together at pace 1, in seconds; the commands between them come on top. */
export const STORY_SECONDS = 30;

/** Longest time from a rollback to the last request to v2 that the demo lets pass; it is a few milliseconds. */
export const ROLLBACK_LIMIT_MS = 1_000;

/** Longest that a phase waits for the last of its users. */
const PATIENCE_MS = 10_000;

/** The story from 0 % to 100 %, a bad candidate, and back. */
export async function tellStory(cast: Cast): Promise<Findings> {
  await raise(cast);
  const rolledBack = await failAndRollBack(cast);
  return { ...rolledBack, ...(await killAndBack(cast)) };
}

/** The promises of the demo, judged. */
export function judged(totals: Totals, findings: Findings): readonly Kept[] {
  const { rollbackMs, plantedAfterRollback, beforeKill, duringKill, afterKill } = findings;
  return [
    { kept: totals.failed === 0, text: `${totals.failed} requests failed, planted ones apart` },
    { kept: totals.movedBack === 0, text: `${totals.movedBack} users moved back while the share rose` },
    {
      kept: totals.wrongArm === 0,
      text: `${totals.checked - totals.wrongArm} of ${totals.checked} answers came from the arm that the user's bucket says`,
    },
    { kept: rollbackMs <= ROLLBACK_LIMIT_MS && plantedAfterRollback === 0, text: rollbackText(rollbackMs) },
    {
      kept: duringKill === 0 && afterKill === beforeKill,
      text: `the kill took ${beforeKill} users off v2 and left ${duringKill}; lifting it brought ${afterKill} back`,
    },
  ];
}

/** When the last request reached v2, in words. */
export function rollbackText(rollbackMs: number): string {
  const ms = Math.abs(rollbackMs).toFixed(1);
  if (rollbackMs <= 0) return `the last request reached v2 ${ms} ms before the rollback, and none after it`;
  return `the last request reached v2 ${ms} ms after the rollback`;
}

const SHARES = [100_000, 250_000, 500_000, 1_000_000] as const;

async function raise(cast: Cast): Promise<void> {
  const { admin } = cast;
  cast.screen.say("", "The share of v2 rises, by the admin API. A user moves at most once, and only towards v2.", "");
  await hold(cast, { title: "everybody is on v1", sharePpm: 0, direction: "raise" }, 2.5);
  for (const sharePpm of SHARES) {
    cast.tally.change("raise");
    await admin.split(`${sharePpm / 10_000}%`);
    await hold(cast, { title: `v2 has ${sharePpm / 10_000} %`, sharePpm, direction: "raise" }, 3.5);
  }
}

async function failAndRollBack(cast: Cast): Promise<Pick<Findings, "rollbackMs" | "plantedAfterRollback">> {
  const { admin, route, screen, stage, tally } = cast;
  screen.say("", "v2 breaks: every other answer is a 500 now.", "");
  stage.v2.failFrom(0.5);
  await hold(cast, { title: "v2 fails", sharePpm: 1_000_000, direction: "raise" }, 2.5);
  screen.say("", "Back to v1, by hand:", "");
  tally.change("lower");
  sayRun(screen, await admin.ctl("rollback", route, "--reason", "v2 answers with 500s"));
  const after = await hold(cast, { title: "rolled back", sharePpm: 0, direction: "lower" }, 3);
  const { lastRequestAtMs } = await stage.v2.seen();
  const rollbackMs = lastRequestAtMs - (await admin.changedAtMs());
  screen.say("", row("rollback", rollbackText(rollbackMs)));
  return { rollbackMs, plantedAfterRollback: after.planted };
}

async function killAndBack(cast: Cast): Promise<Pick<Findings, "beforeKill" | "duringKill" | "afterKill">> {
  const { admin, route, screen, stage, tally } = cast;
  screen.say("", "v2 is repaired and gets half of the users; then the kill switch, and the same users back.", "");
  stage.v2.failFrom(0);
  const steps = [
    { args: ["split", route, "50%"], title: "v2 has 50 %", sharePpm: 500_000, direction: "raise", seconds: 3 },
    { args: ["kill", "--reason", "drill"], title: "killed", sharePpm: 0, direction: "lower", seconds: 2.5 },
    { args: ["unkill"], title: "the kill is lifted", sharePpm: 500_000, direction: "raise", seconds: 2 },
  ] as const;
  const usersOnV2: number[] = [];
  for (const { args, seconds, ...phase } of steps) {
    tally.change(phase.direction);
    sayRun(screen, await admin.ctl(...args));
    usersOnV2.push((await hold(cast, phase, seconds)).usersOnV2);
    screen.say("");
  }
  const [beforeKill = 0, duringKill = 0, afterKill = 0] = usersOnV2;
  return { beforeKill, duringKill, afterKill };
}

/** Lets a phase run for its time, and until every user had an answer in it. */
async function hold(cast: Cast, phase: Phase, seconds: number): Promise<PhaseResult> {
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

function sayRun(screen: Screen, { typed, lines, ms }: CtlRun): void {
  screen.say(`  $ ${typed}`, ...lines.map((line) => `    ${line}`));
  screen.say(`    (${Math.round(ms)} ms, nearly all of it the start of the command)`, "");
}
