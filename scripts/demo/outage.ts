import { setTimeout as sleep } from "node:timers/promises";
import type { CandidateReading } from "./admin.ts";
import { hold, untilCandidate, type Cast } from "./cast.ts";
import { row } from "./screen.ts";

/** What the death of v2 came to. */
export interface Outage {
  /** From the kill until v2 listened again. */
  readonly deadMs: number;
  /** Answers from the kill until everybody was back on v2, and how many of them were none or an error. */
  readonly answers: number;
  readonly failed: number;
  /** Those that the sidecar asked v1 for after v2 had failed to give them. */
  readonly fallbacks: number;
  readonly whileOpen: OpenTime;
  readonly usersBefore: number;
  readonly usersBack: number;
  /** From the moment v2 listened until everybody was back on it. */
  readonly backMs: number;
  /** Changes of the sidecar's config or share in all that time. */
  readonly changes: number;
}

/** What v2 was asked while its circuit was open. */
export interface OpenTime {
  /** Tries that failed by the sidecar's metrics, and requests that v2 itself saw; those under way as it opened apart. */
  readonly asked: number;
  /** How long that was looked at. */
  readonly ms: number;
}

const SHARE = { sharePpm: 500_000 } as const;

/** v2 is killed with half of the users on it, started again, and nobody tells the sidecar either. */
export async function dieAndComeBack(cast: Cast): Promise<Outage> {
  const { admin, screen, stage, tally } = cast;
  screen.say("", "v2 dies, and nobody notices: its process is killed (SIGKILL), and nobody tells the sidecar.", "");
  const before = await admin.candidate();
  const { answers, failed } = tally.totals;
  const usersBefore = tally.usersOnV2;
  tally.change("outage");
  cast.onPhase("v2 is killed", SHARE.sharePpm);
  const killedAtMs = Date.now();
  await stage.v2.kill();
  const opened = await untilCandidate(cast, "the circuit of v2 opens", isOpenAndQuiet);
  screen.say(
    eventRow(opened.circuitSinceMs - killedAtMs, "circuit open: v2 is not asked any more, v1 answers its users"),
  );
  const [whileOpen, upAtMs] = await Promise.all([watchWhileOpen(cast, opened), playDead(cast, killedAtMs)]);
  const after = await comeBack(cast, usersBefore, upAtMs);
  return {
    deadMs: upAtMs - killedAtMs,
    answers: tally.totals.answers - answers,
    failed: tally.totals.failed - failed,
    fallbacks: after.fallbacks - before.fallbacks,
    whileOpen,
    usersBefore,
    usersBack: after.usersBack,
    backMs: after.backMs,
    changes: after.generation - before.generation,
  };
}

/** The circuit is open, and nothing that was under way before is any more. */
function isOpenAndQuiet({ circuit, busy }: CandidateReading): boolean {
  return circuit === "open" && busy === 0;
}

/** The time in which v2 is dead, and its new start; resolves with the wall clock of the moment it listens. */
async function playDead(cast: Cast, killedAtMs: number): Promise<number> {
  const { screen, stage, tally } = cast;
  const checked = untilCandidate(cast, "the checks find v2 unhealthy", ({ health }) => health === "unhealthy").then(
    ({ healthSinceMs, healthReason }) => {
      screen.say(eventRow(healthSinceMs - killedAtMs, `unhealthy by its checks as well (${healthReason})`));
    },
  );
  await Promise.all([checked, hold(cast, { title: "v2 is dead", ...SHARE, direction: "outage" }, 3)]);
  tally.change("outage");
  screen.say("", "v2 is started again, on the same port. Nobody tells the sidecar that either.", "");
  cast.onPhase("v2 is started again", SHARE.sharePpm);
  await stage.v2.restart();
  return Date.now();
}

/**
 * Looks on for as long as the circuit is open. What was counted is read before the state is: if it is open still, it was
 * open when that was counted.
 */
async function watchWhileOpen({ admin, signal, stage }: Cast, { opened }: CandidateReading): Promise<OpenTime> {
  const countAsked = async (): Promise<number> => {
    const [failed, { requests }] = await Promise.all([admin.failedTries("v2"), stage.v2.seen()]);
    return failed + requests;
  };
  const beganMs = performance.now();
  const before = await countAsked();
  for (let openTime: OpenTime = { asked: 0, ms: 0 }; ; await sleep(50, undefined, { signal })) {
    const ms = performance.now() - beganMs;
    const asked = (await countAsked()) - before;
    const now = await admin.candidate();
    if (now.circuit !== "open" || now.opened !== opened) return openTime;
    openTime = { asked, ms };
  }
}

/** From the start of v2 until everybody who belongs to it is back, and a while longer. */
async function comeBack(
  cast: Cast,
  usersBefore: number,
  upAtMs: number,
): Promise<{ usersBack: number; backMs: number; fallbacks: number; generation: number }> {
  const { screen, stage, tally } = cast;
  const healthy = await untilCandidate(cast, "the checks find v2 well", ({ health }) => health === "healthy");
  screen.say(
    eventRow(healthy.healthSinceMs - upAtMs, "healthy by its checks; its circuit is judged by requests alone"),
  );
  const closed = await untilCandidate(cast, "the circuit of v2 closes", ({ circuit }) => circuit === "closed");
  screen.say(eventRow(closed.circuitSinceMs - upAtMs, "circuit closed: three requests tried v2 and were served"));
  // Those who tried it may be asked to wait for their turn like the others, so the last one back does not end it.
  const isOver = (): boolean => Date.now() - closed.circuitSinceMs > stage.slowStartMs + SLACK_MS;
  const last = await untilCandidate(cast, "v2's users are back", () => isOver() && tally.usersOnV2 === usersBefore);
  const backMs = Date.now() - upAtMs;
  screen.say(eventRow(backMs, `${tally.usersOnV2} users are back on v2, one after the other`));
  const { usersOnV2 } = await hold(cast, { title: "v2 is back", ...SHARE, direction: "raise" }, 1.5);
  return { usersBack: usersOnV2, backMs, fallbacks: last.fallbacks, generation: last.generation };
}

/** The data threads' clocks stand still for moments. */
const SLACK_MS = 100;

function eventRow(afterMs: number, text: string): string {
  return row(`${(Math.max(0, afterMs) / 1000).toFixed(2).padStart(6)} s`, text);
}
