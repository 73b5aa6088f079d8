import type { Socket } from "node:net";
import { BodyReader } from "../codec/body-reader.ts";
import type { Origin } from "../codec/request-head.ts";
import { RequestReader } from "../codec/request-reader.ts";
import type { Chunk, ClientFault, Downstream, DownstreamEvents, RawHeaders } from "../model/exchange-types.ts";
import type { OutgoingAnswer, RequestHead, SendHeadOptions } from "../model/exchange-types.ts";
import { AnswerWriter } from "./answer-writer.ts";
import type { ClientConnection, ClientEnvironment } from "./client-connection.ts";
import { LINGER_BYTES, LINGER_MS, originOf } from "./connection-facts.ts";
import type { Timed } from "./deadlines.ts";
import { Progress } from "./progress.ts";
import { ReadGate } from "./read-gate.ts";
import { chunkOf } from "./shared-buffer.ts";
import { writeBatch, type BatchMember } from "./write-batch.ts";
import { UnreadBytes } from "./unread-bytes.ts";

/**
 * What the connection is about. `serving` from the head of a request to the end of its answer; `lingering` after our last
 * word: the rest is read and thrown away; `handed-over`: the library engine has the socket.
 */
type Phase = "waiting" | "serving" | "lingering" | "handed-over" | "closed";

/**
 * A client connection of the native engine, and the `Downstream` of the exchange that it carries: one at a time, so that
 * nothing is allocated per request but what is said. Whatever is outside of the strict subset is handed over to the library
 * engine, bytes and socket, at any boundary between requests.
 *
 *   bytes ─▶ head? ─strict─▶ onRequest ─▶ onBody… ─▶ onBodyEnd        the next head waits until this answer has ended
 *              └─ anything else ─▶ env.handOver(socket, unread bytes)
 */
export class NativeClient implements Downstream, ClientConnection, BatchMember, Timed {
  listIndex = -1;
  dueMs = 0;
  readonly lane = "native";
  hasServed = false;
  readonly #env: ClientEnvironment;
  readonly #socket: Socket;
  readonly #origin: Origin;
  readonly #writer: AnswerWriter;
  readonly #reader: RequestReader;
  readonly #body: BodyReader;
  readonly #progress: Progress;
  readonly #gate: ReadGate;
  /** Bytes behind the request that is being served. */
  readonly #unread = new UnreadBytes();
  #phase: Phase = "waiting";
  #events: DownstreamEvents | null = null;
  /** Inside `#serve`: what ends meanwhile is taken up by it. */
  #isReading = false;
  /** The road was told that this client is gone or broke off. */
  #isGone = false;
  #closeAfter = false;
  #bodyPaused = false;
  #watching = false;
  #cutHard = false;
  /** Bytes that were thrown away behind our last word. */
  #lingered = 0;

