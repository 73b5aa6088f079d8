import type { Subject } from "../contestant.ts";
import { loadTools, type LoadSpec } from "../loads.ts";
import { watchCore } from "./core-use.ts";
import { oneLine } from "./one-line.ts";

/** One measurement of one subject under a closed load; CPU in µs per answer. */
export interface Sample {
  readonly perSecond: number;
  readonly cpuMicros: number;
  readonly userMicros: number;
  readonly systemMicros: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** As `CoreUse` has them. */
  readonly busyShare: number;
  readonly strangersShare: number | null;
}

/** A measurement, or why there is none although it was tried twice. */
export type Round = { readonly sample: Sample } | { readonly failure: string };

/** A closed load, without the subject's address. */
export type ClosedLoad = Omit<LoadSpec, "url" | "headers"> & {
  readonly name: string;
  readonly path: string;
  /** Where the load generator runs; null = not pinned. */
  readonly loadCore: number | null;
  /** Where the subjects run; null = not pinned. */
  readonly subjectCore: number | null;
};

/** How often, and whom to tell. */
export interface InTurn {
  readonly rounds: number;
  readonly warmUpSeconds: number;
  progress(line: string): void;
}

/** Every round of every subject: A B C A B C …, after warming each one up. */
export async function measureInTurn(
  load: ClosedLoad,
  subjects: readonly Subject[],
  { rounds, warmUpSeconds, progress }: InTurn,
): Promise<ReadonlyMap<Subject, readonly Round[]>> {
  for (const subject of subjects) {
    progress(`${load.name}: warming up ${subject.name}`);
    await tryOnce({ ...load, seconds: warmUpSeconds }, subject);
  }
  const taken = new Map<Subject, Round[]>(subjects.map((subject) => [subject, []]));
  for (let round = 1; round <= rounds; round++) {
    for (const subject of subjects) {
      const result = await takeRound(load, subject);
      taken.get(subject)?.push(result);
      progress(`${load.name}, round ${round} of ${rounds}: ${subject.name} ${wordsFor(result)}`);
    }
  }
  return taken;
}

async function takeRound(load: ClosedLoad, subject: Subject): Promise<Round> {
  const first = await tryOnce(load, subject);
  return "sample" in first ? first : tryOnce(load, subject);
}

async function tryOnce(load: ClosedLoad, subject: Subject): Promise<Round> {
  try {
    return await takeSample(load, subject);
  } catch (error) {
    // It died or the load tool could not reach it: the others are measured all the same.
    return { failure: oneLine(error) };
  }
}

async function takeSample(load: ClosedLoad, { url, processId }: Subject): Promise<Round> {
  const [tool] = loadTools();
  if (tool?.name !== "wrk") throw new Error("wrk is not on the PATH");
  const useSince = watchCore(processId, load.subjectCore);
  const result = await tool.run({ ...load, url: new URL(load.path, url).href, headers: {} }, load.loadCore);
  const { cpuMicros, userShare, busyShare, strangersShare } = useSince();
  const { requests, seconds, failed, failedHow, p50Ms, p99Ms } = result;
  if (failed > 0) return { failure: `${failedHow} among ${requests} requests` };
  if (requests === 0) return { failure: "no request was answered" };
  return {
    sample: {
      perSecond: requests / seconds,
      cpuMicros: cpuMicros / requests,
      userMicros: (cpuMicros * userShare) / requests,
      systemMicros: (cpuMicros * (1 - userShare)) / requests,
      p50Ms,
      p99Ms,
      busyShare,
      strangersShare,
    },
  };
}

function wordsFor(round: Round): string {
  if ("failure" in round) return `failed twice: ${round.failure}`;
  const { perSecond, cpuMicros, userMicros, systemMicros } = round.sample;
  const parts = `${userMicros.toFixed(1)} user + ${systemMicros.toFixed(1)} system`;
  return `${Math.round(perSecond)}/s, ${cpuMicros.toFixed(1)} µs CPU each (${parts})`;
}
