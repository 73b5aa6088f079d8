import {
  DECISION_REASONS,
  EXCHANGE_STATUS,
  FALLBACK_KINDS,
  HISTOGRAM_BUCKETS,
  HISTOGRAM_SUM,
  RETRY_REASONS,
  ROUTE_WORDS,
  statusSlot,
  THREAD_WORDS,
  type FallbackKind,
} from "../base/cells.ts";
import { FAILURE_KINDS, FAILURES } from "../base/failure.ts";
import { bucketOf } from "../base/histogram.ts";
import type { Decision } from "../model/decide.ts";
import { accessTarget, causeText, shouldLog, type AccessRecord } from "../telemetry/access-log.ts";
import type { Failure } from "../base/failure.ts";
import type { Lane, RequestHead } from "../model/exchange-types.ts";
import type { Identity } from "./identify.ts";
import type { BoundArm } from "./bound-arm.ts";
import type { BoundSnapshot, Plan } from "./plan.ts";
import type { Road } from "./road.ts";

/** What is recorded of an exchange when it is over. */
export interface Finished {
  readonly road: Road;
  readonly bound: BoundSnapshot;
  readonly head: RequestHead;
  readonly startedMs: number;
  readonly endedMs: number;
  readonly who: Identity | null;
  readonly plan: Plan | null;
  readonly decision: Decision | null;
  readonly arm: BoundArm | null;
  readonly status: number;
  /** The upstream whose answer the client got; null for a local reply. */
  readonly servedBy: string | null;
  readonly failure: Failure | null;
  readonly attempts: number;
  readonly upstreamMs: number | null;
  readonly bytesIn: number;
  readonly bytesOut: number;
  /** Which engine served. */
  readonly lane: Lane;
  /** What answered instead of the arm; null = the arm did, or nobody. */
  readonly fallback: FallbackKind | null;
  /** Exchange block of an answer that no arm made; null = that of the arm counts. */
  readonly localCells: Float64Array | null;
}

const LANE_WORDS = {
  native: THREAD_WORDS.laneNative,
  library: THREAD_WORDS.laneLibrary,
  upgrade: THREAD_WORDS.laneUpgrade,
} as const satisfies Record<Lane, number>;

/** Decisions of one arm take this many words of a route block. */
const REASONS_PER_ARM = 16;

/** An exchange began on a route. */
export function recordStart(plan: Plan): void {
  add(plan.cells, ROUTE_WORDS.started, 1);
  plan.recovery?.budget?.started();
}

/** An exchange of this route got no room. */
export function recordShed(plan: Plan): void {
  add(plan.cells, ROUTE_WORDS.shed, 1);
}

/** It is over, or it is a tunnel now. */
function recordFinish(plan: Plan): void {
  add(plan.cells, ROUTE_WORDS.finished, 1);
  plan.recovery?.budget?.finished();
}

/** An arm was picked. */
export function recordDecision(plan: Plan, decision: Decision): void {
  const arm = decision.arm === "baseline" ? 0 : 1;
  add(plan.cells, ROUTE_WORDS.decisions + arm * REASONS_PER_ARM + DECISION_REASONS.indexOf(decision.reason), 1);
}

/** A try that met a stale connection is repeated. */
export function recordReplay(plan: Plan): void {
  add(plan.cells, ROUTE_WORDS.retries + RETRY_REASONS.indexOf("stale-connection"), 1);
}

/** Something else than the arm answers, or nothing could. */
export function recordFallback(plan: Plan, kind: FallbackKind): void {
  add(plan.cells, ROUTE_WORDS.fallbacks + FALLBACK_KINDS.indexOf(kind), 1);
}

/** An upstream began to answer `afterMs` after it was asked. */
export function recordFirstByte(arm: BoundArm, afterMs: number): void {
  observe(arm.upstreamCells, afterMs);
}

/** An exchange is over: it is counted and perhaps logged. */
export function recordExchange(exchange: Finished): void {
  countExchange(exchange);
  logExchange(exchange);
}

