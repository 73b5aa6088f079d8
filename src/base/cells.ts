import { BUCKET_COUNT } from "./histogram.ts";
import { FAILURE_KINDS } from "./failure.ts";

/**
 * Cells are the words that threads share.
 *
 *   control words   one Int32 per route, written by the control thread with Atomics, read by every data thread
 *   counter pages   per data thread and private to it: pages of blocks of 256 float64 counters, read at scrape time
 *
 *   page (1 MiB) = 512 blocks │ block (2 KiB) = 256 words │ block id = page << 9 | index in page
 *
 * Blocks are given out by the control thread per series key and never reused for another key, so counters survive
 * reloads and a replaced thread. Untouched pages cost no memory: the kernel commits them on first write.
 */
export const BLOCK_WORDS = 256;
const BLOCKS_PER_PAGE = 512;

/** Bytes of one counter page. */
export const PAGE_BYTES = BLOCKS_PER_PAGE * BLOCK_WORDS * 8;

/** The page that block `id` lives on. */
export function pageOf(id: number): number {
  return Math.floor(id / BLOCKS_PER_PAGE);
}

/** A view of one block: 256 counters, index = a word of the layouts below. */
export function blockView(pages: readonly SharedArrayBuffer[], id: number): Float64Array {
  const page = pages[pageOf(id)];
  if (page === undefined) throw new RangeError(`block ${id} is on page ${pageOf(id)}, but there are ${pages.length}`);
  return new Float64Array(page, (id % BLOCKS_PER_PAGE) * BLOCK_WORDS * 8, BLOCK_WORDS);
}

/** Status codes with a counter of their own; others share the last slot of their class (`_other` at 0). */
export const STATUS_SLOTS = [
  0, 100, 101, 102, 103, 200, 201, 202, 203, 204, 205, 206, 207, 208, 226, 300, 301, 302, 303, 304, 305, 307, 308, 400,
  401, 402, 403, 404, 405, 406, 407, 408, 409, 410, 411, 412, 413, 414, 415, 416, 417, 418, 421, 422, 423, 424, 425,
  426, 428, 429, 431, 451, 499, 500, 501, 502, 503, 504, 505, 507, 508, 510, 511,
] as const;

const SLOT_BY_STATUS = new Uint8Array(1000);
for (const [slot, status] of STATUS_SLOTS.entries()) SLOT_BY_STATUS[status] = slot;

/** The counter slot of a status code; 0 (`_other`) when it has none. */
export function statusSlot(status: number): number {
  return SLOT_BY_STATUS[status] ?? 0;
}

/** Start of the status counters in an `exchange` block. */
export const EXCHANGE_STATUS = 0;

/** Where a histogram sits in `exchange` and `upstream` blocks: sum in seconds, then the bucket counts. */
export const HISTOGRAM_SUM = 72;
export const HISTOGRAM_BUCKETS = HISTOGRAM_SUM + 1;

/**
 * Words of a `route` block. In flight = started − finished. Decisions: reason index + 16 × arm index. Retries, skipped
 * retries and fallbacks: index in their lists.
 */
export const ROUTE_WORDS = {
  started: 0,
  finished: 1,
  upgradesOpen: 2,
  shed: 3,
  hedged: 4,
  hedgesWon: 5,
  decisions: 16,
  retries: 64,
  retrySkips: 96,
  fallbacks: 112,
} as const;

/** Words of an `upstream` block; gauges first. Failures: one counter per row of the failure table. */
export const UPSTREAM_WORDS = {
  active: 0,
  idle: 1,
  pending: 2,
  opened: 3,
  reused: 4,
  overflowed: 5,
  acquireTimedOut: 6,
  /** Requests turned away because too many were in flight. */
  overloaded: 7,
  failures: 16,
} as const;

/** Words of block 0, one per data thread. */
export const THREAD_WORDS = {
  connectionsOpen: 0,
  connectionsTotal: 1,
  refusedBeforeRoute: 2,
  accessRecordsDropped: 3,
  upgradesOpen: 4,
  /** Stage of overload of this thread, 0..3. */
  overloadStage: 5,
  laneLibrary: 8,
  laneNative: 9,
  laneUpgrade: 10,
  failures: 16,
} as const;

