import { freePort } from "../processes.ts";
import type { SidecarSubject } from "../servers/crossfade.ts";
import {
  disturbancesOf,
  medianOf,
  pacedInTurn,
  wordsFor,
  type PacedCase,
  type PacedMeasurement,
} from "./paced-rounds.ts";
import type { ResilienceRow } from "./report.ts";
import { withCrew, type Crew, type Stage } from "./stage.ts";

const PER_SECOND = 5_000;
const TARGET_MS = 1;
const FAILURES = 3;

/** How long an answer takes while the circuit of the only upstream is open: our own 503, and a static fallback. */
export function measureOpen(stage: Stage): Promise<readonly ResilienceRow[]> {
  return withCrew(stage, async (crew) => {
    const port = await freePort();
    const refused: PacedCase = { subject: await startOpen(crew, "open", port, []), perSecond: PER_SECOND, status: 503 };
    const fallback = [{ static: { status: 200, body: '{"items":[]}' } }];
    const told: PacedCase = {
      subject: await startOpen(crew, "open, static", port, fallback),
      perSecond: PER_SECOND,
      status: 200,
    };
    const taken = await pacedInTurn([refused, told], stage);
    return [
      rowOf("answer with the circuit open: 503 circuit_open", taken.get(refused) ?? []),
      rowOf("answer with the circuit open: static fallback", taken.get(told) ?? []),
    ];
  });
}

async function startOpen(crew: Crew, name: string, port: number, fallback: readonly object[]): Promise<SidecarSubject> {
  const circuitBreaker = { consecutiveFailures: FAILURES, openFor: "10m" };
  const sidecar = await crew.sidecar({
    name,
    upstreams: { v1: { endpoints: [`http://127.0.0.1:${port}`], circuitBreaker } },
    route: { split: { baseline: "v1" }, fallback },
  });
  for (let request = 0; request < FAILURES; request++) await (await fetch(sidecar.url)).arrayBuffer();
  return sidecar;
}

function rowOf(what: string, rounds: readonly PacedMeasurement[]): ResilienceRow {
  const median = medianOf(rounds);
  return {
    row: "open",
    what,
    target: `p99 at ${PER_SECOND} requests/s < ${TARGET_MS} ms (the plan allows 10)`,
    measured: wordsFor(median),
    met: median.p99Ms < TARGET_MS && median.failed === 0,
    how: "a closed port, opened by three refused connections; paced, 64 connections, every answer a line of the access log",
    disturbed: disturbancesOf(median),
    rounds,
  };
}
