import type { Socket } from "node:net";
import { FAILURES, failure, type Failure } from "../base/failure.ts";
import { AnswerReader } from "../codec/answer-reader.ts";
import type { Chunk } from "../model/exchange-types.ts";
import type { Deadlines, Timed } from "./deadlines.ts";
import type { AttemptState } from "./attempt-state.ts";
import { ReadBuffers } from "./read-buffers.ts";
import { ReadGate } from "./read-gate.ts";
import { dial } from "./native-dial.ts";
import { chunkOf } from "./shared-buffer.ts";
import { failureFromError } from "./upstream-errors.ts";
import { writeBatch, type BatchMember } from "./write-batch.ts";
import { writePieces } from "./write-pieces.ts";
import type { Endpoint, PooledConnection } from "./endpoints.ts";
import type { UpstreamPool } from "./upstream-pool.ts";

/** An attempt as its connection sees it. */
export interface LineMember {
  readonly head: { readonly method: string };
  readonly state: AttemptState;
  /** Its connection had been waiting in the pool, so that the upstream may have closed it meanwhile. */
  readonly reused: boolean;
  /** It may go over a connection that others are using. */
  readonly mayShare: boolean;
  /** It is over: the pool need not know of it any more. */
  leave(): void;
}

/** What a connection tells whoever keeps some open ahead of need. */
export interface NativeConnectionEvents {
  onOpened(): void;
  /** It closed before it was open. */
  onNotOpened(): void;
}

/**
 * One upstream connection of the native engine. Attempts stand in line on it in the order in which they asked; the first is
 * the one being answered. Without pipelining the line is never longer than one.
 *
 *   ask ──▶ [ first | second | … ]       bytes read belong to the first; its end moves the line up
 *
 * It outlives its attempts, and an attempt that was given up stays in line, unheard, until its answer has passed.
 */
export class NativeConnection implements PooledConnection, BatchMember, Timed {
  listIndex = -1;
  dueMs = 0;
  closed = false;
  /** Answers that ended on it. */
  served = 0;
  readonly #pool: UpstreamPool<NativeConnection>;
  readonly #endpoint: Endpoint<NativeConnection>;
  readonly #events: NativeConnectionEvents;
  readonly #socket: Socket;
  readonly #gate: ReadGate;
  readonly #reader: AnswerReader;
  readonly #line: LineMember[] = [];
  readonly #deadlines: Deadlines;
  readonly #pipelining: number;
  #connected = false;
  /** It counts as in use. */
  #hasSlot = false;
  /** The pool may put more attempts in line. */
  #offered = false;
  /** Longest idle time, in ms: the configured one, or less when the upstream announced less. */
  #idleTimeoutMs: number;
  readonly #buffers = new ReadBuffers();
  /** Heads that leave together at the end of this turn of the loop. */
  #outbox = "";
  #error: unknown = null;

  constructor(
    pool: UpstreamPool<NativeConnection>,
    endpoint: Endpoint<NativeConnection>,
    deadlines: Deadlines,
    events: NativeConnectionEvents,
  ) {
    const { spec } = pool;
    this.#pool = pool;
    this.#endpoint = endpoint;
    this.#events = events;
    this.#pipelining = spec.pool.pipelining;
    this.#idleTimeoutMs = spec.pool.idleTimeoutMs;
    this.#reader = new AnswerReader(spec.maxHeaderBytes);
    this.#socket = dial(spec, endpoint.spec, this);
    this.#gate = new ReadGate(this.#socket);
    this.#listen(this.#socket, endpoint.spec.scheme === "https" ? "secureConnect" : "connect");
    this.#deadlines = deadlines;
    deadlines.set(this, spec.timeouts.connectTimeoutMs);
  }

