import type { StateEventSink } from "../base/state-event.ts";
import type { TrafficPlane } from "./traffic-plane.ts";

/** How a process ends. Both limits count from the first signal; `lameDuckMs` < `deadlineMs`. */
export interface DrainOptions {
  readonly plane: TrafficPlane;
  readonly lameDuckMs: number;
  readonly deadlineMs: number;
  readonly onEvent: StateEventSink;
}

/**
 * Ends the traffic with one deadline. Readiness is already off when this is called.
 *
 *   0 ─────────── lame duck ───────────▶ lameDuckMs ────── drain ──────▶ deadlineMs
 *   still accepting, answers say close   no new connections, tunnels     whatever is left is cut
 *                                        end at four fifths of it
 */
export async function drainTraffic(options: DrainOptions): Promise<void> {
  const { deadlineMs, lameDuckMs, onEvent, plane } = options;
  onEvent({
    level: "info",
    name: "drain-started",
    message: "drain started",
    fields: { lameDuckMs, deadlineMs, hint: "a second signal ends it now" },
  });
  plane.announceDrain();
  if (lameDuckMs > 0) await sleep(lameDuckMs);
  await plane.drain(deadlineMs - lameDuckMs);
  onEvent({ level: "info", name: "drain-finished", message: "drain finished", fields: {} });
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}
