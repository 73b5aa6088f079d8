import { SwapList, type Listed } from "../base/swap-list.ts";

/** Something that wants to hear when its time is over. */
export interface Expiring {
  onExpired(): void;
}

/** A running deadline. */
export interface Deadline {
  /** Starts the time over. */
  restart(ms: number): void;
  stop(): void;
}

/**
 * Deadlines by one coarse timer instead of one timer each: they fire up to one tick late and never early. A restart
 * only writes a number; an entry that is not due when its turn comes is put back.
 *
 *   tick ──▶ for each entry whose dueMs has passed: remove, then onExpired()
 */
export class Deadlines {
  readonly #entries = new SwapList<Entry>();
  readonly #tickMs: number;
  readonly #nowMs: () => number;
  #timer: NodeJS.Timeout | null = null;

  /** `tickMs`: how late a deadline may fire. */
  constructor(tickMs: number, nowMs: () => number) {
    this.#tickMs = tickMs;
    this.#nowMs = nowMs;
  }

  /** Starts a deadline `ms` from now; 0 or less never fires. */
  start(ms: number, target: Expiring): Deadline {
    const entry = new Entry(this, target);
    entry.restart(ms);
    return entry;
  }

  /** How many deadlines are running. */
  get size(): number {
    return this.#entries.size;
  }

  /** For entries only. */
  set(entry: Entry, ms: number): void {
    if (ms <= 0) {
      this.remove(entry);
      return;
    }
    entry.dueMs = this.#nowMs() + ms;
    if (entry.listIndex === -1) this.#entries.add(entry);
    this.#timer ??= setInterval(() => this.#tick(), this.#tickMs).unref();
  }

  /** For entries only. */
  remove(entry: Entry): void {
    this.#entries.delete(entry);
    if (this.#entries.size === 0 && this.#timer !== null) {
      clearInterval(this.#timer);
      this.#timer = null;
    }
  }

  #tick(): void {
    const now = this.#nowMs();
    // Backwards: what a delete puts into this place was looked at already.
    for (let i = this.#entries.size - 1; i >= 0; i--) {
      const entry = this.#entries.at(i);
      if (entry === undefined || entry.dueMs > now) continue;
      this.remove(entry);
      entry.target.onExpired();
    }
  }
}

class Entry implements Deadline, Listed {
  listIndex = -1;
  readonly #owner: Deadlines;
  readonly target: Expiring;
  dueMs = 0;

  constructor(owner: Deadlines, target: Expiring) {
    this.#owner = owner;
    this.target = target;
  }

  restart(ms: number): void {
    this.#owner.set(this, ms);
  }

  stop(): void {
    this.#owner.remove(this);
  }
}
