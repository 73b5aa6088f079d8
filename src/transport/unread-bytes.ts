/** Most bytes that a client may send ahead of its turn before we read no more. */
const MAX_UNREAD_BYTES = 65_536;

/** What a client sent ahead of its turn, copied. */
export class UnreadBytes {
  #pieces: Buffer[] = [];
  #length = 0;

  get length(): number {
    return this.#length;
  }

  /** More than we are willing to keep. */
  get isFull(): boolean {
    return this.#length > MAX_UNREAD_BYTES;
  }

  add(bytes: Buffer, offset: number, end: number): void {
    this.#pieces.push(Buffer.from(bytes.subarray(offset, end)));
    this.#length += end - offset;
  }

  /** Gives everything, and forgets it. */
  take(): Buffer {
    const [only, ...more] = this.#pieces;
    const bytes = only !== undefined && more.length === 0 ? only : Buffer.concat(this.#pieces);
    this.#pieces = [];
    this.#length = 0;
    return bytes;
  }
}
