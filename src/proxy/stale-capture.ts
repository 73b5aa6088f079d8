import { latin1 } from "../codec/latin1.ts";
import type { Chunk } from "../model/exchange-types.ts";

/** Counted for each piece until they are one. */
const PIECE_BYTES = 32;
/** Pieces up to this size are kept as text: small buffers are slices of larger ones, which they would keep alive. */
const TEXT_LIMIT_BYTES = 16_384;

/** An answer on its way to the client that may be kept: it hears the body too. After `end` or `drop` nothing counts any more. */
export interface StaleCapture {
  add(chunk: Chunk): void;
  /** The answer is complete. */
  end(): void;
  /** It broke off, or the client left. */
  drop(): void;
}

/** What a capture needs of its store. */
export interface CaptureOptions {
  readonly maxBytes: number;
  /** Asked for room before each piece; false = there is none. */
  readonly reserve: (bytes: number) => boolean;
  /** It is over; `reserved` bytes are free again. Told once, before `keep`. */
  readonly onOver: (reserved: number) => void;
  /** The body is complete, in one piece. */
  readonly keep: (body: Chunk) => void;
}

/** Copies a body as it passes by. Text is kept as it is; a Buffer may be read into again once it was passed on. */
export class Capture implements StaleCapture {
  #over = false;
  #reserved = 0;
  #pieces: Chunk[] = [];
  #length = 0;
  readonly #options: CaptureOptions;

  constructor(options: CaptureOptions) {
    this.#options = options;
  }

  add(chunk: Chunk): void {
    if (this.#over || chunk.length === 0) return;
    const bytes = PIECE_BYTES + chunk.length;
    if (this.#length + chunk.length > this.#options.maxBytes || !this.#options.reserve(bytes)) {
      this.drop();
      return;
    }
    this.#reserved += bytes;
    this.#length += chunk.length;
    this.#pieces.push(typeof chunk === "string" ? chunk : copyOf(chunk));
  }

  end(): void {
    if (this.#over) return;
    const body = joined(this.#pieces, this.#length);
    this.drop();
    this.#options.keep(body);
  }

  drop(): void {
    if (this.#over) return;
    this.#over = true;
    this.#pieces = [];
    this.#options.onOver(this.#reserved);
  }
}

function joined(pieces: readonly Chunk[], length: number): Chunk {
  if (pieces.length === 1) return pieces[0] as Chunk;
  if (pieces.every((piece) => typeof piece === "string")) return pieces.join("");
  const whole = Buffer.allocUnsafeSlow(length);
  let at = 0;
  for (const piece of pieces) {
    if (typeof piece === "string") whole.write(piece, at, "latin1");
    else piece.copy(whole, at);
    at += piece.length;
  }
  return whole;
}

function copyOf(bytes: Buffer): Chunk {
  if (bytes.length <= TEXT_LIMIT_BYTES) return latin1(bytes, 0, bytes.length);
  const copy = Buffer.allocUnsafeSlow(bytes.length);
  bytes.copy(copy);
  return copy;
}
