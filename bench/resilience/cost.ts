import { ratioOf } from "../compare/closed.ts";
import { measureInTurn, type ClosedLoad, type Round } from "../compare/rounds.ts";
import { MOST_FOR_STRANGERS } from "../compare/print.ts";
import type { Subject } from "../contestant.ts";
import { findProgram } from "../processes.ts";
import { median } from "../report.ts";
import { startSidecar, type SidecarSections } from "../servers/crossfade.ts";
import { startUpstreamPair, type UpstreamPair } from "../upstreams.ts";
import { writeWrkScript } from "../wrk-scripts.ts";
import type { CostRatio, CostRow, ResilienceRow } from "./report.ts";
import type { Stage } from "./stage.ts";

/** A sidecar of the comparison. */
interface Variant {
  readonly name: string;
  /** Null = nothing beside what every sidecar of the benchmark has. */
  readonly sections: SidecarSections | null;
}

const PLAIN: Variant = { name: "plain", sections: null };
/** The same once more: how far two processes of one kind are apart. */
const CONTROL: Variant = { name: "plain again", sections: null };

const CIRCUIT = { circuitBreaker: {} };
const HEALTH = { health: { http: { path: "/" } } };
const RETRY = { retry: { attempts: 3, on: ["connect-failure", "refused-stream", "unavailable"] } };
const STATIC = { static: { status: 503, body: '{"error":"nobody is there"}' } };
const FALLBACK = { fallback: ["arm", STATIC] };
const ALL_ON: SidecarSections = {
  words: "circuit breaker and health checks of both upstreams, retries, fallback to the other arm and a static answer",
  upstream: { ...CIRCUIT, ...HEALTH },
  route: { ...RETRY, ...FALLBACK },
};
const ALL: Variant = { name: "all on", sections: ALL_ON };

const PARTS: readonly Variant[] = [
  { name: "circuit breaker", sections: { words: "circuit breaker of both upstreams", upstream: CIRCUIT } },
  { name: "health checks", sections: { words: "health checks of both upstreams", upstream: HEALTH } },
  { name: "retries", sections: { words: "retries", route: RETRY } },
  { name: "fallbacks", sections: { words: "fallback to the other arm and a static answer", route: FALLBACK } },
  {
    name: "all on, and stale",
    sections: {
      ...ALL_ON,
      words: `${ALL_ON.words}, the last good answer kept`,
      route: { ...RETRY, fallback: ["arm", { stale: {} }, STATIC] },
    },
  },
  {
    name: "overload off",
    sections: {
      words: "no limits of overload",
      process: { overload: { eventLoopLag: "0s", heap: "0%", maxInFlight: 0 } },
    },
  },
];

const CONNECTIONS = 64;
const SECONDS = 1;
const WARM_UP_SECONDS = 2;
/** With each set of fresh processes. */
const ROUNDS_OF_SET = 4;
const TARGET = 1.03;
/** When the control is further from 1 than this, the machine was not quiet enough for such a target. */
const MOST_FOR_CONTROL = 0.015;

/** Rounds of each variant by name; those of one set of processes lie together. */
type Taken = ReadonlyMap<string, readonly Round[]>;

/** What breaker, health checks, retries and fallbacks together cost a request that goes well. */
export async function measureCost(stage: Stage): Promise<readonly ResilienceRow[]> {
  const { taken, upstream } = await measureSets([PLAIN, CONTROL, ALL], stage.options.rounds, stage);
  const rows = costRows(taken);
  stage.found.costs.push({ title: "What all of it costs a request that goes well", rows });
  const [plain, control, all] = rows;
  if (plain === undefined || !control?.ratio || !all?.ratio) throw new Error("a variant gave no measurement");
  return [rowOf({ plain, control: control.ratio, all, ratio: all.ratio, strangers: strangersIn(taken), upstream })];
}

/** What each of them costs by itself; only a table of its own. */
export async function measureParts(stage: Stage): Promise<readonly ResilienceRow[]> {
  const { taken } = await measureSets([PLAIN, ...PARTS], Math.ceil(stage.options.rounds / 3), stage);
  stage.found.costs.push({ title: "What each part of it costs", rows: costRows(taken) });
  return [];
}

/** Several sets of fresh processes one after another: two processes of one kind differ, and more than two rounds do. */
async function measureSets(
  variants: readonly Variant[],
  sets: number,
  stage: Stage,
): Promise<{ readonly taken: Taken; readonly upstream: string }> {
  if (findProgram("wrk") === null) throw new Error("wrk is not on the PATH");
  const kind = findProgram("nginx") === null ? "bundled" : "nginx";
  const upstream = await startUpstreamPair(kind, stage.cores.rest, stage.folder);
  const taken = new Map<string, Round[]>(variants.map(({ name }) => [name, []]));
  try {
    for (let set = 1; set <= sets; set++) {
      const result = await measureSet(variants, upstream, `processes ${set} of ${sets}`, stage);
      for (const [{ name }, rounds] of result) taken.get(name)?.push(...rounds);
    }
  } finally {
    await upstream.stop();
  }
  return { taken, upstream: upstream.settings };
}

