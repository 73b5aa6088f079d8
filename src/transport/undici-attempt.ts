import { Readable } from "node:stream";
import type { Circuit } from "../policy/circuit-cell.ts";
import type { Dispatcher } from "undici";
import { failure, type Failure, type FailureKind } from "../base/failure.ts";
import type {
  AttemptOptions,
  Chunk,
  OutgoingHead,
  RawHeaders,
  ResponseHead,
  ResponseSink,
} from "../model/exchange-types.ts";
import { closesConnection } from "../model/answer.ts";
import { fieldsFromText } from "../model/field-lines.ts";
import { AttemptState } from "./attempt-state.ts";
import type { UndiciConnection } from "./undici-connection.ts";
import type { Endpoint } from "./endpoints.ts";
import type { PooledAttempt, UpstreamPool } from "./upstream-pool.ts";
import { failureFromError } from "./upstream-errors.ts";

/** Makes a new connection to an endpoint, not yet open. */
type Connect = (endpoint: Endpoint<UndiciConnection>) => UndiciConnection;

/** One try over undici. Also the dispatch handler, so that nothing is allocated per callback. */
export class UndiciAttempt implements PooledAttempt<UndiciConnection>, Dispatcher.DispatchHandler {
  listIndex = -1;
  readonly wantsFresh: boolean;
  readonly mayShare = false;
  readonly #pool: UpstreamPool<UndiciConnection>;
  readonly #head: OutgoingHead;
  readonly #connect: Connect;
  readonly #state: AttemptState;
  readonly #body: BodyStream | null;
  #endpoint: Endpoint<UndiciConnection> | null = null;
  #connection: UndiciConnection | null = null;
  #controller: Dispatcher.DispatchController | null = null;
  #reused = false;
  #heldHead: ResponseHead | null = null;
  #bytesBefore = 0;

