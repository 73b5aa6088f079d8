import type { Chunk } from "../model/exchange-types.ts";

/** Pieces that are kept apart; more are joined, since a piece costs more than the few bytes that a slow client puts into it. */
const MAX_PIECES = 256;

const NOTHING: readonly Chunk[] = [];

/**
 * Keeps what has come of a request body, for another try. Nothing is allocated before the first piece, and beyond the limit
 * everything is let go at once: a body that is not whole is of no use. Pieces are kept as they are: a `Chunk` belongs to
 * whoever gets it, and no engine reads into it or writes it again.
 */
export class ReplayBuffer {
  readonly #limitBytes: number;
  #chunks: Chunk[] | null = null;
  #length = 0;
  #whole = true;

  /** `limitBytes`: 0 keeps nothing. */
  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes;
  }

  /** Everything that has come is still here. */
  get isWhole(): boolean {
    return this.#whole;
  }

  /** What is kept, in the order in which it came; at most as long as the limit. */
  get chunks(): readonly Chunk[] {
    return this.#chunks ?? NOTHING;
  }

  /** The next piece of the body came. */
  add(chunk: Chunk): void {
    if (!this.#whole || chunk.length === 0) return;
    this.#length += chunk.length;
    if (this.#length > this.#limitBytes) {
      this.drop();
      return;
    }
    this.#chunks ??= [];
    if (this.#chunks.length === MAX_PIECES) this.#chunks = [joined(this.#chunks)];
    this.#chunks.push(chunk);
  }

  /** There will be no other try: lets go of everything, for good. */
  drop(): void {
    this.#whole = false;
    this.#chunks = null;
  }
}

function joined(chunks: readonly Chunk[]): Buffer {
  return Buffer.concat(chunks.map((chunk) => (typeof chunk === "string" ? Buffer.from(chunk, "latin1") : chunk)));
}
