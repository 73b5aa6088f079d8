/**
 * Things that must outlive a snapshot (pools, breakers, counters) are leased under a key made of identity and
 * settings. Two snapshots that want the same thing share it; it closes when the last lease is dropped.
 *
 *   old snapshot ──lease──▶ pool v1 ◀──lease── new snapshot      take new, swap, drop old
 */
export class LeasePool<T> {
  readonly #entries = new Map<string, Entry<T>>();
  readonly #close: (value: T) => void;

  /** `close` runs once per value, when its last lease is dropped. */
  constructor(close: (value: T) => void) {
    this.#close = close;
  }

  /** Takes a lease on the value under `key`, making it first if nobody holds it. */
  take(key: string, make: () => T): Lease<T> {
    let entry = this.#entries.get(key);
    if (entry === undefined) {
      entry = { value: make(), holders: 0 };
      this.#entries.set(key, entry);
    }
    entry.holders++;
    return this.#leaseOf(key, entry);
  }

  /** How many distinct values are alive. */
  get size(): number {
    return this.#entries.size;
  }

  #leaseOf(key: string, entry: Entry<T>): Lease<T> {
    let held = true;
    return {
      value: entry.value,
      drop: () => {
        if (!held) return;
        held = false;
        entry.holders--;
        if (entry.holders > 0) return;
        this.#entries.delete(key);
        this.#close(entry.value);
      },
    };
  }
}

/** A hold on a shared value; `drop` twice is harmless. */
export interface Lease<T> {
  readonly value: T;
  drop(): void;
}

interface Entry<T> {
  readonly value: T;
  holders: number;
}
