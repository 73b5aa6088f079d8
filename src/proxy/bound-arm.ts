import type { Upstream } from "../model/exchange-types.ts";
import type { Arm, UpstreamSpec } from "../model/snapshot.ts";
import type { Circuit } from "../policy/circuit-cell.ts";
import type { TunnelPlace } from "../transport/upstream-pool.ts";
import type { Gate } from "./gate.ts";

/** An upstream engine as the road uses it. */
export interface LiveUpstream extends Upstream {
  readonly spec: UpstreamSpec;
  /** The circuit of the upstream as a whole; null when it has none. */
  readonly circuit: Circuit | null;
  /** The endpoint that a new tunnel should use; null when the circuits of all refuse. */
  takeEndpoint(): TunnelPlace | null;
}

/** A role of a plan with its live upstream and counters; `fallback` is a local handler on the ladder. */
export interface BoundArm {
  readonly arm: Arm | "fallback";
  readonly upstream: LiveUpstream;
  /** null: it is asked without asking anybody. */
  readonly gate: Gate | null;
  /** `exchange` block of route × arm × upstream. */
  readonly cells: Float64Array;
  /** `upstream` block. */
  readonly upstreamCells: Float64Array;
}