/** One status, one latency, one lane. */
export function countExchange(exchange: Finished): void {
  const { plan, road } = exchange;
  const durationMs = exchange.endedMs - exchange.startedMs;
  const cells = cellsFor(exchange);
  add(cells, EXCHANGE_STATUS + statusSlot(exchange.status), 1);
  observe(cells, durationMs);
  add(road.threadCells, LANE_WORDS[exchange.lane], 1);
  if (plan !== null) recordFinish(plan);
  if (exchange.failure !== null) recordFailure(exchange);
}

/** One line in the access log, if this exchange gets one; a tunnel's comes when it closes. */
export function logExchange(exchange: Finished): void {
  const { bound, failure: why, road, status } = exchange;
  if (!shouldLog(bound.snapshot.accessLog, status, why !== null, road.random)) return;
  road.logAccess(accessRecord(exchange));
}

/** Who sent bytes that are no request, and how the answer to them is named. */
export interface Refused {
  readonly requestId: string;
  readonly traceId: string;
  readonly peerAddress: string;
}

/** Counts and logs a reply that was made without any exchange. */
export function recordRefusal(road: Road, why: Failure, to: Refused): void {
  add(road.threadCells, THREAD_WORDS.refusedBeforeRoute, 1);
  add(road.threadCells, THREAD_WORDS.failures + FAILURE_KINDS.indexOf(why.kind), 1);
  const { snapshot } = road.current;
  const { status, code } = FAILURES[why.kind];
  if (!shouldLog(snapshot.accessLog, status, true, road.random)) return;
  road.logAccess({
    atMs: road.clock.wallMs(),
    route: null,
    arm: "none",
    decision: null,
    upstream: null,
    method: "",
    target: "",
    status,
    durationMs: 0,
    upstreamMs: null,
    bytesIn: 0,
    bytesOut: 0,
    attempts: 0,
    fallback: null,
    requestId: to.requestId,
    traceId: to.traceId,
    clientAddress: to.peerAddress,
    failure: code,
    cause: causeText(why.cause),
    generation: snapshot.generation,
    endedBy: "client",
  });
}

/** Adds to a counter of this thread. */
export function add(cells: Float64Array, word: number, amount: number): void {
  cells[word] = (cells[word] as number) + amount;
}

function recordFailure(exchange: Finished): void {
  const { kind } = exchange.failure as Failure;
  // An upstream's failures are counted where they happen, by its attempts.
  if (FAILURES[kind].fault === "upstream") return;
  add(exchange.road.threadCells, THREAD_WORDS.failures + FAILURE_KINDS.indexOf(kind), 1);
}

function cellsFor(exchange: Finished): Float64Array {
  return exchange.localCells ?? exchange.arm?.cells ?? exchange.road.noRouteCells;
}

function observe(cells: Float64Array, durationMs: number): void {
  add(cells, HISTOGRAM_SUM, durationMs / 1000);
  add(cells, HISTOGRAM_BUCKETS + bucketOf(durationMs), 1);
}

function accessRecord(exchange: Finished): AccessRecord {
  const { arm, failure, road, who, startedMs } = exchange;
  const ageMs = road.clock.nowMs() - startedMs;
  return {
    atMs: Math.round(road.clock.wallMs() - ageMs),
    route: exchange.plan?.route.name ?? null,
    arm: exchange.localCells === null ? (arm?.arm ?? "none") : "fallback",
    decision: exchange.decision?.reason ?? null,
    upstream: exchange.servedBy,
    method: exchange.head.method,
    target: accessTarget(exchange.head.target),
    status: exchange.status,
    durationMs: exchange.endedMs - startedMs,
    upstreamMs: exchange.upstreamMs,
    bytesIn: exchange.bytesIn,
    bytesOut: exchange.bytesOut,
    attempts: exchange.attempts,
    fallback: exchange.fallback,
    requestId: who?.requestId ?? "",
    traceId: who?.traceId ?? null,
    clientAddress: who?.clientIp ?? exchange.head.peerAddress,
    failure: failure === null ? null : FAILURES[failure.kind].code,
    cause: causeText(failure?.cause),
    generation: exchange.bound.snapshot.generation,
    endedBy: failure === null ? "upstream" : endedBy(failure.kind),
  };
}

function endedBy(kind: keyof typeof FAILURES): "client" | "proxy" | "upstream" {
  return FAILURES[kind].fault;
}
