/**
 * `npm run demo`: two sample services, the sidecar in front of them, 200 synthetic users, and the whole journey: the
 * share rises from 0 to 100 %, the new version dies on the way and nobody notices, it answers wrongly and everybody is
 * taken back, the kill switch is tried. On a terminal it is shown live and goes on until Ctrl-C; else it prints lines and
 * ends. Exit codes: 0, 1 when a promise was not kept, 2 usage, 130 when it was interrupted on the way.
 */
import { parseArgs } from "node:util";
import { adminOf, typedCommand, type Admin, type CandidateReading } from "./demo/admin.ts";
import type { Cast } from "./demo/cast.ts";
import { openStage, type Stage } from "./demo/processes.ts";
import { liveLines, row, screenOn, type Screen } from "./demo/screen.ts";
import { judged, STORY_SECONDS, tellStory, type Kept } from "./demo/story.ts";
import { Tally } from "./demo/tally.ts";
import { Traffic } from "./demo/traffic.ts";

const USAGE = `usage: npm run demo [-- --seconds N | --fast]

  --seconds N   the journey takes about N seconds (4 to 600, default ${STORY_SECONDS}), and the demo ends after it
  --fast        the same with N = 6
`;

const ROUTE = "api";
const USERS = 200;
/** While the journey lasts, and afterwards, when somebody only looks on. */
const REQUESTS_PER_SECOND = { journey: 300, afterwards: 50 } as const;
/** Nobody looks on for longer. */
const LONGEST_MS = 3_600_000;
const FRAME_MS = 120;

interface Wish {
  readonly seconds: number;
  readonly endsByItself: boolean;
}

function wishFrom(args: readonly string[], isTerminal: boolean): Wish | string {
  try {
    const options = { seconds: { type: "string" }, fast: { type: "boolean" } } as const;
    const { values } = parseArgs({ args: [...args], options });
    if (values.fast === true) return { seconds: 6, endsByItself: true };
    const seconds = Number(values.seconds ?? STORY_SECONDS);
    if (seconds >= 4 && seconds <= 600) return { seconds, endsByItself: values.seconds !== undefined || !isTerminal };
    return `--seconds: ${JSON.stringify(values.seconds)} is not a number from 4 to 600`;
  } catch (error) {
    return (error as Error).message;
  }
}

function paceOf({ seconds }: Wish): number {
  return seconds / STORY_SECONDS;
}

/** What changes while the demo runs, for the moving block. */
interface Scene {
  title: string;
  sharePpm: number;
  /** Only on a screen that is painted. */
  candidate: CandidateReading | null;
  readonly note: () => string;
}

async function main(): Promise<number> {
  const wish = wishFrom(process.argv.slice(2), process.stdout.isTTY);
  if (typeof wish === "string") {
    process.stderr.write(`demo: ${wish}\n\n${USAGE}`);
    return 2;
  }
  const screen = screenOn(process.stdout, process.env);
  const interrupted = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => interrupted.abort());
  screen.say("Crossfade demo: starting two services and the sidecar …");
  const stage = await openStage(ROUTE, ROUTE, paceOf(wish));
  try {
    const code = await play(wish, screen, stage, interrupted.signal);
    const exit = await stage.close();
    screen.say("Everything that was started has ended.");
    if (exit === 0 || interrupted.signal.aborted) return code;
    screen.say(`the sidecar ended with ${exit}, not with 0`);
    return 1;
  } catch (error) {
    await stage.close();
    if (interrupted.signal.aborted) return 130;
    throw error;
  }
}