  /** An attempt takes its place in line; its bytes follow. */
  ask(attempt: LineMember): void {
    if (this.#line.length === 0) {
      this.#hasSlot = true;
      if (this.#connected) this.#deadlines.remove(this);
    }
    this.#line.push(attempt);
    if (this.#connected) attempt.state.sent = true;
  }

  /** The attempt has written its head. Not before may another follow, or answers would go to the wrong callers. */
  asked(attempt: LineMember): void {
    if (this.#pipelining > 1) this.#updateOffer(attempt.mayShare);
  }

  /** A whole request without a body. Those of one turn of the loop leave in one write when they may be pipelined. */
  sendWhole(text: string): void {
    if (this.#outbox === "") writeBatch.add(this);
    this.#outbox += text;
  }

  writeBatch(): void {
    const text = this.#outbox;
    this.#outbox = "";
    if (text !== "" && !this.closed) this.#socket.write(text, "latin1");
  }

  /** Writes pieces in one packet; false = hold back until the drain. */
  write(before: string, chunk: Chunk = "", after: string = ""): boolean {
    if (this.closed) return true;
    if (this.#outbox !== "") this.writeBatch();
    if (typeof chunk === "string") return this.#socket.write(before + chunk + after, "latin1");
    return writePieces(this.#socket, before, chunk, after);
  }

  /** The attempt takes bytes again; only of the one that is being answered does that mean anything. */
  resume(attempt: LineMember): void {
    if (this.#line[0] === attempt) this.#gate.start();
  }

  /**
   * An attempt is given up. Alone, it takes the connection with it, which tells the upstream to stop. Others in line are
   * not harmed: its answer passes unheard, unless it is the one that holds them all up.
   */
  giveUp(attempt: LineMember, why: Failure): void {
    attempt.leave();
    if (this.#isUnwanted) {
      this.#break(why);
      return;
    }
    this.#updateOffer(false);
    if (this.#line[0] !== attempt) return;
    if (FAILURES[why.kind].fault === "upstream") this.#break(failure("stale-connection", why.kind));
    else this.#gate.start();
  }

  /** Nobody uses it any more, or it is the pool that closes. */
  close(): void {
    if (!this.closed) this.#break(failure("draining"));
  }

  /** Deadline: it did not open in time, or was idle for long enough. */
  onExpired(): void {
    if (!this.#connected) this.#break(failure("connect-timeout"));
    else if (this.#line.length === 0) this.#leavePool();
  }

  /** Bytes came; `owned` = the buffer is not read into again. */
  onRead(bytes: Buffer, length: number, owned: boolean): void {
    let offset = 0;
    const { served } = this;
    while (offset < length && !this.closed) {
      const attempt = this.#line[0];
      if (attempt === undefined) {
        // Nobody asked for these: whatever comes next on it could be taken for somebody's answer.
        this.#leavePool();
        return;
      }
      offset = this.#readAnswer(attempt, bytes, offset, length, owned);
    }
    // What is over by now has been flushed by its end.
    this.#line[0]?.state.flush();
    // Behind the end of an answer nobody tells any more whether its last pieces have left.
    if (!owned) this.#buffers.choose(length, this.#reader.inBody && served === this.served, this.#unsentBytes);
  }

  /** For the socket: what the next read goes into; null = what the last one went into. */
  takeBuffer(): Buffer | null {
    return this.#buffers.take();
  }

  readonly #unsentBytes = (): number => this.#line[0]?.state.unsentBytes() ?? Infinity;

  #listen(socket: Socket, opened: "connect" | "secureConnect"): void {
    socket.once(opened, () => this.#onOpened());
    socket.on("drain", () => this.#line.at(-1)?.state.drained());
    socket.on("error", (error) => {
      this.#error = error;
    });
    socket.on("end", () => this.#onEnd());
    socket.on("close", () => this.#onEnd());
  }

  #onOpened(): void {
    if (this.closed) return;
    this.#connected = true;
    this.#pool.countOpened();
    this.#deadlines.remove(this);
    for (const attempt of this.#line) attempt.state.sent = true;
    this.#events.onOpened();
    if (this.#line.length > 0) return;
    this.#pool.park(this.#endpoint, this);
    this.#deadlines.set(this, this.#idleTimeoutMs);
  }

  #readAnswer(attempt: LineMember, bytes: Buffer, offset: number, length: number, owned: boolean): number {
    const reader = this.#reader;
    const next = reader.read(bytes, offset, length, attempt.head.method);
    if (reader.problem !== null) {
      this.#fail(attempt, failure(reader.problem.kind, reader.problem.cause));
      return length;
    }
    if (reader.newHead !== null && !this.#tellHead(attempt, reader)) return next;
    this.#tellBody(attempt, bytes, owned);
    if (reader.done && !this.closed) this.#finish(attempt, next === length);
    return next;
  }

  /** False when the attempt did not survive its head, or the head was interim. */
  #tellHead(attempt: LineMember, reader: AnswerReader): boolean {
    const head = reader.takeHead();
    if (head.status === 101) {
      this.#fail(attempt, failure("bad-answer", "101 that nobody asked for"));
      return false;
    }
    if (head.status < 200) {
      attempt.state.head(head);
      return false;
    }
    if (head.status === 408 && attempt.reused && !reader.keepsAlive) {
      // A 408 that closes a reused connection was meant for its idle time, not for this request.
      this.#fail(attempt, failure("stale-connection", "408 on an idle connection"));
      return false;
    }
    if (!reader.keepsAlive) this.#updateOffer(false);
    attempt.state.head(head);
    return !this.closed;
  }

  #tellBody(attempt: LineMember, bytes: Buffer, owned: boolean): void {
    const { ranges } = this.#reader;
    const { state } = attempt;
    for (let i = 0; i < ranges.length && !state.done; i += 2) {
      const chunk = chunkOf(bytes, ranges[i] as number, ranges[i + 1] as number, owned || this.#buffers.areOwn);
      if (!state.data(chunk) && !state.done) this.#gate.stop();
    }
  }

  /** The answer to the first in line ended; `nothingBehind` = no byte came after it. */
  #finish(attempt: LineMember, nothingBehind: boolean): void {
    const reader = this.#reader;
    const { trailers, keepsAlive } = reader;
    this.#announced(reader.keepAliveTimeoutMs);
    reader.next();
    this.#line.shift();
    this.served++;
    const { state } = attempt;
    if (!state.done) attempt.leave();
    const last = this.#line.length === 0;
    const good = keepsAlive && state.requestEnded && (nothingBehind || !last) && this.#idleTimeoutMs > 0;
    if (!good) this.#break(failure("stale-connection", "the upstream closes behind an answer"));
    else if (last) this.#vacate();
    else if (this.#isUnwanted) this.#break(failure("draining"));
    else if (this.#pipelining > 1) this.#updateOffer(true);
    this.#gate.start();
    state.end(trailers);
  }

  /** The line is empty: the connection goes back to the pool, which may hand it on at once. */
  #vacate(): void {
    this.#updateOffer(false);
    this.#hasSlot = false;
    this.#pool.vacate(this.#endpoint, this);
    if (this.#line.length === 0 && !this.closed) this.#deadlines.set(this, this.#idleTimeoutMs);
  }

  /** Nobody in line waits for an answer any more. */
  get #isUnwanted(): boolean {
    return this.#line.every(({ state }) => state.done);
  }

  /**
   * Offers itself for more while there is room. Only a connection that has served is offered: before that nobody knows
   * that it persists (RFC 9112 §9.3.2). Nor is one that is about to close, or that owes an answer which nobody wants.
   */
  #updateOffer(willing: boolean): void {
    const mayServe = this.served > 0 && !this.closed && this.#line.length < this.#pipelining;
    const stays = !this.#reader.inBody || this.#reader.keepsAlive;
    const wanted = willing && mayServe && stays && !this.#line.some(({ state }) => state.done);
    if (wanted === this.#offered) return;
    this.#offered = wanted;
    if (wanted) this.#pool.offer(this.#endpoint, this);
    else this.#pool.withdraw(this.#endpoint, this);
  }

  #announced(timeoutMs: number | null): void {
    if (timeoutMs === null) return;
    // A second less than announced: the upstream's clock runs since it sent, ours since we heard.
    this.#idleTimeoutMs = Math.min(this.#pool.spec.pool.idleTimeoutMs, timeoutMs - 1_000);
  }

  /** The upstream says no more, or the socket is gone. */
  #onEnd(): void {
    if (this.closed) return;
    const [attempt] = this.#line;
    if (attempt === undefined) {
      this.#leavePool();
      return;
    }
    if (this.#error !== null || !this.#reader.endsWithConnection) {
      const why = this.#error ?? new Error("the upstream closed the connection");
      this.#fail(attempt, this.#failureFrom(attempt, why));
      return;
    }
    this.#line.shift();
    if (!attempt.state.done) attempt.leave();
    this.#break(failure("stale-connection", "the upstream closed the connection"));
    attempt.state.end(null);
  }

  #failureFrom(attempt: LineMember, error: unknown): Failure {
    return failureFromError(error, {
      connected: this.#connected,
      answering: this.#reader.inBody,
      staleCandidate: attempt.reused && this.#reader.untouched,
    });
  }

  /** The first in line failed, and the connection with it. */
  #fail(attempt: LineMember, why: Failure): void {
    this.#line.shift();
    if (!attempt.state.done) attempt.leave();
    this.#break(failure("stale-connection", why.kind));
    attempt.state.fail(why);
  }

  /** Nobody is in line, and nobody may be any more. */
  #leavePool(): void {
    this.#pool.forget(this.#endpoint, this);
    this.#break(failure("draining"));
  }

  /** Closes. Whoever is still in line hears `why`, and is tried again elsewhere if it may be at all. */
  #break(why: Failure): void {
    this.closed = true;
    this.#outbox = "";
    this.#deadlines.remove(this);
    this.#updateOffer(false);
    this.#socket.destroy();
    if (!this.#connected) this.#events.onNotOpened();
    const left = this.#line.splice(0).filter((attempt) => !attempt.state.done);
    for (const attempt of left) attempt.leave();
    if (this.#hasSlot) {
      this.#hasSlot = false;
      this.#pool.vacate(this.#endpoint, null);
    }
    for (const attempt of left) attempt.state.fail(why);
  }
}
