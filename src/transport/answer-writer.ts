import { STATUS_CODES } from "node:http";
import type { Socket } from "node:net";
import { answerHeadText, fieldsText } from "../codec/write-head.ts";
import type { Chunk, RawHeaders, ResponseHead } from "../model/exchange-types.ts";
import { isNamed } from "../model/headers.ts";
import { httpDate } from "./http-date.ts";

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
    if (!this.begun) this.#socket.write(answerHeadText(status, STATUS_CODES[status] ?? "", headers, ""), "latin1");
  }

  /** The final head; it brings its own content-length, or else the body is sent in chunks. */
  head(head: ResponseHead, bodyless: boolean, close: boolean): void {
    const { headers } = head;
    let hasLength = false;
    let hasDate = false;
    for (let i = 0; i < headers.length; i += 2) {
      const name = headers[i] as string;
      if (name.length === 4) hasDate ||= isNamed(name, "date");
      else if (name.length === 14) hasLength ||= isNamed(name, "content-length");
    }
    let extra = hasDate ? "" : `date: ${httpDate()}\r\n`;
    this.#chunked = !hasLength && !bodyless;
    if (this.#chunked) extra += "transfer-encoding: chunked\r\n";
    if (close) extra += "connection: close\r\n";
    this.begun = true;
    this.#held = answerHeadText(head.status, head.reason, headers, extra);
  }

  /** False = hold back until the socket's drain. */
  data(chunk: Chunk): boolean {
    if (chunk.length === 0) return true;
    const size = this.#chunked ? `${chunk.length.toString(16)}\r\n` : "";
    const after = this.#chunked ? "\r\n" : "";
    if (typeof chunk !== "string") return this.#writeBuffer(this.#held + size, chunk, after);
    this.#held += size + chunk + after;
    return this.#held.length <= HOLD_BYTES || this.flush();
  }

  end(trailers: RawHeaders | null): void {
    this.ended = true;
    if (this.#chunked) this.#held += `0\r\n${trailers === null ? "" : fieldsText(trailers)}\r\n`;
    this.flush();
  }

  /** Sends what is held; false = hold back until the socket's drain. */
  flush(): boolean {
    if (this.#held === "") return !this.#socket.writableNeedDrain;
    const text = this.#held;
    this.#held = "";
    return this.#socket.write(text, "latin1");
  }

  #writeBuffer(before: string, chunk: Buffer, after: string): boolean {
    this.#held = "";
    const socket = this.#socket;
    if (before === "" && after === "") return socket.write(chunk);
    socket.cork();
    if (before !== "") socket.write(before, "latin1");
    let flowing = socket.write(chunk);
    if (after !== "") flowing = socket.write(after, "latin1");
    socket.uncork();
    return flowing;
  }
}
