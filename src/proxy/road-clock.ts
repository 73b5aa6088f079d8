import type { Road } from "./road.ts";

/** Reads the clock, for deadlines too: each reading costs as much as parsing a field. */
export function now(road: Road): number {
  const nowMs = road.clock.nowMs();
  road.deadlines.note(nowMs);
  return nowMs;
}
