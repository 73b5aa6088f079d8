import type { RawHeaders, ResponseHead } from "../model/exchange-types.ts";
import { parseAnswerHead, type AnswerHead } from "./answer-head.ts";
import { BodyReader } from "./body-reader.ts";
import { withHead } from "./latin1.ts";

/** Why an answer is refused. */
export interface AnswerProblem {
  readonly kind: "bad-answer" | "answer-too-large";
  readonly cause: string;
}

/** A line feed without its carriage return, or the other way round: no head that is wanted has one. */
const BARE = /(?:^|[^\r])\n|\r(?!\n|$)/;

/**
 * Reads one answer after another from the bytes of a connection, cut anywhere. Each `read` takes at most one head and the
 * body bytes behind it that came together, so that an answer that is broken early can still be told by a status.
 *
 *   read ──▶ newHead?  ranges  done?      next() ──▶ the following answer
 */
export class AnswerReader {
  problem: AnswerProblem | null = null;
  /** A head that `read` found and nobody has taken. */
  newHead: ResponseHead | null = null;
  /** The final answer is whole. */
  done = false;
  readonly #maxHeadBytes: number;
  #partial = "";
  #heads = 0;
  #answer: AnswerHead | null = null;
  readonly #body: BodyReader;

  /** `maxHeadBytes`: the largest head that is accepted. */
  constructor(maxHeadBytes: number) {
    this.#maxHeadBytes = maxHeadBytes;
    this.#body = new BodyReader(maxHeadBytes);
  }

  /** No byte of the present answer has come. */
  get untouched(): boolean {
    return this.#partial === "" && this.#heads === 0;
  }

  /** The final head has come, the end has not. */
  get inBody(): boolean {
    return this.#answer !== null;
  }

  /** Only the end of the connection ends the present answer. */
  get endsWithConnection(): boolean {
    return this.#answer !== null && this.#answer.framing.kind === "until-close";
  }

  /** The connection may be used again after the present answer. */
  get keepsAlive(): boolean {
    return this.#answer !== null && this.#answer.keepsAlive;
  }

  /** How long the upstream keeps an idle connection, as it said with this answer; null when it did not. */
  get keepAliveTimeoutMs(): number | null {
    return this.#answer === null ? null : this.#answer.keepAliveTimeoutMs;
  }

  get trailers(): RawHeaders | null {
    return this.#body.trailers;
  }

  /** Start and end of the body pieces of the last `read`, in its bytes. */
  get ranges(): readonly number[] {
    return this.#body.ranges;
  }

  /** Reads bytes[offset, end) as an answer to `method`; returns the offset behind what belongs to it so far. */
  read(bytes: Buffer, offset: number, end: number, method: string): number {
    if (this.#answer !== null) return this.#readBody(bytes, offset, end);
    return this.#readHead(bytes, offset, end, method);
  }

  /** Gives the head that the last `read` found. */
  takeHead(): ResponseHead {
    const head = this.newHead as ResponseHead;
    this.newHead = null;
    return head;
  }

  /** Turns to the following answer. */
  next(): void {
    this.done = false;
    this.#heads = 0;
    this.#answer = null;
    this.#body.forget();
  }

  #readHead(bytes: Buffer, offset: number, end: number, method: string): number {
    const before = this.#partial;
    const text = withHead(before, bytes, offset, end, this.#maxHeadBytes + 4);
    const headEnd = text.indexOf("\r\n\r\n", before.length - 3);
    if (headEnd === -1) return this.#wait(text, end);
    const parsed = parseAnswerHead(text, 0, headEnd, method);
    if (typeof parsed === "string") return this.#refuse("bad-answer", parsed, end);
    this.#partial = "";
    this.#heads++;
    this.newHead = parsed.head;
    const behind = offset + headEnd + 4 - before.length;
    if (parsed.head.status < 200) return behind;
    this.#answer = parsed;
    this.#body.begin(parsed.framing);
    return this.#readBody(bytes, behind, end);
  }

  /** The head is not whole. What can no longer become one is refused at once and not waited for. */
  #wait(text: string, end: number): number {
    if (text.length >= this.#maxHeadBytes + 4) return this.#refuse("answer-too-large", "the head is too large", end);
    if (!"HTTP/1.".startsWith(text.slice(0, 7)))
      return this.#refuse("bad-answer", "an answer that is not HTTP/1.x", end);
    if (BARE.test(text)) return this.#refuse("bad-answer", "a bare CR or LF in the head", end);
    this.#partial = text;
    return end;
  }

  #readBody(bytes: Buffer, offset: number, end: number): number {
    const behind = this.#body.read(bytes, offset, end);
    if (this.#body.problem !== null) return this.#refuse("bad-answer", this.#body.problem, end);
    this.done = this.#body.done;
    return behind;
  }

  #refuse(kind: AnswerProblem["kind"], cause: string, end: number): number {
    this.problem = { kind, cause };
    return end;
  }
}
