import { SHARED_BUFFER } from "./shared-buffer.ts";

/** Half of what a stream holds back before it says stop, and small enough to stay in a core's cache. Measured: bench/README.md. */
const BULK_BYTES = 32_768;

/**
 * What an upstream connection reads into: the thread's shared buffer, whose bytes are passed on as text or copied; and while
 * a large body comes, buffers of its own, whose pieces are passed on and written as they are. Such a buffer is read into
 * again only when nothing of it is on its way any more: two take turns, and only a receiver that is far behind costs more.
 */
export class ReadBuffers {
  #current: Buffer = SHARED_BUFFER;
  #other: Buffer | null = null;
  #isNew = true;

  /** The bytes that are read stay as they are until `choose` says otherwise. */
  get areOwn(): boolean {
    return this.#current !== SHARED_BUFFER;
  }

  /** For the socket: what the next read goes into; null = what the last one went into. */
  take(): Buffer | null {
    if (!this.#isNew) return null;
    this.#isNew = false;
    return this.#current;
  }

  /** After each read: `length` bytes were read, `inBody` = more of the same answer follows. */
  choose(length: number, inBody: boolean, unsentBytes: () => number): void {
    if (this.#current === SHARED_BUFFER) {
      if (inBody && length === SHARED_BUFFER.length) this.#use(Buffer.allocUnsafeSlow(BULK_BYTES));
    } else if (inBody) {
      this.#alternate(length, unsentBytes());
    } else {
      this.#other = null;
      this.#use(SHARED_BUFFER);
    }
  }

  #alternate(length: number, unsent: number): void {
    if (unsent === 0) return;
    const before = this.#current;
    // What is unsent is the youngest: when it fits into the last read, the buffer before that one is free.
    this.#use(unsent <= length && this.#other !== null ? this.#other : Buffer.allocUnsafeSlow(BULK_BYTES));
    this.#other = before;
  }

  #use(buffer: Buffer): void {
    this.#current = buffer;
    this.#isNew = true;
  }
}