async function measureSet(
  variants: readonly Variant[],
  upstream: UpstreamPair,
  title: string,
  stage: Stage,
): Promise<ReadonlyMap<Subject, readonly Round[]>> {
  const subjects: Subject[] = [];
  try {
    for (const variant of variants) subjects.push(await startVariant(variant, upstream, stage));
    const progress = (line: string): void => stage.progress(`${title}, ${line}`);
    const inTurn = { rounds: ROUNDS_OF_SET, warmUpSeconds: WARM_UP_SECONDS, progress };
    return await measureInTurn(loadOf(stage), subjects, inTurn);
  } finally {
    for (const each of subjects.toReversed()) await each.stop();
  }
}

async function startVariant(
  { name, sections }: Variant,
  { ports }: UpstreamPair,
  { cores, folder, found }: Stage,
): Promise<Subject> {
  const place = {
    v1: `http://127.0.0.1:${ports.v1}`,
    v2: `http://127.0.0.1:${ports.v2}`,
    core: cores.measured,
    folder,
  };
  const subject = await startSidecar({ name, threads: 1, ...(sections === null ? {} : { sections }) }, place);
  found.settings[name] = subject.settings;
  return subject;
}

function loadOf({ cores, folder }: Stage): ClosedLoad {
  const script = writeWrkScript({ name: "small", method: "GET", path: "/", bodyBytes: 0 }, folder);
  return {
    name: "cost",
    path: "/",
    connections: CONNECTIONS,
    seconds: SECONDS,
    script,
    loadCore: cores.rest,
    subjectCore: cores.measured,
  };
}

/** The first variant is the one that the others are compared with. */
function costRows(taken: Taken): readonly CostRow[] {
  const series = [...taken].map(([subject, rounds]) => ({ subject, cpu: rounds.map(cpuOf) }));
  const base = series[0]?.cpu ?? [];
  return series.map(({ subject, cpu }, index) => ({
    subject,
    cpuMicros: median(cpu.filter((value) => value !== null)),
    ratio: index === 0 ? null : costRatio(cpu, base),
    cpuMicrosOfRounds: cpu,
  }));
}

type Series = readonly (number | null)[];

function costRatio(cpu: Series, base: Series): CostRatio | null {
  const ratio = ratioOf(cpu, base);
  if (ratio === null) return null;
  const pairs = cpu.flatMap((value, round) => ratioOf([value], [base[round] ?? null])?.ofMedians ?? []);
  const sets = Array.from({ length: Math.ceil(cpu.length / ROUNDS_OF_SET) }, (_, set) => {
    const [from, to] = [set * ROUNDS_OF_SET, (set + 1) * ROUNDS_OF_SET];
    return ratioOf(cpu.slice(from, to), base.slice(from, to))?.ofMedians ?? [];
  });
  return { ...ratio, middleHalf: middleHalf(pairs), ofProcesses: sets.flat() };
}

function middleHalf(values: readonly number[]): readonly [number, number] {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (quantile: number): number => sorted[Math.round((sorted.length - 1) * quantile)] ?? NaN;
  return [at(0.25), at(0.75)];
}

function cpuOf(round: Round): number | null {
  return "sample" in round ? round.sample.cpuMicros : null;
}

/** The part of the core that others had, as a median; null = nobody was held to one. */
function strangersIn(taken: Taken): number | null {
  const shares = [...taken.values()]
    .flat()
    .flatMap((round) => ("sample" in round ? (round.sample.strangersShare ?? []) : []));
  return shares.length === 0 ? null : median(shares);
}

/** What the row is made of. */
interface Compared {
  readonly plain: CostRow;
  readonly control: CostRatio;
  readonly all: CostRow;
  readonly ratio: CostRatio;
  readonly strangers: number | null;
  readonly upstream: string;
}

function rowOf({ plain, control, all, ratio, strangers, upstream }: Compared): ResilienceRow {
  const added = (of: number): string => `${of < 1 ? "−" : "+"}${Math.abs(100 * (of - 1)).toFixed(1)} %`;
  const rounds = plain.cpuMicrosOfRounds.length;
  return {
    row: "cost",
    what: "cost of breaker, health and retry bookkeeping on the fast path",
    target: "≤ 3 % CPU per request against the same build with them off",
    measured: `${added(ratio.ofMedians)} (${plain.cpuMicros.toFixed(2)} → ${all.cpuMicros.toFixed(2)} µs); the same against itself ${added(control.ofMedians)}`,
    met: ratio.ofMedians <= TARGET,
    how:
      `ratio of medians of ${rounds} rounds of ${SECONDS} s in turn, sets of fresh processes: ${ratio.ofProcesses.length}; ` +
      `wrk, ${CONNECTIONS} connections, small GET, one data thread, 10 % split; behind it ${upstream}`,
    disturbed: [
      ...(Math.abs(control.ofMedians - 1) > MOST_FOR_CONTROL
        ? [`plain differs from plain by ${added(control.ofMedians)}`]
        : []),
      ...((strangers ?? 0) > MOST_FOR_STRANGERS
        ? [`others had ${(100 * (strangers ?? 0)).toFixed(0)} % of the sidecar's core`]
        : []),
    ],
    rounds: { plain: plain.cpuMicrosOfRounds, all: all.cpuMicrosOfRounds },
  };
}
