import type { RequestHead } from "../model/exchange-types.ts";
import { latin1 } from "./latin1.ts";
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
    const text = before + latin1(bytes, offset, Math.min(end, offset + maxHeadBytes + 4 - before.length));
    const headEnd = text.indexOf("\r\n\r\n", before.length - 3);
    if (headEnd === -1) {
      if (text.length > maxHeadBytes || !mayBecomeStrict(text, 0)) return "not-strict";
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
