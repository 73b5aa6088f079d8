import assert from "node:assert/strict";
import type {
  Chunk,
  ClientFault,
  Downstream,
  DownstreamEvents,
  RawHeaders,
  RequestHead,
  SendHeadOptions,
} from "../../src/model/exchange-types.ts";
import { localAnswer } from "../../src/model/answer.ts";
import { changed, until } from "./until.ts";

/** One exchange as a scripted road has it: writes down what the client does, and answers what it is told. */
export class Served implements DownstreamEvents {
  readonly head: RequestHead;
  readonly downstream: Downstream;
  /** `body-waits`, `body 5`, `body-end`, `drain`, `gone WHY`, `sent` in the order heard; `aborted` where we gave up. */
  readonly heard: string[] = [];
  readonly pieces: Buffer[] = [];
  trailers: RawHeaders | null = null;
  /** Called with each piece of the body. */
  whenBody: (() => void) | null = null;
  /** Called when the request is whole. */
  whenEnded: (() => void) | null = null;
  /** Called when the client takes bytes again. */
  whenDrained: (() => void) | null = null;

  constructor(head: RequestHead, downstream: Downstream) {
    this.head = head;
    this.downstream = downstream;
  }

  onBody(chunk: Chunk): void {
    this.pieces.push(typeof chunk === "string" ? Buffer.from(chunk, "latin1") : chunk);
    this.#note(`body ${chunk.length}`);
    this.whenBody?.();
  }

  onBodyWaits(): void {
    this.#note("body-waits");
  }

  onBodyEnd(trailers: RawHeaders | null): void {
    this.trailers = trailers;
    this.#note("body-end");
    this.whenEnded?.();
  }

  onClientDrain(): void {
    this.#note("drain");
    this.whenDrained?.();
  }

  onGone(why: ClientFault): void {
    this.#note(`gone ${why}`);
  }

  onSent(): void {
    this.#note("sent");
  }

  /** Bytes of body so far. */
  get bytes(): number {
    return this.pieces.reduce((sum, piece) => sum + piece.length, 0);
  }

  /** The body so far, latin1. */
  get text(): string {
    return Buffer.concat(this.pieces).toString("latin1");
  }

  /** What was heard, with runs of body made one, waits and drains left out. */
  get story(): string {
    const told = this.heard.filter((what) => what !== "drain" && what !== "body-waits");
    const kinds = told.map((what) => what.replace(/^body \d+$/, "body"));
    return kinds.filter((what, i) => what !== "body" || kinds[i - 1] !== "body").join(", ");
  }

  /** Sends a final head; the fields are a flat list. */
  sendHead(status: number, headers: RawHeaders = [], options: Partial<SendHeadOptions> = {}): void {
    const head = localAnswer(status, status === 200 ? "OK" : "Told", headers);
    this.downstream.sendHead(head, { close: false, bodyless: false, ...options });
  }

  /** A whole 200 answer of known length. */
  answer(text: string, options: Partial<SendHeadOptions> = {}): void {
    this.sendHead(200, ["content-length", String(text.length)], options);
    this.downstream.sendData(text);
    this.downstream.sendEnd(null);
  }

  /** Answers with `size` bytes as fast as the client takes them, and ends. */
  pour(size: number): void {
    const piece = Buffer.alloc(65_536, "y");
    let left = size;
    this.whenDrained = () => {
      while (left > 0) {
        left -= piece.length;
        if (!this.downstream.sendData(piece)) return;
      }
      this.whenDrained = null;
      this.downstream.sendEnd(null);
    };
    this.whenDrained();
  }

  abort(): void {
    this.#note("aborted");
    this.downstream.abort();
  }

  /** Waits until something was heard. */
  async hears(what: string): Promise<void> {
    await until(() => this.heard.includes(what), `"${what}" of the exchange`, { detail: () => this.heard.join(", ") });
  }

  /** What holds for every exchange, whatever happened in it. */
  assertLaws(): void {
    const { heard } = this;
    const story = heard.join(", ");
    const count = (pattern: RegExp): number => heard.filter((what) => pattern.test(what)).length;
    assert.ok(count(/^body-waits$/) <= 1, `that the body waits is told once; heard ${story}`);
    assert.ok(count(/^body-end$/) <= 1, `the body ends once; heard ${story}`);
    const afterBody = heard.includes("body-end") ? heard.slice(heard.indexOf("body-end") + 1) : [];
    assert.ok(!afterBody.some((what) => what.startsWith("body ")), `no body after its end; heard ${story}`);
    const ends = count(/^(sent|gone client-gone|aborted)$/);
    assert.ok(ends <= 1, `an exchange ends once; heard ${story}`);
    assert.ok(
      ends === 0 || /^(sent|gone client-gone|aborted)$/.test(heard.at(-1) ?? ""),
      `and then is silent: ${story}`,
    );
  }

  #note(what: string): void {
    this.heard.push(what);
    changed();
  }
}
