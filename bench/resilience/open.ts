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
    const fallback = [{ static: { status: 200, body: '{"items":[]}' } }];
    const cases = [
      { what: "503 circuit_open", access: "none", fallback: [], status: 503 },
      { what: "503 circuit_open", access: "errors", fallback: [], status: 503 },
      { what: "static fallback", access: "none", fallback, status: 200 },
    ] as const;
    const asked = new Map<(typeof cases)[number], PacedCase>();
    for (const one of cases) {
      asked.set(one, { subject: await startOpen(crew, one, port), perSecond: PER_SECOND, status: one.status });
    }
    const taken = await pacedInTurn([...asked.values()], stage);
    return cases.map((one) => rowOf(one, taken.get(asked.get(one) as PacedCase) ?? []));
  });
}

interface OpenCase {
  readonly what: string;
  readonly access: "errors" | "none";
  readonly fallback: readonly object[];
}

async function startOpen(crew: Crew, { what, access, fallback }: OpenCase, port: number): Promise<SidecarSubject> {
  const name = `open, ${what}, access log ${access}`;
  const circuitBreaker = { consecutiveFailures: FAILURES, openFor: "10m" };
  const sidecar = await crew.sidecar({
    name,
    access,
    upstreams: { v1: { endpoints: [`http://127.0.0.1:${port}`], circuitBreaker } },
    route: { split: { baseline: "v1" }, fallback },
  });
  for (let request = 0; request < FAILURES; request++) await (await fetch(sidecar.url)).arrayBuffer();
  return sidecar;
}

function rowOf({ what, access }: OpenCase, rounds: readonly PacedMeasurement[]): ResilienceRow {
  const median = medianOf(rounds);
  return {
    row: "open",
    what: `answer with the circuit open: ${what}, access log ${access}`,
    target: `p99 at ${PER_SECOND} requests/s < ${TARGET_MS} ms (the plan allows 10)`,
    measured: wordsFor(median),
    met: median.p99Ms < TARGET_MS && median.failed === 0,
    how: `a closed port, opened by three refused connections; paced, 64 connections${access === "errors" ? ", every answer a line of the log, read on the generator's core" : ""}`,
    disturbed: disturbancesOf(median),
    rounds,
  };
}