  constructor(
    pool: UpstreamPool<UndiciConnection>,
    head: OutgoingHead,
    sink: ResponseSink,
    options: AttemptOptions,
    connect: Connect,
  ) {
    this.#pool = pool;
    this.#connect = connect;
    this.#head = head;
    this.wantsFresh = options.freshConnection;
    this.#state = new AttemptState(sink, this, pool, head.method, options);
    this.#body = head.body.kind === "none" ? null : new BodyStream(this.#state, head.body.kind === "chunked");
    if (this.#body === null) this.#state.requestDone();
  }

  run(endpoint: Endpoint<UndiciConnection>, connection: UndiciConnection | null): void {
    this.#endpoint = endpoint;
    this.#reused = connection !== null;
    this.#connection = connection ?? this.#connect(endpoint);
    this.#state.granted();
    this.#connection.client.dispatch(this.#dispatchOptions(endpoint), this);
  }

  refuse(why: FailureKind): void {
    this.#state.fail(failure(why));
  }

  atEndpoint(circuit: Circuit, ticket: number): void {
    this.#state.report?.atEndpoint(circuit, ticket);
  }

  expire(): void {
    this.#state.giveUp(failure("draining"));
  }

  write(chunk: Chunk): boolean {
    if (this.#body === null || this.#state.done) return true;
    return this.#state.offered(this.#body.offer(typeof chunk === "string" ? Buffer.from(chunk, "latin1") : chunk));
  }

  end(): void {
    if (this.#body === null || this.#state.done) return;
    this.#body.push(null);
    this.#state.requestDone();
  }

  resume(): void {
    this.#state.resumed();
    this.#controller?.resume();
  }

  abort(why: Failure): void {
    this.#state.aborted(why);
  }

  cancel(why: Failure): void {
    if (this.#controller !== null) this.#controller.abort(new Error(why.kind));
    else this.#connection?.close();
    this.#giveBack(false);
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.#state.done) {
      controller.abort(new Error("attempt is over"));
      return;
    }
    this.#state.sent = true;
    (this.#connection as UndiciConnection).expectAnswer();
    this.#bytesBefore = (this.#connection as UndiciConnection).bytesRead;
    this.#reused &&= (this.#connection as UndiciConnection).served > 0;
  }

  onResponseStart(controller: Dispatcher.DispatchController, status: number, _headers: unknown, reason = ""): void {
    const head: ResponseHead = { status, reason, headers: latin1Headers(controller.rawHeaders) };
    // A 408 that closes a reused connection was meant for its idle time, not for this request.
    if (status === 408 && this.#reused && closesConnection(head)) {
      this.#state.giveUp(failure("stale-connection", "408 on an idle connection"));
      return;
    }
    if ((this.#connection as UndiciConnection).versionIsWrong) {
      this.#state.giveUp(failure("bad-answer", "an answer that is not HTTP/1.x"));
      return;
    }
    if (status >= 100 && status < 200) {
      this.#state.head(head);
      return;
    }
    this.#heldHead = head;
    setImmediate(showHead, this);
  }

  /**
   * Passes the final head on, at the latest in the next turn. It waits for the bytes that came with it: if they are
   * broken, the client can still be told so by a status of ours.
   */
  showHead(): void {
    const head = this.#heldHead;
    if (head === null || this.#state.done || (this.#connection as UndiciConnection).broken) return;
    this.#heldHead = null;
    if (!this.#state.head(head)) this.#controller?.abort(new Error("attempt is over"));
  }

  /** The head had no body with it. */
  flush(): void {
    this.#state.flush();
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.showHead();
    if (!this.#state.data(chunk)) controller.pause();
    this.#state.flush();
  }

  onResponseEnd(controller: Dispatcher.DispatchController): void {
    // undici takes a reset for the end of an answer that only the connection's end delimits.
    if (this.#connection?.wasReset) {
      this.#state.giveUp(failure("truncated-answer", "the connection was reset"));
      return;
    }
    this.showHead();
    const trailers = controller.rawTrailers;
    const clean = this.#state.requestEnded;
    this.#giveBack(clean);
    this.#state.end(!trailers || trailers.length === 0 ? null : latin1Headers(trailers));
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    const connection = this.#connection as UndiciConnection;
    const why = failureFromError(error, {
      connected: this.#state.sent,
      answering: this.#state.answering,
      staleCandidate: this.#reused && connection.bytesRead <= this.#bytesBefore,
    });
    this.#giveBack(false);
    this.#state.fail(why);
  }

  /** Exactly once: the slot goes back, with the connection when it is in good order. */
  #giveBack(clean: boolean): void {
    const endpoint = this.#endpoint;
    const connection = this.#connection;
    this.#endpoint = null;
    if (!clean) {
      this.#body?.destroy();
      connection?.close();
    } else if (connection !== null) connection.served++;
    this.#pool.release(this, endpoint, clean && endpoint !== null ? connection : null);
  }

  #dispatchOptions(endpoint: Endpoint<UndiciConnection>): Dispatcher.DispatchOptions {
    const { method, target, fields, body } = this.#head;
    const all = fieldsFromText(fields);
    if (body.kind === "length") all.push("content-length", String(body.length));
    return {
      path: target,
      method,
      headers: all,
      body: this.#body,
      reset: false,
      blocking: false,
      servername: endpoint.spec.host,
    } as Dispatcher.DispatchOptions;
  }
}

function showHead(attempt: UndiciAttempt): void {
  attempt.showHead();
  attempt.flush();
}

/** The request body as undici reads it. Undici's pull is the drain signal. */
class BodyStream extends Readable {
  readonly #state: AttemptState;
  #held = false;

  /** In object mode undici does not see that a short body has ended, which it would turn into one of known length. */
  constructor(state: AttemptState, keepChunked: boolean) {
    super(keepChunked ? { objectMode: true, highWaterMark: 4 } : { highWaterMark: 65_536 });
    this.#state = state;
    // An aborted upload destroys this stream; the attempt reports it, the stream need not.
    this.on("error", () => {});
  }

  /** False = hold back until the drain. */
  offer(chunk: Buffer): boolean {
    this.#held = !this.push(chunk);
    return !this.#held;
  }

  override _read(): void {
    if (!this.#held) return;
    this.#held = false;
    this.#state.drained();
  }
}

function latin1Headers(raw: unknown): RawHeaders {
  const fields = raw as readonly (Buffer | string)[];
  const out: string[] = [];
  for (const field of fields) out.push(typeof field === "string" ? field : field.toString("latin1"));
  return out;
}
