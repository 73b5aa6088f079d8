import type { Lease } from "../base/lease.ts";
import type { RouteSpec, Snapshot } from "../model/snapshot.ts";
import type { RouteTable } from "../model/route-table.ts";
import type { Decision } from "../model/decide.ts";
import type { BoundArm } from "./bound-arm.ts";
import type { RecoveryPlan } from "./recovery-plan.ts";

/** One route, ready to serve: what is absent is null, and nothing is looked up by name any more. */
export interface Plan {
  readonly route: RouteSpec;
  readonly baseline: BoundArm;
  readonly candidate: BoundArm | null;
  /** null: only a stale connection is tried again, and a failure is answered. */
  readonly recovery: RecoveryPlan | null;
  /** `route` block. */
  readonly cells: Float64Array;
  /** x-crossfade-* names that override rules read; they alone are kept when a client sends them. */
  readonly controlHeaders: ReadonlySet<string>;
  /** The share that was last in force under this plan's own epoch. */
  lastPpm: number;
  lastKilled: boolean;
}

/**
 * A snapshot bound to one thread. It is held by the thread while it is the current one and by every exchange that began
 * under it; when the last hold goes, so do its leases on upstreams.
 */
export interface BoundSnapshot {
  readonly snapshot: Snapshot;
  readonly table: RouteTable;
  readonly plans: readonly Plan[];
  readonly leases: readonly Lease<unknown>[];
  /** True when an address belongs to a trusted proxy. */
  readonly isTrusted: (address: string) => boolean;
  holds: number;
}

/** Adds a hold; returns the same snapshot. */
export function hold(bound: BoundSnapshot): BoundSnapshot {
  bound.holds++;
  return bound;
}

/** Drops a hold; the last one releases the leases. */
export function release(bound: BoundSnapshot): void {
  bound.holds--;
  if (bound.holds > 0) return;
  for (const lease of bound.leases) lease.drop();
}

/** The arm that a decision means. */
export function armFor(plan: Plan, decision: Decision): BoundArm {
  return decision.arm === "candidate" && plan.candidate !== null ? plan.candidate : plan.baseline;
}
