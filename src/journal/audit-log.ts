import { open, rename, stat, truncate } from "node:fs/promises";
import type { FileHandle } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { StateEventSink } from "../base/state-event.ts";
import { syncFolder } from "./atomic-file.ts";
import { chainProblem, lineFromRecord, nextRecord, recordFromLine } from "./audit-record.ts";
import type { AuditEntry, AuditRecord } from "./audit-record.ts";
import { linesOf } from "./lines.ts";
import { openStateFolder } from "./state-folder.ts";

/** The record of every change, in order. */
export interface AuditLog {
  /**
   * Adds a change. It can be read at once; the promise resolves when it is on disk. After a rejected write the record
   * is kept and written with the next one.
   */
  append(entry: AuditEntry, atMs: number): Promise<AuditRecord>;
  /** The last `limit` records, newest first; at most `AUDIT_KEPT`. */
  read(limit: number): readonly AuditRecord[];
  /** Writes what is left and closes the file. */
  close(): Promise<void>;
}

/** Records that can be read back without the file. */
export const AUDIT_KEPT = 1000;

/** Name of the audit log in the state folder. */
export const AUDIT_FILE_NAME = "audit.jsonl";

/** The audit log of a state folder, or one in memory (the last `AUDIT_KEPT` records) when there is no folder. */
export async function openAuditLog(stateDir: string | null, onEvent: StateEventSink): Promise<AuditLog> {
  if (stateDir === null) return memoryAuditLog();
  await openStateFolder(stateDir);
  const path = join(stateDir, AUDIT_FILE_NAME);
  const kept = await readKept(path, onEvent);
  const handle = await open(path, "a", 0o600);
  await syncFolder(dirname(path));
  return new DiskAuditLog(handle, kept);
}

/** Keeps the last `AUDIT_KEPT` records in memory. */
export function memoryAuditLog(): AuditLog {
  const ring = new RecordRing([]);
  return {
    async append(entry, atMs) {
      return ring.add(entry, atMs);
    },
    read: (limit) => ring.newest(limit),
    async close() {},
  };
}

/** What `verifyAuditLog` found; `torn`: the last line was cut short, as a crash does. Lines count from 1. */
export type AuditVerdict =
  | { readonly ok: true; readonly records: number; readonly torn: boolean }
  | { readonly ok: false; readonly line: number; readonly problem: string };

/** Checks the whole chain of a file; rejects when it cannot be read. */
export async function verifyAuditLog(path: string): Promise<AuditVerdict> {
  let last: AuditRecord | null = null;
  let records = 0;
  for await (const line of linesOf(path)) {
    if (!line.complete) return { ok: true, records, torn: true };
    const record = recordFromLine(line.text);
    const problem = record === null ? "this line is not an audit record" : chainProblem(last, record);
    if (problem !== null) return { ok: false, line: records + 1, problem };
    last = record;
    records++;
  }
  return { ok: true, records, torn: false };
}

class DiskAuditLog implements AuditLog {
  readonly #handle: FileHandle;
  readonly #ring: RecordRing;
  #unwritten = "";
  #turn: Promise<void> = Promise.resolve();

  constructor(handle: FileHandle, kept: readonly AuditRecord[]) {
    this.#handle = handle;
    this.#ring = new RecordRing(kept);
  }

  async append(entry: AuditEntry, atMs: number): Promise<AuditRecord> {
    const record = this.#ring.add(entry, atMs);
    this.#unwritten += lineFromRecord(record);
    await this.#flushInTurn();
    return record;
  }

  read(limit: number): readonly AuditRecord[] {
    return this.#ring.newest(limit);
  }

  async close(): Promise<void> {
    try {
      await this.#flushInTurn();
    } finally {
      await this.#handle.close();
    }
  }

  #flushInTurn(): Promise<void> {
    const flush = () => this.#flush();
    this.#turn = this.#turn.then(flush, flush);
    return this.#turn;
  }

  async #flush(): Promise<void> {
    const lines = this.#unwritten;
    if (lines === "") return;
    const { size } = await this.#handle.stat();
    try {
      await this.#handle.appendFile(lines);
      await this.#handle.datasync();
    } catch (error) {
      // Half a line in the middle of the file would break the chain for good: take back what was written of it.
      await this.#handle.truncate(size);
      throw error;
    }
    this.#unwritten = this.#unwritten.slice(lines.length);
  }
}

/** The last `AUDIT_KEPT` records, oldest first, and the end of the chain. */
class RecordRing {
  readonly #records: AuditRecord[];

  constructor(records: readonly AuditRecord[]) {
    this.#records = [...records];
  }

  add(entry: AuditEntry, atMs: number): AuditRecord {
    const record = nextRecord(this.#records.at(-1) ?? null, entry, atMs);
    this.#records.push(record);
    if (this.#records.length > AUDIT_KEPT) this.#records.shift();
    return record;
  }

  newest(limit: number): readonly AuditRecord[] {
    return limit < 1 ? [] : this.#records.slice(-limit).toReversed();
  }
}

/** The end of an existing file. A torn last line is cut off; a file whose last whole line is no record is put aside. */
async function readKept(path: string, onEvent: StateEventSink): Promise<readonly AuditRecord[]> {
  if (!(await exists(path))) return [];
  const lines: string[] = [];
  let wholeBytes = 0;
  let torn: string | null = null;
  for await (const line of linesOf(path)) {
    if (!line.complete) {
      torn = line.text;
      break;
    }
    wholeBytes = line.endOffset;
    lines.push(line.text);
    if (lines.length > AUDIT_KEPT) lines.shift();
  }
  if (torn !== null) await cutTornLine(path, wholeBytes, torn, onEvent);
  const records = lines.map(recordFromLine);
  if (records.length > 0 && records.at(-1) === null) {
    await putAside(path, onEvent);
    return [];
  }
  return records.filter((record) => record !== null);
}

async function exists(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return false;
    throw error;
  }
}

async function cutTornLine(path: string, wholeBytes: number, torn: string, onEvent: StateEventSink): Promise<void> {
  await truncate(path, wholeBytes);
  onEvent({
    level: "warn",
    name: "audit-torn-line",
    message: "the last line of the audit log was cut short by a crash and was removed",
    fields: { path, removed: torn.slice(0, 1000) },
  });
}

async function putAside(path: string, onEvent: StateEventSink): Promise<void> {
  let aside = `${path}.damaged-1`;
  for (let count = 2; await exists(aside); count++) aside = `${path}.damaged-${count}`;
  await rename(path, aside);
  onEvent({
    level: "error",
    name: "audit-damaged",
    message: "the audit log was damaged: it was put aside and a new one was begun",
    fields: { path, aside },
  });
}
