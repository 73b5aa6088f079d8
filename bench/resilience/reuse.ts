import { measurePaced, type PacedCase } from "./paced-rounds.ts";
import type { ResilienceRow } from "./report.ts";
import { endpointOf, scrapeOf, withCrew, type Stage } from "./stage.ts";

const PER_SECOND = 5_000;
const TARGET = 0.99;

/** The part of the tries that went out on a connection that had served before, under a steady load. */
export function measureReuse(stage: Stage): Promise<readonly ResilienceRow[]> {
  return withCrew(stage, async (crew) => {
    const [v1, v2] = [await crew.upstream(), await crew.upstream()];
    const subject = await crew.sidecar({
      name: "reuse",
      upstreams: { v1: { endpoints: [endpointOf(v1)] }, v2: { endpoints: [endpointOf(v2)] } },
      route: { split: { baseline: "v1", candidate: "v2", share: "10%", sticky: [{ header: "x-user-id" }] } },
    });
    const load: PacedCase = { subject, perSecond: PER_SECOND, status: 200 };
    await measurePaced(load, stage);
    const before = await scrapeOf(subject);
    await measurePaced(load, stage);
    const after = await scrapeOf(subject);
    const [reused, opened] = ["crossfade_pool_reused_total", "crossfade_pool_opened_total"].map(
      (name) => after.sum(name) - before.sum(name),
    );
    return [rowOf(reused ?? 0, opened ?? 0)];
  });
}

function rowOf(reused: number, opened: number): ResilienceRow {
  const share = reused / (reused + opened);
  return {
    row: "reuse",
    what: "connection reuse at steady load",
    target: "> 99 %",
    measured: `${(100 * share).toFixed(3)} %: ${opened} opened, ${reused} tries on one that had served`,
    met: reused === 0 ? null : share > TARGET,
    how: `crossfade_pool_reused_total and _opened_total over the second of two such loads; 10 % split, paced, 64 connections, ${PER_SECOND} requests/s`,
    disturbed: [],
    rounds: { reused, opened },
  };
}
