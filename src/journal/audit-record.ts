import { createHash } from "node:crypto";
import stableStringify from "fast-json-stable-stringify";
import { z } from "zod";

/** One change as whoever made it and as it was made. `before` and `after` are plain JSON. */
export interface AuditEntry {
  readonly actor: string;
  /** What was asked, in a word or two, as in `Cause.action`. */
  readonly action: string;
  readonly reason: string;
  readonly before: unknown;
  readonly after: unknown;
  /** The generation that the change made. */
  readonly generation: number;
  /** Where the change came from, as in `Cause.by`. */
  readonly cause: string;
}

/** A recorded change, chained to the one before it. */
export interface AuditRecord extends AuditEntry {
  /** 1 for the first; grows by one. */
  readonly seq: number;
  /** ISO 8601, UTC. */
  readonly at: string;
  /** `hash` of the record before, `GENESIS_HASH` for the first. */
  readonly prev: string;
  /** SHA-256, hex, of the record without this field as JSON with sorted keys. */
  readonly hash: string;
}

/** The `prev` of the first record. */
export const GENESIS_HASH = "0".repeat(64);

/** The record that follows `last` (null: the first). */
export function nextRecord(last: AuditRecord | null, entry: AuditEntry, atMs: number): AuditRecord {
  // Through JSON once, so that what is hashed is what a reader of the file will see.
  const plain = JSON.parse(stableStringify({ before: entry.before ?? null, after: entry.after ?? null })) as {
    before: unknown;
    after: unknown;
  };
  const body = {
    seq: (last?.seq ?? 0) + 1,
    at: new Date(atMs).toISOString(),
    actor: entry.actor,
    action: entry.action,
    reason: entry.reason,
    before: plain.before,
    after: plain.after,
    generation: entry.generation,
    cause: entry.cause,
    prev: last?.hash ?? GENESIS_HASH,
  };
  return { ...body, hash: hashOf(body) };
}

/** The line of a record, newline included. */
export function lineFromRecord(record: AuditRecord): string {
  return `${stableStringify(record)}\n`;
}

/** The record of a line; null when the line is not one. */
export function recordFromLine(line: string): AuditRecord | null {
  let json: unknown;
  try {
    json = JSON.parse(line);
  } catch {
    return null;
  }
  const checked = RECORD_SHAPE.safeParse(json);
  return checked.success ? checked.data : null;
}

/** What is wrong with `record` as the successor of `last` (null: as the first); null when nothing is. */
export function chainProblem(last: AuditRecord | null, record: AuditRecord): string | null {
  const { hash, ...body } = record;
  if (hashOf(body) !== hash) return `record ${record.seq} was altered: its content does not give its hash`;
  const expectedSeq = (last?.seq ?? 0) + 1;
  if (record.seq !== expectedSeq) return `record ${record.seq} stands where record ${expectedSeq} belongs`;
  if (record.prev !== (last?.hash ?? GENESIS_HASH)) return `record ${record.seq} does not follow the one before it`;
  return null;
}

function hashOf(body: Omit<AuditRecord, "hash">): string {
  return createHash("sha256").update(stableStringify(body)).digest("hex");
}

const RECORD_SHAPE = z.strictObject({
  seq: z.int().min(1),
  at: z.string(),
  actor: z.string(),
  action: z.string(),
  reason: z.string(),
  before: z.unknown(),
  after: z.unknown(),
  generation: z.number(),
  cause: z.string(),
  prev: z.string().regex(/^[0-9a-f]{64}$/),
  hash: z.string().regex(/^[0-9a-f]{64}$/),
});
