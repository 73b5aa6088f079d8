import type { OverloadSpec, Priority } from "../model/snapshot.ts";
import { PPM } from "../model/split.ts";

/** How far a data thread is from drowning: 0 all is served, 1 no shadows, 2 no low priority, 3 no normal priority either. */
export type OverloadStage = 0 | 1 | 2 | 3;

/** What a data thread sees of itself. */
export interface OverloadReadings {
  /** How late the event loop is, milliseconds. */
  readonly lagMs: number;
  /** Used share of the largest heap, ppm. */
  readonly heapUsedPpm: number;
  /** Requests under way on this thread. */
  readonly inFlight: number;
}

/** The stage that is in force, and since when less would do. */
export interface OverloadState {
  readonly stage: OverloadStage;
  /** When the readings last asked for this stage, or it was reached on the way down; milliseconds of the caller's clock. */
  readonly heldAtMs: number;
}

/** Nothing is shed. */
export const CALM: OverloadState = { stage: 0, heldAtMs: 0 };

/** A stage is left no sooner than this after the readings last asked for it. */
export const STAGE_HOLD_MS = 1_000;

/**
 * The next stage. Each reading has three thresholds, and the worst reading counts:
 *
 *   stage       1                 2           3
 *   lag         70 % of limit     limit       2 × limit
 *   heap        70 % of limit     limit       halfway from the limit to a full heap
 *   in flight   70 % of limit     limit       1.5 × limit
 *
 * Up at once, over several stages if need be. Down one stage at a time, and only when all readings have been below 80 % of
 * the stage's thresholds for `STAGE_HOLD_MS`: so what sheds is not switched on and off by its own success. A limit of 0 is
 * none. `limits` are those of one thread: `maxInFlight` is its part, see `limitsOfThread`.
 */
export function nextOverload(
  state: OverloadState,
  readings: OverloadReadings,
  limits: OverloadSpec,
  nowMs: number,
): OverloadState {
  const asked = stageAt(readings, limits, 1);
  if (asked >= state.stage) return { stage: asked, heldAtMs: nowMs };
  if (stageAt(readings, limits, LEAVE_SHARE) >= state.stage) return { stage: state.stage, heldAtMs: nowMs };
  if (nowMs - state.heldAtMs < STAGE_HOLD_MS) return state;
  return { stage: (state.stage - 1) as OverloadStage, heldAtMs: nowMs };
}

/** The limits of one of `threads` data threads: requests under way are counted over all of them. */
export function limitsOfThread(spec: OverloadSpec, threads: number): OverloadSpec {
  return { ...spec, maxInFlight: Math.ceil(spec.maxInFlight / threads) };
}

/** Whether a route of this priority gets a 503 in this stage. High priority, health and the admin API never do. */
export function isShed(priority: Priority, stage: OverloadStage): boolean {
  switch (priority) {
    case "low":
      return stage >= 2;
    case "normal":
      return stage >= 3;
    case "high":
      return false;
  }
}

const SHADOW_SHARE = 0.7;
const LEAVE_SHARE = 0.8;

type Thresholds = readonly [first: number, second: number, third: number];

/** The highest stage of which some reading has reached this share of its threshold. */
function stageAt(
  { lagMs, heapUsedPpm, inFlight }: OverloadReadings,
  limits: OverloadSpec,
  share: number,
): OverloadStage {
  const { eventLoopLagMs, heapPpm, maxInFlight } = limits;
  return Math.max(
    stageOf(lagMs, [SHADOW_SHARE * eventLoopLagMs, eventLoopLagMs, 2 * eventLoopLagMs], share),
    stageOf(heapUsedPpm, [SHADOW_SHARE * heapPpm, heapPpm, (heapPpm + PPM) / 2], share),
    stageOf(inFlight, [SHADOW_SHARE * maxInFlight, maxInFlight, 1.5 * maxInFlight], share),
  ) as OverloadStage;
}

function stageOf(value: number, [first, second, third]: Thresholds, share: number): OverloadStage {
  if (second === 0) return 0;
  if (value >= third * share) return 3;
  if (value >= second * share) return 2;
  return value >= first * share ? 1 : 0;
}
