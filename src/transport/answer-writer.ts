import { STATUS_CODES } from "node:http";
import type { Socket } from "node:net";
import { chunkSizeLine, lastChunkText } from "../codec/write-chunks.ts";
import { answerHeadText } from "../codec/write-head.ts";
import type { Chunk, OutgoingAnswer, RawHeaders } from "../model/exchange-types.ts";
import { textFromFields } from "../model/field-lines.ts";
import { httpDate } from "./http-date.ts";
import { writePieces } from "./write-pieces.ts";

/** More than this is not held back for a shared packet. */
const HOLD_BYTES = 16_384;

/**
 * Writes the answers of one HTTP/1.1 client connection. Text is held until `flush` or the end, so that a head, its body and
 * its end leave in one write when they came together.
 */
export class AnswerWriter {
  /** A final head was given. */
  begun = false;
  /** The end was given. */
  ended = false;
  readonly #socket: Socket;
  #held = "";
  #chunked = false;

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  /** Turns to the next answer. */
  begin(): void {
    this.begun = false;
    this.ended = false;
    this.#held = "";
    this.#chunked = false;
  }

  /** An interim answer; it leaves at once. */
  information(status: number, headers: RawHeaders): void {
    const head = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ""}\r\n${textFromFields(headers)}\r\n`;
    if (!this.begun) this.#socket.write(head, "latin1");
  }

  /** The final head; it brings its own content-length, or else the body is sent in chunks. */
  head(head: OutgoingAnswer, bodyless: boolean, close: boolean): void {
    this.#chunked = !head.hasLength && !bodyless;
    let extra = head.hasDate ? "" : `date: ${httpDate()}\r\n`;
    if (this.#chunked) extra += "transfer-encoding: chunked\r\n";
    if (close) extra += "connection: close\r\n";
    this.begun = true;
    this.#held = answerHeadText(head, extra);
  }

  /** False = hold back until the socket's drain. */
  data(chunk: Chunk): boolean {
    if (chunk.length === 0) return true;
    const size = this.#chunked ? chunkSizeLine(chunk.length) : "";
    const after = this.#chunked ? "\r\n" : "";
    if (typeof chunk !== "string") return this.#writeBuffer(this.#held + size, chunk, after);
    this.#held += size + chunk + after;
    return this.#held.length <= HOLD_BYTES || this.flush();
  }

  end(trailers: RawHeaders | null): void {
    this.ended = true;
    if (this.#chunked) this.#held += lastChunkText(trailers);
  }

  /** Sends what is held; false = hold back until the socket's drain. */
  flush(): boolean {
    if (this.#held === "") return !this.#socket.writableNeedDrain;
    const text = this.#held;
    this.#held = "";
    return this.#socket.write(text, "latin1") || this.#socket.writableLength === 0;
  }

  #writeBuffer(before: string, chunk: Buffer, after: string): boolean {
    this.#held = "";
    // A piece as large as the stream's own limit counts as too much to it, even when the kernel took it all.
    return writePieces(this.#socket, before, chunk, after) || this.#socket.writableLength === 0;
  }
}