  constructor(socket: Socket, env: ClientEnvironment) {
    this.#env = env;
    this.#socket = socket;
    this.#origin = originOf(socket);
    this.#reader = new RequestReader(this.#origin);
    this.#progress = new Progress(socket);
    this.#gate = new ReadGate(socket);
    this.#body = new BodyReader(env.limits().maxHeaderBytes);
    this.#writer = new AnswerWriter(socket);
    socket.on("drain", this.#onDrain);
    socket.on("end", this.#onEnd);
    socket.on("error", this.#onLost);
    socket.on("close", this.#onLost);
    env.deadlines.set(this, env.limits().headerTimeoutMs);
  }

  get isIdle(): boolean {
    return this.#phase === "waiting" && !this.#reader.isInside;
  }

  destroy(): void {
    this.#socket.destroy();
  }

  // ---- bytes from the client

  /** Reads by itself, for sockets that nobody else reads for it. */
  listen(): void {
    this.#socket.on("data", this.#onData);
  }

  /** `owned` = the buffer is not read into again. False = the library engine's socket is full. */
  onRead(bytes: Buffer, length: number, owned: boolean): boolean {
    if (this.#phase === "handed-over") {
      return this.#socket.push(owned ? bytes : Buffer.from(bytes.subarray(0, length)));
    }
    if (this.#phase === "waiting") this.#readHeads(bytes, 0, length, owned);
    else if (this.#phase === "serving") this.#readBehind(bytes, length, owned);
    else if ((this.#lingered += length) > LINGER_BYTES) this.#socket.destroy();
    return true;
  }

  /** Serves requests until one is not over at once or the bytes are used up. */
  #readHeads(bytes: Buffer, start: number, length: number, owned: boolean): void {
    let offset = start;
    while (offset < length && this.#phase === "waiting") offset = this.#readHead(bytes, offset, length, owned);
    if (offset < length && this.#phase === "serving") this.#keep(bytes, offset, length);
  }

  #readHead(bytes: Buffer, offset: number, length: number, owned: boolean): number {
    const reader = this.#reader;
    const limits = this.#env.limits();
    const wasInside = reader.isInside;
    switch (reader.read(bytes, offset, length, limits.maxHeaderBytes)) {
      case "head":
        return this.#serve(reader.head as RequestHead, bytes, reader.behind, length, owned);
      case "more":
        // The time for a head runs from its first byte, and for the first one from the connection's beginning.
        if (!wasInside && this.hasServed) this.#env.deadlines.set(this, limits.headerTimeoutMs);
        return length;
      case "not-strict":
        this.#handOver(bytes, offset, length);
        return length;
    }
  }

  #serve(head: RequestHead, bytes: Buffer, offset: number, length: number, owned: boolean): number {
    const { body, connection } = head.facts as NonNullable<RequestHead["facts"]>;
    this.#phase = "serving";
    this.#isReading = true;
    this.#isGone = false;
    // The strict subset knows two options of a connection.
    this.#closeAfter = connection !== null && connection.length === "close".length;
    this.#body.begin(body);
    this.#writer.begin();
    const events = this.#env.handler.onRequest(head, this);
    this.#events = events;
    let behind = offset;
    if (this.#body.done) {
      if (this.#isHeard) events.onBodyEnd(null);
    } else {
      behind = this.#readBody(events, bytes, offset, length, owned);
      if (!this.#body.done && this.#isHeard) this.#awaitBody(events, behind === offset);
    }
    this.#isReading = false;
    if (this.#writer.ended) this.#afterEnd();
    return behind;
  }

  #awaitBody(events: DownstreamEvents, none: boolean): void {
    this.#watchProgress();
    if (none) events.onBodyWaits();
  }

  /** Bytes while a request is being served: the rest of its body, or what the client sends ahead of its answer. */
  #readBehind(bytes: Buffer, length: number, owned: boolean): void {
    const offset = this.#body.done ? 0 : this.#readBody(this.#events as DownstreamEvents, bytes, 0, length, owned);
    if (offset >= length) return;
    if (this.#phase === "serving") this.#keep(bytes, offset, length);
    else if (this.#phase === "waiting") this.#readHeads(bytes, offset, length, owned);
  }

  #readBody(events: DownstreamEvents, bytes: Buffer, offset: number, length: number, owned: boolean): number {
    const body = this.#body;
    const behind = body.read(bytes, offset, length);
    const { ranges } = body;
    for (let i = 0; i < ranges.length && this.#isHeard; i += 2) {
      events.onBody(chunkOf(bytes, ranges[i] as number, ranges[i + 1] as number, owned));
    }
    if (body.problem !== null) {
      this.#breakOff("malformed-request");
      return length;
    }
    if (body.done && this.#isHeard) {
      if (this.#socket.writableLength === 0) this.#watching = false;
      events.onBodyEnd(body.trailers);
    }
    return behind;
  }

  /** The road still wants to hear this client. */
  get #isHeard(): boolean {
    return this.#phase === "serving" && !this.#isGone && !this.#writer.ended;
  }

  /** Keeps what comes ahead of its turn; when that is much, reads no more until its turn has come. */
  #keep(bytes: Buffer, offset: number, length: number): void {
    this.#unread.add(bytes, offset, length);
    if (this.#unread.isFull) this.#gate.stop();
  }

  /** What only the library engine may judge goes to it with everything that was not read. */
  #handOver(bytes: Buffer, offset: number, length: number): void {
    const unread = Buffer.concat([Buffer.from(this.#reader.takePartial(), "latin1"), bytes.subarray(offset, length)]);
    this.#phase = "handed-over";
    this.#env.deadlines.remove(this);
    const socket = this.#socket;
    socket.off("data", this.#onData).off("drain", this.#onDrain).off("end", this.#onEnd);
    socket.off("error", this.#onLost).off("close", this.#onLost);
    this.#env.handOver(this, socket, unread);
  }

  // ---- what the road says

  sendInformation(status: number, headers: RawHeaders): void {
    if (this.#isServing) this.#writer.information(status, headers);
  }

  sendHead(head: OutgoingAnswer, options: SendHeadOptions): void {
    if (!this.#isServing) return;
    // A body that nobody reads to its end may be followed by anything.
    if (options.close || !this.#body.done) this.#closeAfter = true;
    this.#writer.head(head, options.bodyless, this.#closeAfter);
  }

  sendData(chunk: Chunk): boolean {
    if (!this.#isServing) return true;
    const flowing = this.#writer.data(chunk);
    if (!flowing) this.#watchProgress();
    return flowing;
  }

  sendEnd(trailers: RawHeaders | null): void {
    if (!this.#isServing) return;
    this.#writer.end(trailers);
    if (!this.#isReading) writeBatch.add(this);
  }

  writeBatch(): void {
    if (this.#phase === "serving" && this.#writer.ended) this.#afterEnd();
  }

  flush(): void {
    if (this.#isServing) this.#writer.flush();
  }

  unsentBytes(): number {
    return this.#socket.writableLength;
  }

  abort(): void {
    if (this.#phase === "closed") return;
    this.#close();
    if (this.#cutHard && !this.#origin.encrypted) this.#socket.resetAndDestroy();
    else this.#socket.destroy();
  }

  pauseBody(): void {
    this.#bodyPaused = true;
    this.#gate.stop();
  }

  resumeBody(): void {
    this.#bodyPaused = false;
    if (!this.#unread.isFull) this.#gate.start();
  }

  get #isServing(): boolean {
    return this.#phase === "serving" && !this.#writer.ended;
  }

  // ---- the end of an exchange

  /** The answer was written to its end; whether the kernel has taken it all is another matter. */
  #afterEnd(): void {
    this.#writer.flush();
    if (this.#socket.writableLength === 0) {
      this.#onSent();
      return;
    }
    this.#watchProgress();
    this.#socket.write("", this.#onSent);
  }

  readonly #onSent = (): void => {
    if (this.#phase !== "serving") return;
    this.hasServed = true;
    this.#watching = false;
    const events = this.#events as DownstreamEvents;
    this.#events = null;
    if (this.#closeAfter || !this.#body.done) this.#linger();
    else {
      this.#phase = "waiting";
      // The attempt that held the body back is over, and nobody else would let it flow again.
      this.#bodyPaused = false;
      this.#env.deadlines.set(this, this.#env.limits().keepAliveTimeoutMs);
    }
    events.onSent();
    if (this.#phase === "waiting" && !this.#isReading) this.#takeTurn();
  };

  /** Serves what came ahead of its turn. */
  #takeTurn(): void {
    if (this.#unread.length > 0) {
      const bytes = this.#unread.take();
      this.#readHeads(bytes, 0, bytes.length, true);
    }
    if (!this.#unread.isFull && !this.#bodyPaused) this.#gate.start();
  }

  /** Our last word is said. Closing at once could reset the connection before the client has read it (RFC 9112 §9.6). */
  #linger(): void {
    this.#phase = "lingering";
    this.#unread.take();
    this.#env.deadlines.set(this, LINGER_MS);
    this.#socket.end();
    this.#gate.start();
  }

  #refuse(kind: "malformed-request" | "request-timeout"): void {
    this.#socket.write(this.#env.handler.refusal(kind, null, this.#origin.peerAddress));
    this.#linger();
  }

  /** The rest of the request cannot be read. */
  #breakOff(why: ClientFault): void {
    if (this.#phase !== "serving" || this.#isGone) return;
    this.#closeAfter = true;
    this.#isGone = true;
    this.#events?.onGone(why);
  }

  #close(): void {
    this.#phase = "closed";
    this.#env.deadlines.remove(this);
    this.#unread.take();
  }

  // ---- what the socket says

  readonly #onData = (chunk: Buffer): void => {
    this.onRead(chunk, chunk.length, true);
  };

  readonly #onDrain = (): void => {
    if (this.#phase === "serving") this.#events?.onClientDrain();
  };

  readonly #onEnd = (): void => {
    if (this.#phase === "waiting" && this.#reader.isInside) this.#refuse("malformed-request");
    else if (this.#isHeard && !this.#body.done) this.#breakOff("malformed-request");
    else {
      this.#onLost();
      this.#socket.destroy();
    }
  };

  readonly #onLost = (): void => {
    if (this.#phase === "closed") return;
    const events = this.#phase === "serving" ? this.#events : null;
    this.#close();
    events?.onGone("client-gone");
  };

  // ---- deadlines

  #watchProgress(): void {
    this.#watching = true;
    this.#progress.restart();
    this.#env.deadlines.set(this, this.#env.limits().bodyIdleTimeoutMs);
  }

  onExpired(): void {
    if (this.#phase === "serving" && this.#watching) this.#judgeProgress();
    else if (this.#phase === "lingering" || (this.isIdle && this.hasServed)) this.#socket.destroy();
    else if (this.#phase === "waiting") this.#refuse("request-timeout");
  }

  /** Too few bytes in either direction in a whole window end the connection. */
  #judgeProgress(): void {
    const windowMs = this.#env.limits().bodyIdleTimeoutMs;
    if (this.#bodyPaused || !this.#progress.isTooSlow(windowMs)) {
      this.#watchProgress();
      return;
    }
    const unsent = this.#socket.writableLength > 0;
    if (!unsent && this.#body.done) {
      this.#watching = false;
      return;
    }
    // Closed softly, the kernel would keep what such a reader does not read, for many minutes.
    if (unsent) this.#cutHard = true;
    this.#breakOff("request-timeout");
  }
}
