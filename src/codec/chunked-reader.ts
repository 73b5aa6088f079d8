import { withoutBlanks } from "../model/blanks.ts";
import type { RawHeaders } from "../model/exchange-types.ts";
import { TEXT, TOKEN } from "./fields.ts";

// The states are numbers, because one is read per byte. They stand in the order of the grammar (RFC 9112 §7.1).
const SIZE_START = 0;
const SIZE = 1;
const EXTENSION_START = 2;
const EXTENSION_NAME = 3;
const EXTENSION_VALUE = 4;
const QUOTED = 5;
const QUOTED_PAIR = 6;
const QUOTED_END = 7;
const SIZE_LF = 8;
const DATA = 9;
const DATA_CR = 10;
const DATA_LF = 11;
const TRAILER_START = 12;
const TRAILER_NAME = 13;
const TRAILER_VALUE = 14;
const TRAILER_LF = 15;
const FINAL_LF = 16;
const DONE = 17;
const BROKEN = 18;

/** What each byte may be part of. */
const OF_TOKEN = 1;
const OF_VALUE = 2;
const BYTE_KINDS: Uint8Array = Uint8Array.from({ length: 256 }, (_, byte) => {
  const character = String.fromCharCode(byte);
  const ofToken = new RegExp(`^${TOKEN}$`).test(character) ? OF_TOKEN : 0;
  return ofToken | (new RegExp(`^${TEXT}$`).test(character) ? OF_VALUE : 0);
});

const LF = 10;
const CR = 13;
const QUOTE = 34;
const COLON = 58;
const SEMICOLON = 59;
const EQUALS = 61;
const BACKSLASH = 92;
const MAX_SIZE_DIGITS = 16;
/** Fields that a parser which merges trailers would frame the message by, after the fact (RFC 9110 §6.5.1). */
const FRAMING = /^(?:content-length|transfer-encoding)$/i;

/** Limits of one chunked body. */
export interface ChunkLimits {
  /** Bytes of all chunk extensions together. */
  readonly maxLineBytes: number;
  /** Bytes of the trailer section, line ends included. */
  readonly maxTrailerBytes: number;
}

/**
 * Decodes a chunked body (RFC 9112 §7.1), incrementally, never copying: it tells where the body lies in the bytes that it
 * was shown. Extensions are dropped; their syntax is what llhttp takes.
 */
export class ChunkedReader {
  readonly #limits: ChunkLimits;
  #state = SIZE_START;
  /** While in a size line, the size read so far; in data, the bytes still to come. */
  #remaining = 0;
  #digits = 0;
  #extensionBytes = 0;
  #trailerBytes = 0;
  #line = "";
  #trailers: string[] | null = null;
  #problem: string | null = null;

  constructor(options: ChunkLimits) {
    this.#limits = options;
  }

  /** The final CRLF was read. */
  get done(): boolean {
    return this.#state === DONE;
  }

  /** Why the body is malformed, for ever; null while it is well-formed. */
  get problem(): string | null {
    return this.#problem;
  }

  /** Trailer fields in order, name, value, …; null when none. */
  get trailers(): RawHeaders | null {
    return this.#state === DONE ? this.#trailers : null;
  }

