import { SwapList, type Listed } from "../base/swap-list.ts";

/** Something that wants to hear when its time is over. */
export interface Expiring {
  onExpired(): void;
}

/** Something with at most one deadline, which it carries itself: nothing is allocated for it. */
export interface Timed extends Expiring, Listed {
  /** For `Deadlines` only. */
  dueMs: number;
}

/** A running deadline. */
export interface Deadline {
  /** Starts the time over. */
  restart(ms: number): void;
  stop(): void;
}

/** Ticks without any entry before the timer stops. */
const IDLE_TICKS = 20;

/**
 * Deadlines by one coarse timer instead of one timer each. A restart only writes a number, and reads no clock: time is
 * what the last tick, or whoever read the clock since, has left in `note`. So they fire up to two ticks late, and early only
 * by as long as the thread stood still right before they were set.
 *
 *   tick ──▶ for each entry whose dueMs has passed: remove, then onExpired()
 */
export class Deadlines {
  readonly #entries = new SwapList<Timed>();
  readonly #tickMs: number;
  readonly #nowMs: () => number;
  #timer: NodeJS.Timeout | null = null;
  #recentMs = 0;
  #idleTicks = 0;

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

  /** Somebody read the clock. */
  note(nowMs: number): void {
    this.#recentMs = nowMs;
  }

  /** The last reading of the clock that anybody left. */
  get recentMs(): number {
    return this.#recentMs;
  }

  /** Reads the clock, for whom a tick is too coarse. */
  readClock(): number {
    this.#recentMs = this.#nowMs();
    return this.#recentMs;
  }

  /** How many deadlines are running. */
  get size(): number {
    return this.#entries.size;
  }

  /** Starts the deadline of `entry` anew, `ms` from now; 0 or less stops it. */
  set(entry: Timed, ms: number): void {
    if (ms <= 0) {
      this.remove(entry);
      return;
    }
    if (this.#timer === null) this.#start();
    entry.dueMs = this.#recentMs + ms + this.#tickMs;
    if (entry.listIndex === -1) this.#entries.add(entry);
  }

  /** Stops the deadline of `entry`. */
  remove(entry: Timed): void {
    this.#entries.delete(entry);
  }

  #start(): void {
    this.#recentMs = this.#nowMs();
    this.#idleTicks = 0;
    this.#timer = setInterval(() => this.#tick(), this.#tickMs).unref();
  }

  #stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
  }

  #tick(): void {
    const now = this.#nowMs();
    this.#recentMs = now;
    this.#idleTicks = this.#entries.size === 0 ? this.#idleTicks + 1 : 0;
    if (this.#idleTicks > IDLE_TICKS) this.#stop();
    // Backwards: what a delete puts into this place was looked at already.
    for (let i = this.#entries.size - 1; i >= 0; i--) {
      const entry = this.#entries.at(i);
      if (entry === undefined || entry.dueMs > now) continue;
      this.remove(entry);
      entry.onExpired();
    }
  }
}

class Entry implements Deadline, Timed {
  listIndex = -1;
  dueMs = 0;
  readonly #owner: Deadlines;
  readonly #target: Expiring;

  constructor(owner: Deadlines, target: Expiring) {
    this.#owner = owner;
    this.#target = target;
  }

  restart(ms: number): void {
    this.#owner.set(this, ms);
  }

  stop(): void {
    this.#owner.remove(this);
  }

  onExpired(): void {
    this.#target.onExpired();
  }
}