async function play(wish: Wish, screen: Screen, stage: Stage, signal: AbortSignal): Promise<number> {
  const { sidecar, v1, v2 } = stage;
  const tally = new Tally(USERS, ROUTE);
  const admin = adminOf(sidecar, ROUTE);
  const port = Number(new URL(sidecar.listen).port);
  const traffic = new Traffic({
    port,
    users: USERS,
    turn: () => tally.turn,
    onAnswer: (answer) => tally.record(answer),
  });
  screen.say("", row("sidecar", sidecar.listen), row("v1", v1.url), row("v2", v2.url));
  screen.say(row("users", `${USERS}, who make ${REQUESTS_PER_SECOND.journey} requests a second`));
  const startedMs = performance.now();
  const scene: Scene = {
    title: "",
    sharePpm: 0,
    candidate: null,
    note: () => `${((performance.now() - startedMs) / 1000).toFixed(0)} s`,
  };
  const painter = setInterval(() => paint(screen, scene, tally, traffic), FRAME_MS);
  const onPhase = (title: string, sharePpm: number): void => void Object.assign(scene, { title, sharePpm });
  const over = new AbortController();
  const show = async (): Promise<number> => {
    traffic.start(REQUESTS_PER_SECOND.journey);
    const cast: Cast = { route: ROUTE, stage, admin, tally, screen, pace: paceOf(wish), onPhase, signal };
    const findings = await tellStory(cast);
    const verdict = judged(tally.totals, findings);
    screen.say(...summary(tally, verdict));
    if (!wish.endsByItself) await lookOn(screen, stage, admin, traffic, scene, signal);
    return verdict.every(({ kept }) => kept) ? 0 : 1;
  };
  const following = screen.live ? follow(admin, scene, AbortSignal.any([over.signal, signal])) : null;
  try {
    const [code] = await Promise.all([show().finally(() => over.abort()), following]);
    return code;
  } finally {
    clearInterval(painter);
    screen.close();
    await traffic.stop();
  }
}

/** Keeps the scene up to date with what the sidecar thinks of v2. */
async function follow(admin: Admin, scene: Scene, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    scene.candidate = await admin.candidate();
    await new Promise((go) => setTimeout(go, FRAME_MS));
  }
}

function paint(screen: Screen, scene: Scene, tally: Tally, traffic: Traffic): void {
  const phase = tally.result(performance.now());
  const { title, sharePpm, candidate } = scene;
  const { totals, usersOnV2 } = tally;
  const note = scene.note();
  const perSecond = traffic.perSecond();
  screen.paint(liveLines({ title, sharePpm, note, users: USERS, usersOnV2, totals, phase, candidate, perSecond }));
}

function summary(tally: Tally, verdict: readonly Kept[]): readonly string[] {
  const { answers, planted, v1, v2 } = tally.totals;
  return [
    "Summary",
    row("answers", `${answers}: v1 ${v1}, v2 ${v2}; ${planted} of them planted lies`),
    ...verdict.map(({ kept, text }) => row(kept ? "kept" : "NOT KEPT", text)),
    "",
  ];
}

/** The end of the journey on a terminal: everything stays up, with a little traffic, for whoever wants to look. */
async function lookOn(
  screen: Screen,
  stage: Stage,
  admin: Admin,
  traffic: Traffic,
  scene: Scene,
  signal: AbortSignal,
): Promise<void> {
  const { sidecar } = stage;
  screen.say(
    row("open", `${sidecar.admin}/   the dashboard`),
    row("", `${sidecar.metrics}/metrics`),
    row("try", typedCommand(sidecar.admin, ["split", ROUTE, "75%"])),
    row("", typedCommand(sidecar.admin, ["status"])),
    row("edit", `${sidecar.configFile}   (saved = in force)`),
    row("end", "Ctrl-C"),
  );
  traffic.start(REQUESTS_PER_SECOND.afterwards);
  const endMs = performance.now() + LONGEST_MS;
  while (!signal.aborted && performance.now() < endMs) {
    const { candidatePpm, killed } = await admin.inForce();
    Object.assign(scene, { title: killed ? "killed" : "it is yours", sharePpm: killed ? 0 : candidatePpm });
    await new Promise((go) => setTimeout(go, 250));
  }
}

process.exitCode = await main();
process.exit();
