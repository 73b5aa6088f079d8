import { hold, sayRun, untilCandidate, type Cast } from "./cast.ts";
import { dieAndComeBack, type Outage } from "./outage.ts";
import { row } from "./screen.ts";
import type { Totals } from "./tally.ts";

/** What the story found out beyond the tally. */
export interface Findings {
  readonly outage: Outage;
  /** From the moment the sidecar took the rollback to the last request that reached v2; below 0: it came before. */
  readonly rollbackMs: number;
  /** Planted lies that clients still got once the rollback was answered. */
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

/** The story from 0 % to 100 %, a candidate that dies and one that lies, and back. */
export async function tellStory(cast: Cast): Promise<Findings> {
  await raiseToHalf(cast);
  const outage = await dieAndComeBack(cast);
  await raiseToAll(cast);
  const rolledBack = await lieAndRollBack(cast);
  return { outage, ...rolledBack, ...(await killAndBack(cast)) };
}

/** The promises of the demo, judged. */
export function judged(totals: Totals, findings: Findings): readonly Kept[] {
  const { outage, rollbackMs, plantedAfterRollback, beforeKill, duringKill, afterKill } = findings;
  return [
    { kept: totals.failed === 0, text: `${totals.failed} of ${totals.answers} requests failed` },
    { kept: totals.movedBack === 0, text: `${totals.movedBack} users moved back while the share rose` },
    {
      kept: totals.wrongArm === 0,
      text: `${totals.checked - totals.wrongArm} of ${totals.checked} answers came from the arm that the user's bucket says, or from v1 while v2 was out`,
    },
    ...judgedOutage(outage),
    { kept: rollbackMs <= ROLLBACK_LIMIT_MS && plantedAfterRollback === 0, text: rollbackText(rollbackMs) },
    {
      kept: duringKill === 0 && afterKill === beforeKill,
      text: `the kill took ${beforeKill} users off v2 and left ${duringKill}; lifting it brought ${afterKill} back`,
    },
  ];
}

function judgedOutage(outage: Outage): readonly Kept[] {
  const { deadMs, answers, failed, fallbacks, whileOpen, usersBefore, usersBack, backMs, changes } = outage;
  return [
    {
      kept: failed === 0,
      text: `v2 was dead for ${seconds(deadMs)}: ${failed} of ${answers} requests failed; v1 answered ${fallbacks} that had failed at v2`,
    },
    {
      kept: whileOpen.asked === 0,
      text: `v2 was asked ${whileOpen.asked} times in ${seconds(whileOpen.ms)} with its circuit open`,
    },
    {
      kept: usersBack === usersBefore && changes === 0,
      text: `${usersBack} of ${usersBefore} users were back on v2 ${seconds(backMs)} after it was up again, with ${changes} changes by hand`,
    },
  ];
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}

/** When the last request reached v2, in words. */
export function rollbackText(rollbackMs: number): string {
  const ms = Math.abs(rollbackMs).toFixed(1);
  if (rollbackMs <= 0) return `the last request reached v2 ${ms} ms before the rollback, and none after it`;
  return `the last request reached v2 ${ms} ms after the rollback`;
}

async function raiseToHalf(cast: Cast): Promise<void> {
  cast.screen.say("", "The share of v2 rises, by the admin API. A user moves at most once, and only towards v2.", "");
  await hold(cast, { title: "everybody is on v1", sharePpm: 0, direction: "raise" }, 2);
  // Before its first check v2 would get nobody; v1 would answer for it.
  await untilCandidate(cast, "v2 passes its first check", ({ health }) => health === "healthy");
  for (const sharePpm of [100_000, 250_000, 500_000]) await raise(cast, sharePpm);
}

async function raiseToAll(cast: Cast): Promise<void> {
  cast.screen.say("", "The share goes on rising.", "");
  await raise(cast, 1_000_000);
}

async function raise(cast: Cast, sharePpm: number): Promise<void> {
  const percent = sharePpm / 10_000;
  cast.tally.change("raise");
  await cast.admin.split(`${percent}%`);
  await hold(cast, { title: `v2 has ${percent} %`, sharePpm, direction: "raise" }, 2.5);
}

async function lieAndRollBack(cast: Cast): Promise<Pick<Findings, "rollbackMs" | "plantedAfterRollback">> {
  const { admin, route, screen, stage, tally } = cast;
  screen.say("", "v2 lies: every other user is greeted by another's name, quickly and with status 200.");
  screen.say("No check and no circuit breaker can see that. Somebody has to.", "");
  stage.v2.lieFrom(0.5);
  await hold(cast, { title: "v2 lies", sharePpm: 1_000_000, direction: "raise" }, 2);
  screen.say("", "Back to v1, by hand:", "");
  tally.change("lower");
  sayRun(screen, await admin.ctl("rollback", route, "--reason", "v2 greets by the wrong name"));
  const after = await hold(cast, { title: "rolled back", sharePpm: 0, direction: "lower" }, 2);
  const { lastRequestAtMs } = await stage.v2.seen();
  const rollbackMs = lastRequestAtMs - (await admin.changedAtMs());
  screen.say("", row("rollback", rollbackText(rollbackMs)));
  return { rollbackMs, plantedAfterRollback: after.planted };
}

async function killAndBack(cast: Cast): Promise<Pick<Findings, "beforeKill" | "duringKill" | "afterKill">> {
  const { admin, route, screen, stage, tally } = cast;
  screen.say("", "v2 is repaired and gets half of the users; then the kill switch, and the same users back.", "");
  stage.v2.lieFrom(0);
  const steps = [
    { args: ["split", route, "50%"], title: "v2 has 50 %", sharePpm: 500_000, direction: "raise", seconds: 2.5 },
    { args: ["kill", "--reason", "drill"], title: "killed", sharePpm: 0, direction: "lower", seconds: 2 },
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
