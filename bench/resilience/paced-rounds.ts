import { watchCore } from "../compare/core-use.ts";
import { mediansOf } from "../compare/medians.ts";
import { MOST_STALLED_SHARE } from "../compare/paced-rounds.ts";
import { MOST_FOR_STRANGERS } from "../compare/print.ts";
import type { PacedSample } from "../compare/report.ts";
import type { Subject } from "../contestant.ts";
import { runPaced } from "../paced.ts";
import type { Stage } from "./stage.ts";

/** A paced load on one subject. */
export interface PacedCase {
  readonly subject: Subject;
  readonly perSecond: number;
  /** Of a good answer. */
  readonly status: number;
}

/** One measurement; `requests` were sent in all, those before the measurement included. */
export interface PacedMeasurement extends PacedSample {
  readonly requests: number;
  /** CPU time of the subject for each of them. */
  readonly cpuMicros: number;
}

const CONNECTIONS = 64;
/** The same load before each measurement. */
export const LEAD_SECONDS = 1;

/** Every round of every case in turn: A B A B …. */
export async function pacedInTurn(
  cases: readonly PacedCase[],
  stage: Stage,
): Promise<ReadonlyMap<PacedCase, readonly PacedMeasurement[]>> {
  const taken = new Map<PacedCase, PacedMeasurement[]>(cases.map((each) => [each, []]));
  for (let round = 1; round <= stage.options.rounds; round++) {
    for (const each of cases) {
      const measured = await measurePaced(each, stage);
      taken.get(each)?.push(measured);
      stage.progress(`${each.subject.name}, round ${round}: ${wordsFor(measured)}`);
    }
  }
  return taken;
}

/** Measures once, and once more if the load generator stood still. */
export async function measurePaced(paced: PacedCase, stage: Stage): Promise<PacedMeasurement> {
  const first = await takeOnce(paced, stage);
  if (first.stalledShare <= MOST_STALLED_SHARE) return first;
  const second = await takeOnce(paced, stage);
  return second.stalledShare < first.stalledShare ? second : first;
}

/** Measures once. */
export async function takeOnce(
  { subject, perSecond, status }: PacedCase,
  { options: { seconds }, cores }: Stage,
): Promise<PacedMeasurement> {
  const useSince = watchCore(subject.processId, cores.measured);
  const spec = { url: subject.url, connections: CONNECTIONS, perSecond, leadSeconds: LEAD_SECONDS, seconds, status };
  const result = await runPaced(spec, cores.rest);
  const { cpuMicros, strangersShare } = useSince();
  const requests = perSecond * (LEAD_SECONDS + seconds);
  return { ...result, requests, cpuMicros: cpuMicros / requests, strangersShare };
}

/** The median of each figure. */
export function medianOf(rounds: readonly PacedMeasurement[]): PacedMeasurement {
  const median = mediansOf(rounds.map((sample) => ({ sample })));
  if (median === null) throw new Error("there is no round");
  return median;
}

/** A median in words. */
export function wordsFor({ p50Ms, p99Ms, cpuMicros, failed, requests }: PacedMeasurement): string {
  const bad = failed === 0 ? "" : `, ${failed} of ${requests} failed`;
  return `p50 ${p50Ms.toFixed(2)}, p99 ${p99Ms.toFixed(2)} ms, ${cpuMicros.toFixed(1)} µs CPU each${bad}`;
}

/** Why a median is not to be quoted: it tells of the load generator or of strangers. */
export function disturbancesOf({
  lateP99Ms,
  p99Ms,
  stalledShare,
  strangersShare,
}: PacedMeasurement): readonly string[] {
  const percent = (share: number): string => `${(100 * share).toFixed(0)} %`;
  return [
    ...(stalledShare > MOST_STALLED_SHARE
      ? [`the load generator stood still for ${percent(stalledShare)} of the time`]
      : []),
    ...(lateP99Ms > p99Ms / 2 ? [`the load generator was late by ${lateP99Ms.toFixed(2)} ms itself`] : []),
    ...((strangersShare ?? 0) > MOST_FOR_STRANGERS
      ? [`others had ${percent(strangersShare ?? 0)} of the sidecar's core`]
      : []),
  ];
}
