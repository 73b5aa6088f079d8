import type { Chunk, OutgoingAnswer } from "../model/exchange-types.ts";

/** One request of one caller, or of all callers where answers are shared. */
export interface Slot {
  /** A digest: what it stands for holds secrets. */
  readonly key: string;
  /** Lower-case names of the request fields that its answers vary by. */
  readonly vary: readonly string[];
  /** At most `VARIANTS`; the first was kept first. */
  variants: readonly Entry[];
}

/** An answer in a slot. */
export interface Entry {
  readonly slot: Slot;
  /** What the request says in the fields that the slot varies by, or a digest of it. */
  readonly variant: string;
  readonly head: OutgoingAnswer;
  readonly body: Chunk;
  readonly servedBy: string;
  readonly etag: string | null;
  /** How long it may be told, counted from `sinceMs`. */
  keepMs: number;
  /** Its Age as it came. */
  cameAgeMs: number;
  /** When it arrived or was last confirmed. */
  sinceMs: number;
  readonly bytes: number;
}

/** Most answers to one request of one caller that vary by its fields. */
const VARIANTS = 8;
const SWEPT_AT_ONCE = 4;

/** Answers by slot and variant, bounded by bytes: the least recently used go first. */
export class KeptAnswers {
  readonly #maxBytes: number;
  readonly #slots = new Map<string, Slot>();
  /** The least recently used first. */
  readonly #entries = new Set<Entry>();
  #bytes = 0;
  #sweep: Iterator<Entry> | null = null;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** Of all entries, and what is reserved besides. */
  get bytes(): number {
    return this.#bytes;
  }

  slot(key: string): Slot | null {
    return this.#slots.get(key) ?? null;
  }

  /** The slot to put an answer in: a new one when answers now vary by other fields, and the old ones cannot be told apart. */
  slotFor(key: string, vary: readonly string[]): Slot {
    const slot = this.#slots.get(key);
    if (slot !== undefined && slot.vary.join() === vary.join()) return slot;
    this.removeSlot(key);
    return { key, vary, variants: [] };
  }

  /** Puts an entry in its slot, in place of the one with the same variant, or of the first of too many. */
  put(entry: Entry): void {
    const { slot, variant } = entry;
    const known = slot.variants.find((one) => one.variant === variant);
    const first = slot.variants.length < VARIANTS ? undefined : slot.variants[0];
    const replaced = known ?? first;
    if (replaced !== undefined) this.remove(replaced);
    if (!this.reserve(entry.bytes)) return;
    this.#slots.set(slot.key, slot);
    slot.variants = [...slot.variants, entry];
    this.#entries.add(entry);
    this.#sweepSome(entry.sinceMs);
  }

  /** It was used. */
  touch(entry: Entry): void {
    this.#entries.delete(entry);
    this.#entries.add(entry);
  }

  remove(entry: Entry): void {
    if (!this.#entries.delete(entry)) return;
    this.#bytes -= entry.bytes;
    const { slot } = entry;
    slot.variants = slot.variants.filter((one) => one !== entry);
    if (slot.variants.length === 0) this.#slots.delete(slot.key);
  }

  removeSlot(key: string): void {
    for (const entry of this.#slots.get(key)?.variants ?? []) this.remove(entry);
  }

  /** Makes room at the cost of what was not used for the longest time; false when there is not enough. */
  reserve(bytes: number): boolean {
    while (this.#bytes + bytes > this.#maxBytes) {
      const [oldest] = this.#entries;
      if (oldest === undefined) return false;
      this.remove(oldest);
    }
    this.#bytes += bytes;
    return true;
  }

  /** Gives back what was reserved. */
  free(bytes: number): void {
    this.#bytes -= bytes;
  }

  /** Each answer that is put looks at a few others, so that what may no longer be told does not stay for long. */
  #sweepSome(nowMs: number): void {
    for (let i = 0; i < SWEPT_AT_ONCE; i++) {
      this.#sweep ??= this.#entries.values();
      const { done, value } = this.#sweep.next();
      if (done === true) this.#sweep = null;
      else if (nowMs - value.sinceMs > value.keepMs) this.remove(value);
    }
  }
}
