import type { Problem } from "../config/parse.ts";

/** How the last reload ended; the start counts as a good one. */
export interface LastReload {
  readonly ok: boolean;
  /** Wall clock, milliseconds since the Unix epoch. */
  readonly atMs: number;
  readonly problems: readonly Problem[];
}

/** How reloads ended since the process started. */
export interface ReloadCounts {
  readonly applied: number;
  readonly refused: number;
  readonly unchanged: number;
  /** The last reload was not refused. */
  readonly lastOk: boolean;
}

/** Counts reloads and remembers the last. */
export class ReloadRecord {
  #last: LastReload;
  readonly #counts = { applied: 0, refused: 0, unchanged: 0 };

  /** `atMs`: wall clock of the start. */
  constructor(atMs: number) {
    this.#last = { ok: true, atMs, problems: [] };
  }

  /** How the last reload ended. */
  get last(): LastReload {
    return this.#last;
  }

  /** The counts so far. */
  get counts(): ReloadCounts {
    return { ...this.#counts, lastOk: this.#last.ok };
  }

  /** Notes the end of a reload; `problems` only for a refused one. */
  note(outcome: "applied" | "refused" | "unchanged", atMs: number, problems: readonly Problem[] = []): void {
    this.#counts[outcome]++;
    this.#last = { ok: outcome !== "refused", atMs, problems };
  }
}