/** The block every data thread has before any route exists. */
export const THREAD_BLOCK = 0;

/** The exchange block of replies made before a route was found; the second that any table gives out. */
export const NO_ROUTE_BLOCK = 1;

/** Why an arm was picked; the closed label set of `crossfade_decisions_total`. */
export const DECISION_REASONS = [
  "bucket",
  "override",
  "segment",
  "random",
  "baseline",
  "minted",
  "killed",
  "no-candidate",
  "unhealthy",
  "circuit-open",
  "slow-start",
] as const;
/** One of `DECISION_REASONS`. */
export type DecisionReason = (typeof DECISION_REASONS)[number];

/** What a retry may be configured for: Envoy's words, the last five for gRPC statuses. */
export const RETRY_CONDITIONS = [
  "connect-failure",
  "refused-stream",
  "reset",
  "timeout",
  "gateway-error",
  "5xx",
  "retriable-4xx",
  "cancelled",
  "deadline-exceeded",
  "internal",
  "resource-exhausted",
  "unavailable",
] as const;
/** One of `RETRY_CONDITIONS`. */
export type RetryCondition = (typeof RETRY_CONDITIONS)[number];

/** Why a try was repeated; the closed label set of `crossfade_retries_total`. */
export const RETRY_REASONS = ["stale-connection", "retriable-status-codes", ...RETRY_CONDITIONS] as const;
/** One of `RETRY_REASONS`. */
export type RetryReason = (typeof RETRY_REASONS)[number];

/** Why a try that met a condition was not repeated; the closed label set of `crossfade_retries_skipped_total`. */
export const RETRY_SKIPS = ["attempts", "body", "method", "budget", "deadline", "retry-after", "circuit-open"] as const;
/** One of `RETRY_SKIPS`. */
export type RetrySkip = (typeof RETRY_SKIPS)[number];

/** What answered instead of the arm; the closed label set of `crossfade_fallbacks_total`. `none`: the ladder ended. */
export const FALLBACK_KINDS = ["arm", "stale", "static", "upstream", "none"] as const;
/** One of `FALLBACK_KINDS`. */
export type FallbackKind = (typeof FALLBACK_KINDS)[number];

/** Arms as metric labels; `none` is a local reply before an arm was picked, `fallback` a local handler. */
export const ARM_LABELS = ["baseline", "candidate", "none", "fallback"] as const;
/** One of `ARM_LABELS`. */
export type ArmLabel = (typeof ARM_LABELS)[number];

if (HISTOGRAM_BUCKETS + BUCKET_COUNT > BLOCK_WORDS || UPSTREAM_WORDS.failures + FAILURE_KINDS.length > HISTOGRAM_SUM) {
  throw new RangeError("a cell layout outgrew its block");
}

/**
 * A route's control word: share in the low 20 bits (ppm, 0..1 000 000), kill flag in bit 20, the low 11 bits of the
 * plan's epoch above. A thread whose plan has another epoch is older or newer than the word: it keeps its own share,
 * except that a kill or a share of zero counts at once.
 */
export interface ControlWord {
  readonly candidatePpm: number;
  readonly killed: boolean;
  readonly epoch: number;
}

const PPM_MASK = 0xfffff;
const KILL_BIT = 1 << 20;
const EPOCH_SHIFT = 21;
/** Epochs are compared in this many bits. */
export const EPOCH_MASK = 0x7ff;

/** Packs a control word. */
export function packControlWord(word: ControlWord): number {
  return word.candidatePpm | (word.killed ? KILL_BIT : 0) | ((word.epoch & EPOCH_MASK) << EPOCH_SHIFT);
}

/** Share in ppm of a packed word. */
export function wordPpm(word: number): number {
  return word & PPM_MASK;
}

/** Kill flag of a packed word. */
export function wordKilled(word: number): boolean {
  return (word & KILL_BIT) !== 0;
}

/** The 11 epoch bits of a packed word. */
export function wordEpoch(word: number): number {
  return (word >>> EPOCH_SHIFT) & EPOCH_MASK;
}

/** Routes that can have a control word at once. */
export const CONTROL_WORDS = 65_536;
