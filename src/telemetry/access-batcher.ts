import type { AccessRecord } from "./access-log.ts";

/** How records leave a data thread. */
export interface AccessBatcherOptions {
  /** Posts a batch to the writer. The batcher keeps no reference to it. */
  readonly send: (batch: AccessRecord[]) => void;
  /** Called once per dropped record: the thread's cell counts them. */
  readonly onDropped: () => void;
  /** Records that may be under way, collected or sent and not acknowledged. Default 8 192. */
  readonly capacity?: number;
  /** Longest time a record waits for company. Default 100. */
  readonly flushAfterMs?: number;
  /** A batch of this many goes at once. Default 512. */
  readonly batchSize?: number;
}

/**
 * Collects access records on a data thread and hands them over in batches. The writer may be slow or gone: beyond
 * `capacity` the newest record is dropped and counted, so that memory is bounded and the road never waits.
 *
 *   add ──▶ collected ──flush──▶ sent, not acknowledged ──acknowledge──▶ gone
 *           └────────── together at most `capacity` ──────────┘
 */
export class AccessBatcher {
  readonly #options: Required<AccessBatcherOptions>;
  #collected: AccessRecord[] = [];
  #unacknowledged = 0;
  #timer: NodeJS.Timeout | null = null;

  constructor(options: AccessBatcherOptions) {
    this.#options = { capacity: 8_192, flushAfterMs: 100, batchSize: 512, ...options };
  }

  /** Takes a record, or drops it when too many are under way. */
  add(record: AccessRecord): void {
    if (this.underWay >= this.#options.capacity) {
      this.#options.onDropped();
      return;
    }
    this.#collected.push(record);
    if (this.#collected.length >= this.#options.batchSize) this.flush();
    else this.#timer ??= setTimeout(() => this.flush(), this.#options.flushAfterMs).unref();
  }

  /** Sends what was collected, at once; call it at the end of a drain. */
  flush(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    if (this.#collected.length === 0) return;
    const batch = this.#collected;
    this.#collected = [];
    this.#unacknowledged += batch.length;
    this.#options.send(batch);
  }

  /** The writer has written `count` records. */
  acknowledge(count: number): void {
    this.#unacknowledged = Math.max(0, this.#unacknowledged - count);
  }

  /** The writer was replaced: what it had not acknowledged is lost, and counted as dropped. */
  forget(): void {
    for (let i = 0; i < this.#unacknowledged; i++) this.#options.onDropped();
    this.#unacknowledged = 0;
  }

  /** Records collected, or sent and not acknowledged. */
  get underWay(): number {
    return this.#collected.length + this.#unacknowledged;
  }
}
