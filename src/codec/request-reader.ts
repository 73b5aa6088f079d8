import type { RequestHead } from "../model/exchange-types.ts";
import { withHead } from "./latin1.ts";
import { mayBecomeStrict, parseRequestHead, type Origin } from "./request-head.ts";

/** What came of reading: not enough for a head yet, a head, or something that is not ours to judge. */
export type HeadVerdict = "more" | "head" | "not-strict";

/** Collects request heads from the bytes of a connection, cut anywhere. */
export class RequestReader {
  /** The head that was found. */
  head: RequestHead | null = null;
  /** Offset behind it in the bytes that were read last. */
  behind = 0;
  readonly #origin: Origin;
  #partial = "";

  constructor(origin: Origin) {
    this.#origin = origin;
  }

  /** Some bytes of a head have come, and not all. */
  get isInside(): boolean {
    return this.#partial !== "";
  }

  /** Reads bytes[offset, end) for a head of at most `maxHeadBytes`. */
  read(bytes: Buffer, offset: number, end: number, maxHeadBytes: number): HeadVerdict {
    const before = this.#partial;
    const text = withHead(before, bytes, offset, end, maxHeadBytes + 4);
    const headEnd = text.indexOf("\r\n\r\n", before.length - 3);
    if (headEnd === -1) {
      if (text.length > maxHeadBytes || !isHopeful(text, before.length)) return "not-strict";
      this.#partial = text;
      return "more";
    }
    this.head = headEnd > maxHeadBytes ? null : parseRequestHead(text, 0, headEnd, this.#origin);
    if (this.head === null) return "not-strict";
    this.behind = offset + headEnd + 4 - before.length;
    this.#partial = "";
    return "head";
  }

  /** Gives what had been collected of a head, and forgets it. */
  takePartial(): string {
    const partial = this.#partial;
    this.#partial = "";
    return partial;
  }
}

/** Looked at anew with each line only: a client that sends a byte at a time should not cost the square of its head. */
function isHopeful(text: string, from: number): boolean {
  return (from > 0 && text.indexOf("\n", from) === -1) || mayBecomeStrict(text, 0);
}
