import type { Clock } from "./base/clock.ts";

/** The clock of this process. */
export const systemClock: Clock = {
  nowMs: () => performance.now(),
  wallMs: () => Date.now(),
};
