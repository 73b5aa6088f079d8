import type { RawHeaders } from "../model/exchange-types.ts";
import type { AnswerFraming } from "./answer-head.ts";
import { ChunkedReader } from "./chunked-reader.ts";

const MAX_LINE_BYTES = 16_384;

const NONE: readonly number[] = [];

/** Reads the bodies of one direction of a connection, one after the other, cut anywhere and never copied. */
export class BodyReader {
  /** Start and end of the pieces of the last `read`, in its bytes. */
  ranges: readonly number[] = NONE;
  /** The body is whole. */
  done = true;
  /** Why the body is malformed; nothing behind it can be read. */
  problem: string | null = null;
  readonly #maxTrailerBytes: number;
  #kind: AnswerFraming["kind"] = "none";
  #left = 0;
  #chunked: ChunkedReader | null = null;

  constructor(maxTrailerBytes: number) {
    this.#maxTrailerBytes = maxTrailerBytes;
  }

  get trailers(): RawHeaders | null {
    return this.#chunked === null ? null : this.#chunked.trailers;
  }

  /** Turns to a body that is delimited like this. */
  begin(framing: AnswerFraming): void {
    this.#kind = framing.kind;
    this.#left = framing.kind === "length" ? framing.length : 0;
    this.#chunked =
      framing.kind === "chunked"
        ? new ChunkedReader({ maxLineBytes: MAX_LINE_BYTES, maxTrailerBytes: this.#maxTrailerBytes })
        : null;
    this.done = framing.kind === "none" || (framing.kind === "length" && framing.length === 0);
    this.ranges = NONE;
  }

  /** Forgets the pieces of the last `read`. */
  forget(): void {
    this.ranges = NONE;
  }

  /** Reads bytes[offset, end); returns the offset behind what belongs to the body so far. */
  read(bytes: Uint8Array, offset: number, end: number): number {
    this.ranges = NONE;
    if (this.done || offset === end) return offset;
    if (this.#chunked !== null) return this.#readChunks(this.#chunked, bytes, offset, end);
    const stop = this.#kind === "length" ? Math.min(end, offset + this.#left) : end;
    this.ranges = [offset, stop];
    if (this.#kind === "length") {
      this.#left -= stop - offset;
      this.done = this.#left === 0;
    }
    return stop;
  }

  #readChunks(chunked: ChunkedReader, bytes: Uint8Array, offset: number, end: number): number {
    const ranges: number[] = [];
    const behind = chunked.read(bytes, offset, end, ranges);
    this.ranges = ranges;
    this.problem = chunked.problem;
    this.done = chunked.done;
    return behind;
  }
}
