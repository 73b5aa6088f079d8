import type { Subject } from "../contestant.ts";
import { runPaced, type PacedResult } from "../paced.ts";
import { ratioOf } from "./closed.ts";
import { watchCore } from "./core-use.ts";
import { mediansOf } from "./medians.ts";
import { oneLine } from "./one-line.ts";
import type { PacedRound, PacedRow } from "./report.ts";
import type { InTurn } from "./rounds.ts";

/** How the paced load is to run. */
export interface PacedPlan extends InTurn {
  readonly seconds: number;
  readonly loadCore: number | null;
  readonly subjectCore: number | null;
}

const CONNECTIONS = 64;
const PART_OF_SATURATION = 0.6;
/** A run that is further than this below its rate was not at that rate. */
const LEAST_RATE = 0.99;
/** A generator whose own share may be larger than this part of the p99 has measured itself. */
const MOST_OWN_SHARE = 0.5;
/** One that stood still for longer than this part of the time tells of its own core and not of the subject. */
export const MOST_STALLED_SHARE = 0.05;

/** Latency of a subject at 60 % of its own saturation, and of the reference at the same rate, in turn. */
export async function pacedRows(
  subject: Subject,
  saturationPerSecond: number,
  reference: Subject,
  plan: PacedPlan,
): Promise<readonly PacedRow[]> {
  const perSecond = Math.round(saturationPerSecond * PART_OF_SATURATION);
  const [own, others]: [PacedRound[], PacedRound[]] = [[], []];
  for (let round = 1; round <= plan.rounds; round++) {
    for (const [each, rounds] of [[subject, own] as const, [reference, others] as const]) {
      const result = await takeRound(each, perSecond, plan);
      rounds.push(result);
      plan.progress(`paced, ${perSecond}/s, round ${round} of ${plan.rounds}: ${each.name} ${wordsFor(result)}`);
    }
  }
  const shared = { rateOf: subject.name, perSecond };
  const ratio = ratioOf(own.map(p99Of), others.map(p99Of));
  return [
    { ...shared, subject: subject.name, median: mediansOf(own), ratio, rounds: own },
    { ...shared, subject: reference.name, median: mediansOf(others), ratio: null, rounds: others },
  ];
}

async function takeRound(subject: Subject, perSecond: number, plan: PacedPlan): Promise<PacedRound> {
  const first = await tryOnce(subject, perSecond, plan);
  return "sample" in first ? first : tryOnce(subject, perSecond, plan);
}

async function tryOnce(
  { url, processId }: Subject,
  perSecond: number,
  { seconds, warmUpSeconds, loadCore, subjectCore }: PacedPlan,
): Promise<PacedRound> {
  const spec = { url, connections: CONNECTIONS, perSecond, leadSeconds: warmUpSeconds, seconds };
  try {
    const useSince = watchCore(processId, subjectCore);
    const result = await runPaced(spec, loadCore);
    const failure = faultOf(result, perSecond);
    return failure === null ? { sample: { ...result, strangersShare: useSince().strangersShare } } : { failure };
  } catch (error) {
    return { failure: oneLine(error) };
  }
}

/** Why a run is no measurement; null when it is one. */
function faultOf(result: PacedResult, wantedPerSecond: number): string | null {
  const { perSecond, failed, p99Ms, lateP99Ms, stalledShare } = result;
  if (stalledShare > MOST_STALLED_SHARE)
    return `the load generator stood still for ${(100 * stalledShare).toFixed(0)} % of the time`;
  if (failed > 0) return `${failed} requests failed`;
  if (perSecond < wantedPerSecond * LEAST_RATE) return `it came to ${Math.round(perSecond)}/s only`;
  if (lateP99Ms > p99Ms * MOST_OWN_SHARE)
    return `the load generator was late by ${lateP99Ms.toFixed(2)} of ${p99Ms.toFixed(2)} ms`;
  return null;
}

function p99Of(round: PacedRound): number | null {
  return "sample" in round ? round.sample.p99Ms : null;
}

function wordsFor(round: PacedRound): string {
  if ("failure" in round) return `failed twice: ${round.failure}`;
  const { p50Ms, p99Ms, lateP99Ms, stalledShare } = round.sample;
  const generator = `late by ${lateP99Ms.toFixed(3)} ms (p99), stalled ${(100 * stalledShare).toFixed(1)} %`;
  return `p50 ${p50Ms.toFixed(3)}, p99 ${p99Ms.toFixed(3)} ms; generator ${generator}`;
}