  /**
   * Reads bytes[offset, end) and pushes start, end of each piece of the body to `ranges`. Returns the offset behind the
   * last byte that belongs to this message.
   */
  read(bytes: Uint8Array, offset: number, end: number, ranges: number[]): number {
    let at = offset;
    while (at < end && this.#state < DONE) {
      if (this.#state === DATA) at = this.#passData(at, end, ranges);
      else this.#step(bytes[at++] as number);
    }
    return at;
  }

  #passData(at: number, end: number, ranges: number[]): number {
    const length = Math.min(this.#remaining, end - at);
    ranges.push(at, at + length);
    this.#remaining -= length;
    if (this.#remaining === 0) this.#state = DATA_CR;
    return at + length;
  }

  #step(byte: number): void {
    if (this.#state >= TRAILER_START) this.#stepTrailer(byte);
    else if (this.#state >= EXTENSION_START && this.#state < SIZE_LF) this.#stepExtension(byte);
    else this.#stepFrame(byte);
  }

  #stepFrame(byte: number): void {
    switch (this.#state) {
      case SIZE_START:
      case SIZE:
        this.#stepSize(byte);
        break;
      case SIZE_LF:
        if (byte !== LF) this.#fail("a bare CR in a chunk size line");
        else this.#state = this.#remaining === 0 ? TRAILER_START : DATA;
        break;
      case DATA_CR:
        if (byte !== CR) this.#fail("a chunk that is longer than its size");
        else this.#state = DATA_LF;
        break;
      default:
        if (byte !== LF) this.#fail("a bare CR behind a chunk");
        else this.#startSize();
        break;
    }
  }

  #startSize(): void {
    this.#state = SIZE_START;
    this.#digits = 0;
  }

  #stepSize(byte: number): void {
    const digit = hexDigit(byte);
    if (digit !== -1) {
      this.#remaining = this.#remaining * 16 + digit;
      this.#state = SIZE;
      if (++this.#digits > MAX_SIZE_DIGITS || this.#remaining > Number.MAX_SAFE_INTEGER) {
        this.#fail("a chunk size that is too large");
      }
      return;
    }
    if (this.#state === SIZE_START) this.#fail("a chunk size without a digit");
    else if (byte === CR) this.#state = SIZE_LF;
    else if (byte === SEMICOLON) this.#state = EXTENSION_START;
    else this.#fail("a malformed chunk size");
  }

  #stepExtension(byte: number): void {
    const next = afterExtensionByte(this.#state, byte);
    this.#state = next;
    if (next === BROKEN) this.#fail("a malformed chunk extension");
    else if (++this.#extensionBytes > this.#limits.maxLineBytes) this.#fail("chunk extensions that are too long");
  }

  #stepTrailer(byte: number): void {
    if (++this.#trailerBytes > this.#limits.maxTrailerBytes) {
      this.#fail("trailers that are too long");
      return;
    }
    const before = this.#state;
    const next = afterTrailerByte(before, byte);
    this.#state = next;
    if (next === BROKEN) this.#fail("a malformed trailer field");
    else if (next === TRAILER_START) this.#endTrailer();
    else if (before === TRAILER_NAME && next === TRAILER_VALUE && FRAMING.test(this.#line))
      this.#fail("a framing field among the trailers");
    else if (next === TRAILER_NAME || next === TRAILER_VALUE) this.#line += String.fromCharCode(byte);
  }

  #endTrailer(): void {
    this.#trailers ??= [];
    const line = this.#line;
    const colon = line.indexOf(":");
    this.#trailers.push(line.slice(0, colon), withoutBlanks(line, colon + 1, line.length));
    this.#line = "";
  }

  #fail(problem: string): void {
    this.#state = BROKEN;
    this.#problem = problem;
  }
}

function hexDigit(byte: number): number {
  if (byte >= 48 && byte <= 57) return byte - 48;
  const lower = byte | 32;
  return lower >= 97 && lower <= 102 ? lower - 87 : -1;
}

function afterExtensionByte(state: number, byte: number): number {
  switch (state) {
    case EXTENSION_START:
    case EXTENSION_NAME:
      if (isToken(byte)) return EXTENSION_NAME;
      if (byte === EQUALS) return EXTENSION_VALUE;
      if (byte === SEMICOLON) return EXTENSION_START;
      return byte === CR && state === EXTENSION_NAME ? SIZE_LF : BROKEN;
    case EXTENSION_VALUE:
      if (isToken(byte)) return EXTENSION_VALUE;
      if (byte === QUOTE) return QUOTED;
      return afterExtension(byte);
    case QUOTED:
      if (byte === QUOTE) return QUOTED_END;
      if (byte === BACKSLASH) return QUOTED_PAIR;
      return isValue(byte) ? QUOTED : BROKEN;
    case QUOTED_PAIR:
      return isValue(byte) ? QUOTED : BROKEN;
    default:
      return afterExtension(byte);
  }
}

function afterExtension(byte: number): number {
  if (byte === SEMICOLON) return EXTENSION_START;
  return byte === CR ? SIZE_LF : BROKEN;
}

function afterTrailerByte(state: number, byte: number): number {
  switch (state) {
    case TRAILER_START:
      if (byte === CR) return FINAL_LF;
      return isToken(byte) ? TRAILER_NAME : BROKEN;
    case TRAILER_NAME:
      if (byte === COLON) return TRAILER_VALUE;
      return isToken(byte) ? TRAILER_NAME : BROKEN;
    case TRAILER_VALUE:
      if (byte === CR) return TRAILER_LF;
      return isValue(byte) ? TRAILER_VALUE : BROKEN;
    case TRAILER_LF:
      return byte === LF ? TRAILER_START : BROKEN;
    default:
      return byte === LF ? DONE : BROKEN;
  }
}

function isToken(byte: number): boolean {
  return ((BYTE_KINDS[byte] as number) & OF_TOKEN) !== 0;
}

function isValue(byte: number): boolean {
  return ((BYTE_KINDS[byte] as number) & OF_VALUE) !== 0;
}
