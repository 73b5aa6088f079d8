import { freePort } from "../processes.ts";
import {
  disturbancesOf,
  medianOf,
  pacedInTurn,
  wordsFor,
  type PacedCase,
  type PacedMeasurement,
} from "./paced-rounds.ts";
import type { ResilienceRow } from "./report.ts";
import { endpointOf, withCrew, type Stage } from "./stage.ts";

const PER_SECOND = 1_000;
const TARGET_MS = 5;
const LEAST_SUCCESS = 0.999;

/** How long the answer of a fallback takes after a connection that was refused, for every single request. */
export function measureFallback(stage: Stage): Promise<readonly ResilienceRow[]> {
  return withCrew(stage, async (crew) => {
    const closed = { endpoints: [`http://127.0.0.1:${await freePort()}`] };
    const arm = await crew.sidecar({
      name: "fallback arm",
      upstreams: { v1: { endpoints: [endpointOf(await crew.upstream())] }, v2: closed },
      route: {
        split: { baseline: "v1", candidate: "v2", share: "100%", sticky: [{ header: "x-user-id" }] },
        fallback: ["arm"],
      },
    });
    const told = await crew.sidecar({
      name: "fallback static",
      upstreams: { v1: closed },
      route: { split: { baseline: "v1" }, fallback: [{ static: { status: 200, body: '{"items":[]}' } }] },
    });
    const cases = [arm, told].map((subject): PacedCase => ({ subject, perSecond: PER_SECOND, status: 200 }));
    const taken = await pacedInTurn(cases, stage);
    return cases.map((each) => rowOf(each.subject.name, taken.get(each) ?? []));
  });
}

function rowOf(name: string, rounds: readonly PacedMeasurement[]): ResilienceRow {
  const median = medianOf(rounds);
  const sum = (pick: (round: PacedMeasurement) => number): number => rounds.reduce((all, each) => all + pick(each), 0);
  const requests = sum((round) => round.requests);
  const success = 1 - sum((round) => round.failed) / requests;
  return {
    row: "fallback",
    what: `answer after a refused connection: ${name}`,
    target: `p99 < ${TARGET_MS} ms (the plan allows 50), success > 99.9 %`,
    measured: `${wordsFor({ ...median, failed: 0 })}, ${(100 * success).toFixed(3)} % of ${requests}`,
    met: median.p99Ms < TARGET_MS && success > LEAST_SUCCESS,
    how: `a closed port for every request, no circuit breaker, no retries; paced, 64 connections, ${PER_SECOND} requests/s`,
    disturbed: disturbancesOf(median),
    rounds,
  };
}
