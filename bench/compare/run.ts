import type { Contestant, Place, Subject } from "../contestant.ts";
import { LARGE_PATH } from "../answers.ts";
import { writeWrkScript, type RequestShape } from "../wrk-scripts.ts";
import { assemble, type Cast } from "./cast.ts";
import { closedRows } from "./closed.ts";
import { CONTESTANTS, REFERENCE } from "./contestants.ts";
import { mediansOf } from "./medians.ts";
import { builtCrossfade, memoryRow } from "./memory.ts";
import { oneLine } from "./one-line.ts";
import type { CompareOptions, LoadName } from "./options.ts";
import { pacedRows } from "./paced-rounds.ts";
import { LAST_ROUTE_PATH, pairRows, ROUTES_PAIR, THREADS_PAIR } from "./pairs.ts";
import type { ClosedRow, MemoryRow, PacedRow } from "./report.ts";
import { measureInTurn, type ClosedLoad, type InTurn } from "./rounds.ts";

/** Where everything runs. */
export interface Stage {
  readonly place: Place;
  /** Core of the load generator; null = not pinned. */
  readonly loadCore: number | null;
  progress(line: string): void;
}

/** What a run gave; grows as its loads are done. */
export interface Findings {
  readonly settings: Record<string, string>;
  absent: Cast["absent"];
  unequal: Cast["unequal"];
  readonly closed: ClosedRow[];
  readonly paced: PacedRow[];
  readonly memory: MemoryRow[];
  readonly failures: Record<string, string>;
}

interface Run {
  readonly options: CompareOptions;
  readonly stage: Stage;
  readonly found: Findings;
}

const GET: RequestShape = { name: "small", method: "GET", path: "/", bodyBytes: 0 };
const SHAPES = {
  small: { ...GET, connections: 64 },
  post: { ...GET, name: "post", method: "POST", bodyBytes: 4_096, connections: 64 },
  large: { ...GET, name: "large", path: LARGE_PATH, connections: 16 },
  routes: { ...GET, name: "routes", path: LAST_ROUTE_PATH, connections: 64 },
  threads: { ...GET, name: "threads", connections: 64 },
} as const satisfies Partial<Record<LoadName, RequestShape & { readonly connections: number }>>;

/** Does all the loads that are asked for. One that cannot be done is noted, and the others go on. */
export async function runLoads(options: CompareOptions, stage: Stage): Promise<Findings> {
  const found: Findings = { settings: {}, absent: {}, unequal: {}, closed: [], paced: [], memory: [], failures: {} };
  const run: Run = { options, stage, found };
  const isAsked = (load: LoadName): boolean => options.loads.includes(load);
  if ((["small", "post", "large", "paced"] as const).some(isAsked)) await withCast(run);
  if (isAsked("routes")) await attempt(run, "routes", () => measurePair(run, "routes", ROUTES_PAIR));
  if (isAsked("threads")) {
    const unpinned = { ...run, stage: { ...stage, place: { ...stage.place, core: null } } };
    await attempt(run, "threads", () => measurePair(unpinned, "threads", THREADS_PAIR));
  }
  if (isAsked("memory")) await attempt(run, "memory", () => measureMemory(run));
  return found;
}

async function attempt({ stage, found }: Run, load: LoadName, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    found.failures[load] = oneLine(error);
    stage.progress(`${load}: could not be done: ${oneLine(error)}`);
  }
}

async function withCast(run: Run): Promise<void> {
  const { options, stage, found } = run;
  const wanted = CONTESTANTS.filter(({ name }) => options.only === null || options.only.includes(name));
  const cast = await assemble(wanted, stage.place, stage.progress);
  Object.assign(found, { absent: cast.absent, unequal: cast.unequal });
  for (const { name, settings } of cast.subjects) found.settings[name] = settings;
  try {
    for (const load of ["small", "post", "large"] as const) {
      if (options.loads.includes(load)) await attempt(run, load, () => measureAll(run, load, cast.subjects));
    }
    if (options.loads.includes("paced")) await attempt(run, "paced", () => measurePaced(run, cast.subjects));
  } finally {
    await cast.stop();
  }
}

async function measureAll(run: Run, load: "small" | "post" | "large", subjects: readonly Subject[]): Promise<void> {
  const unit = load === "large" ? "MiB" : "request";
  run.found.closed.push(...(await closedRows(closedLoad(run, load), unit, subjects, REFERENCE.name, inTurnOf(run))));
}

async function measurePaced(run: Run, subjects: readonly Subject[]): Promise<void> {
  const { options, stage, found } = run;
  const reference = subjects.find(({ name }) => name === REFERENCE.name);
  if (reference === undefined) throw new Error(`${REFERENCE.name} is not there to be compared with`);
  const cores = { loadCore: stage.loadCore, subjectCore: stage.place.core };
  const plan = { ...inTurnOf(run), ...cores, seconds: options.seconds };
  for (const subject of subjects.filter(({ name }) => name.startsWith("crossfade"))) {
    const saturation = await saturationOf(run, subject);
    if (saturation === null) found.failures[`paced, ${subject.name}`] = "its saturation could not be measured";
    else found.paced.push(...(await pacedRows(subject, saturation, reference, plan)));
  }
}

/** Requests in a second under the small load, from this run if it was part of it. */
async function saturationOf(run: Run, subject: Subject): Promise<number | null> {
  const row = run.found.closed.find((each) => each.load === "small" && each.subject === subject.name);
  if (row !== undefined) return row.median?.perSecond ?? null;
  const taken = await measureInTurn(closedLoad(run, "small"), [subject], { ...inTurnOf(run), rounds: 1 });
  return mediansOf(taken.get(subject) ?? [])?.perSecond ?? null;
}

async function measurePair(
  run: Run,
  load: "routes" | "threads",
  pair: readonly [Contestant, Contestant],
): Promise<void> {
  const { stage, found } = run;
  found.closed.push(...(await pairRows(pair, closedLoad(run, load), stage.place, inTurnOf(run))));
  for (const { name, settings } of pair) found.settings[name] = settings;
}

async function measureMemory({ options, stage, found }: Run): Promise<void> {
  const script = writeWrkScript(GET, stage.place.folder);
  const { warmUpSeconds } = options;
  const load = { seconds: Math.max(options.seconds, 5), warmUpSeconds, script, loadCore: stage.loadCore };
  for (const contestant of [builtCrossfade(stage.place.folder), REFERENCE]) {
    stage.progress(`memory: ${contestant.name}`);
    found.memory.push(await memoryRow(contestant, stage.place, load));
    found.settings[contestant.name] = contestant.settings;
  }
}

function inTurnOf({ options: { rounds, warmUpSeconds }, stage: { progress } }: Run): InTurn {
  return { rounds, warmUpSeconds, progress };
}

function closedLoad({ options: { seconds }, stage }: Run, load: keyof typeof SHAPES): ClosedLoad {
  const { place, loadCore } = stage;
  const { connections, ...shape } = SHAPES[load];
  const script = writeWrkScript(shape, place.folder);
  return { name: load, path: shape.path, connections, seconds, script, loadCore, subjectCore: place.core };
}
