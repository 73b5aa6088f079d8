import type { FallbackStep, HedgeSpec, RetryConditions, RetrySpec, RouteSpec } from "../model/snapshot.ts";
import { RetryBudget } from "../policy/retry-budget.ts";
import type { BoundArm } from "./bound-arm.ts";
import type { StaleStore } from "./stale-store.ts";
import { staticReply, type StaticReply } from "./static-reply.ts";

/** The step of a ladder that keeps answers. */
export type StaleStep = Extract<FallbackStep, { readonly kind: "stale" }>;

/** One rung of the ladder, ready to serve. `cells`: exchange block of what it answers by itself. */
export type Rung =
  | { readonly kind: "arm" }
  | { readonly kind: "stale"; readonly store: StaleStore; readonly cells: Float64Array }
  | { readonly kind: "static"; readonly reply: StaticReply; readonly cells: Float64Array }
  | { readonly kind: "upstream"; readonly arm: BoundArm };

/** What a route does when a try fails, bound to this thread. */
export interface RecoveryPlan {
  readonly retry: RetrySpec | null;
  /** null: no retries. */
  readonly budget: RetryBudget | null;
  readonly hedge: HedgeSpec | null;
  readonly rungs: readonly Rung[];
  readonly fallbackOn: RetryConditions;
  /** Where last good answers of this route are kept; null: nowhere. */
  readonly stale: StaleStore | null;
  /** Request body kept for another try, in bytes. */
  readonly bufferBytes: number;
  /** A gRPC status may be a reason, and it may come behind the body. */
  readonly readsGrpc: boolean;
  /** There is something to do for each request, also where nothing goes wrong. */
  readonly hearsAll: boolean;
}

/** What binding a ladder needs. */
export interface RecoveryEnvironment {
  readonly armOf: (upstream: string, block: number) => BoundArm;
  readonly storeOf: (step: StaleStep) => StaleStore;
  readonly cellsOf: (block: number) => Float64Array;
}

/** Kept of a request body when only fallbacks are configured. */
const DEFAULT_BUFFER_BYTES = 65_536;

const GRPC_CONDITIONS: ReadonlySet<string> = new Set([
  "cancelled",
  "deadline-exceeded",
  "internal",
  "resource-exhausted",
  "unavailable",
]);

/** Binds what a route says of retries, hedges and fallbacks; null when it says nothing. */
export function recoveryPlanFrom(route: RouteSpec, env: RecoveryEnvironment): RecoveryPlan | null {
  const { retry, hedge, fallback, fallbackOn, cells } = route;
  if (retry === null && hedge === null && fallback.length === 0) return null;
  const rungs = fallback.map((step, index) => rungFrom(step, cells.fallbackBlocks[index] ?? 0, env));
  const on = [...(retry?.on ?? []), ...(fallback.length > 0 ? fallbackOn.on : [])];
  return {
    retry,
    budget: retry === null ? null : new RetryBudget(retry.budgetPpm),
    hedge,
    rungs,
    fallbackOn,
    stale: rungs.find((rung) => rung.kind === "stale")?.store ?? null,
    bufferBytes: retry?.bufferBytes ?? DEFAULT_BUFFER_BYTES,
    readsGrpc: on.some((condition) => GRPC_CONDITIONS.has(condition)),
    hearsAll: hedge !== null || (retry?.perTryTimeoutMs ?? 0) > 0 || rungs.some(({ kind }) => kind === "stale"),
  };
}

function rungFrom(step: FallbackStep, block: number, env: RecoveryEnvironment): Rung {
  switch (step.kind) {
    case "arm":
      return step;
    case "stale":
      return { kind: "stale", store: env.storeOf(step), cells: env.cellsOf(block) };
    case "static":
      return { kind: "static", reply: staticReply(step), cells: env.cellsOf(block) };
    case "upstream":
      return { kind: "upstream", arm: env.armOf(step.upstream, block) };
  }
}
