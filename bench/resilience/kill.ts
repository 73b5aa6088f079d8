import { setTimeout as delay } from "node:timers/promises";
import type { Subject } from "../contestant.ts";
import { LEAD_SECONDS, takeOnce, type PacedMeasurement } from "./paced-rounds.ts";
import type { ResilienceRow } from "./report.ts";
import { endpointOf, scrapeOf, withCrew, type Stage } from "./stage.ts";

const PER_SECOND = 2_000;
/** Until the load generator has its connections. */
const LOAD_STARTS_MS = 250;
/** The part of the requests that v2 must have answered, and the part that it must have been meant for afterwards. */
const LEAST_PART = 0.05;

/** A set-up of the sidecar whose v2 is killed. */
interface Variant {
  readonly name: string;
  /** Sections of v2. */
  readonly v2: object;
}

const VARIANTS: readonly Variant[] = [
  { name: "fallback arm alone", v2: {} },
  {
    name: "with circuit breaker and health checks",
    v2: { circuitBreaker: {}, health: { http: { path: "/" }, interval: "1s" } },
  },
];

interface Round extends PacedMeasurement {
  readonly answeredByV2: number;
  /** Requests of v2's callers that the baseline answered. */
  readonly takenOver: number;
}

/** v2 is killed under load half way; every request is a GET. */
export async function measureKill(stage: Stage): Promise<readonly ResilienceRow[]> {
  const taken = new Map<Variant, Round[]>(VARIANTS.map((variant) => [variant, []]));
  for (let round = 1; round <= stage.options.rounds; round++) {
    for (const variant of VARIANTS) {
      const result = await killOnce(variant, stage);
      taken.get(variant)?.push(result);
      stage.progress(`v2 killed, ${variant.name}, round ${round}: ${result.failed} of ${result.requests} failed`);
    }
  }
  return [...taken].map(([variant, rounds]) => rowOf(variant, rounds));
}

function killOnce(variant: Variant, stage: Stage): Promise<Round> {
  return withCrew(stage, async (crew) => {
    const [v1, v2] = [await crew.upstream(), await crew.upstream()];
    const sidecar = await crew.sidecar({
      name: `v2 killed, ${variant.name}`,
      upstreams: { v1: { endpoints: [endpointOf(v1)] }, v2: { endpoints: [endpointOf(v2)], ...variant.v2 } },
      route: {
        split: { baseline: "v1", candidate: "v2", share: "50%", sticky: [{ header: "x-user-id" }] },
        fallback: ["arm"],
      },
    });
    const load = takeOnce({ subject: sidecar, perSecond: PER_SECOND, status: 200 }, stage);
    await killHalfWay(v2, stage);
    const measured = await load;
    const scrape = await scrapeOf(sidecar);
    const [fallbacks, answeredByV2] = [
      scrape.sum("crossfade_fallbacks_total", { kind: "arm" }),
      scrape.sum("crossfade_requests_total", { upstream: "v2" }),
    ];
    const kept = ["circuit-open", "unhealthy"].map((reason) => scrape.sum("crossfade_decisions_total", { reason }));
    const takenOver = kept.reduce((sum, count) => sum + count, fallbacks);
    const least = measured.requests * LEAST_PART;
    if (Math.min(answeredByV2, takenOver) < least)
      throw new Error(`v2 was not killed half way: it answered ${answeredByV2}, and ${takenOver} were taken over`);
    return { ...measured, answeredByV2, takenOver };
  });
}

async function killHalfWay({ processId }: Subject, { options: { seconds } }: Stage): Promise<void> {
  await delay(LOAD_STARTS_MS + (1_000 * (LEAD_SECONDS + seconds)) / 2);
  process.kill(processId, "SIGKILL");
}

function rowOf({ name }: Variant, rounds: readonly Round[]): ResilienceRow {
  const sum = (pick: (round: Round) => number): number => rounds.reduce((all, round) => all + pick(round), 0);
  const failed = sum((round) => round.failed);
  return {
    row: "kill",
    what: `v2 killed under ${PER_SECOND} requests/s at share 50 %, ${name}`,
    target: "0 requests of safe methods failed",
    measured: `${failed} of ${sum((round) => round.requests)} failed; v1 took over ${sum((round) => round.takenOver)}`,
    met: failed === 0,
    how: `SIGKILL half way through a paced load of GETs on 64 connections; fresh processes in each of ${rounds.length} rounds`,
    disturbed: [],
    rounds,
  };
}
