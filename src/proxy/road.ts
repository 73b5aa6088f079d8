import type { Clock, Random } from "../base/clock.ts";
import type { OverloadStage } from "../policy/overload.ts";
import type { AccessRecord } from "../telemetry/access-log.ts";
import type { Deadlines } from "../transport/deadlines.ts";
import type { Tunnel } from "../transport/websocket-tunnel.ts";
import type { BoundSnapshot } from "./plan.ts";

/** What the road of one data thread stands on. `current` is the only thing that changes. */
export interface Road {
  current: BoundSnapshot;
  /** Exchanges and upgrades that have begun and not ended. */
  inFlight: number;
  /** What is shed now. */
  readonly overload: { readonly stage: OverloadStage };
  /** Answers end their connection: this process is shutting down. */
  draining: boolean;
  readonly clock: Clock;
  readonly random: Random;
  readonly deadlines: Deadlines;
  /** Control words of all routes. */
  readonly words: Int32Array;
  /** Block 0 of this thread. */
  readonly threadCells: Float64Array;
  /** Exchange block of replies before a route was found. */
  readonly noRouteCells: Float64Array;
  /** Upgrades under way and open. */
  readonly tunnels: Set<Tunnel>;
  /** Takes access records; it may drop them. */
  readonly logAccess: (record: AccessRecord) => void;
}
