import { failure, type Failure, type FailureKind } from "../base/failure.ts";
import type { Circuit } from "../policy/circuit-cell.ts";
import { chunkSizeLine, lastChunkText } from "../codec/write-chunks.ts";
import { requestHeadText } from "../codec/write-head.ts";
import type { EndpointSpec } from "../model/snapshot.ts";
import type { AttemptOptions, Chunk, OutgoingHead, RawHeaders, ResponseSink } from "../model/exchange-types.ts";
import { isIdempotent } from "../model/methods.ts";
import { AttemptState } from "./attempt-state.ts";
import type { LineMember, NativeConnection } from "./native-connection.ts";
import type { Endpoint } from "./endpoints.ts";
import type { PooledAttempt, UpstreamPool } from "./upstream-pool.ts";

/** Opens a new connection to an endpoint. */
type Dial = (endpoint: Endpoint<NativeConnection>) => NativeConnection;

/** One try over the native engine: it writes the request, its connection reads the answer. */
export class NativeAttempt implements PooledAttempt<NativeConnection>, LineMember {
  listIndex = -1;
  readonly wantsFresh: boolean;
  readonly mayShare: boolean;
  readonly head: OutgoingHead;
  readonly state: AttemptState;
  reused = false;
  readonly #pool: UpstreamPool<NativeConnection>;
  readonly #dial: Dial;
  #endpoint: Endpoint<NativeConnection> | null = null;
  #connection: NativeConnection | null = null;
  /** The head's text, while it waits for the first piece of its body. */
  #heldHead = "";
  /** Body that came before there was a connection. */
  #waiting: Chunk[] | null = null;
  #waitingEnd: { readonly trailers: RawHeaders | null } | null = null;

  constructor(
    pool: UpstreamPool<NativeConnection>,
    head: OutgoingHead,
    sink: ResponseSink,
    options: AttemptOptions,
    dial: Dial,
  ) {
    const { spec } = pool;
    this.#pool = pool;
    this.head = head;
    this.#dial = dial;
    this.wantsFresh = options.freshConnection;
    this.mayShare =
      spec.pool.pipelining > 1 && !options.freshConnection && head.body.kind === "none" && isIdempotent(head.method);
    this.state = new AttemptState(sink, this, pool, head.method, options);
    if (head.body.kind === "none") this.state.requestDone();
  }

  run(endpoint: Endpoint<NativeConnection>, connection: NativeConnection | null): void {
    this.#endpoint = endpoint;
    this.reused = connection !== null;
    this.#connection = connection ?? this.#dial(endpoint);
    this.state.granted();
    this.#connection.ask(this);
    this.#sendHead(this.#connection);
    if (this.#waiting !== null) this.#sendWaiting(this.#waiting);
    this.#connection.asked(this);
  }

  refuse(why: FailureKind): void {
    this.state.fail(failure(why));
  }

  atEndpoint(circuit: Circuit, ticket: number): void {
    this.state.report?.atEndpoint(circuit, ticket);
  }

  expire(): void {
    this.state.giveUp(failure("draining"));
  }

  write(chunk: Chunk): boolean {
    if (this.state.done || this.head.body.kind === "none") return true;
    if (this.#connection !== null) return this.state.offered(this.#send(this.#connection, chunk));
    this.#waiting ??= [];
    this.#waiting.push(chunk);
    return false;
  }

  end(trailers: RawHeaders | null): void {
    if (this.state.done || this.head.body.kind === "none") return;
    this.state.requestDone();
    if (this.#connection === null) this.#waitingEnd = { trailers };
    else this.#finish(this.#connection, trailers);
  }

  resume(): void {
    this.state.resumed();
    this.#connection?.resume(this);
  }

  abort(why: Failure): void {
    this.state.aborted(why);
  }

  cancel(why: Failure): void {
    if (this.#connection === null) this.#pool.over(this, null);
    else this.#connection.giveUp(this, why);
  }

  leave(): void {
    this.#pool.over(this, this.#endpoint);
  }

  #sendHead(connection: NativeConnection): void {
    const text = requestHeadText(withHost(this.head, (this.#endpoint as Endpoint<NativeConnection>).spec));
    if (this.head.body.kind === "none") connection.sendWhole(text);
    else if (this.head.expectsContinue || this.head.bodyFollowsLater) connection.write(text);
    else this.#heldHead = text;
  }

  #sendWaiting(pieces: readonly Chunk[]): void {
    this.#waiting = null;
    let flowing = true;
    for (const piece of pieces) flowing = this.#send(this.#connection as NativeConnection, piece);
    this.state.offered(flowing);
    if (this.#waitingEnd !== null) this.#finish(this.#connection as NativeConnection, this.#waitingEnd.trailers);
    // The road holds its client back since the first piece; nothing may be told to it before `open` has returned.
    else if (flowing) process.nextTick(drained, this.state);
  }

  #send(connection: NativeConnection, chunk: Chunk): boolean {
    const before = this.#takeHead();
    if (this.head.body.kind === "length") return connection.write(before, chunk);
    if (chunk.length === 0) return before === "" || connection.write(before);
    return connection.write(before + chunkSizeLine(chunk.length), chunk, "\r\n");
  }

  #finish(connection: NativeConnection, trailers: RawHeaders | null): void {
    const before = this.#takeHead();
    const end = this.head.body.kind === "chunked" ? lastChunkText(trailers) : "";
    if (before !== "" || end !== "") connection.write(before + end);
  }

  #takeHead(): string {
    const held = this.#heldHead;
    this.#heldHead = "";
    return held;
  }
}

/** Whoever speaks HTTP/1.0 may leave Host out, HTTP/1.1 may not (RFC 9112 §3.2): then the endpoint's own address goes there. */
function withHost(head: OutgoingHead, { host, port, socketPath }: EndpointSpec): OutgoingHead {
  if (head.fields.startsWith("host: ")) return head;
  const name = host.includes(":") ? `[${host}]` : host;
  return { ...head, fields: `host: ${socketPath === null ? `${name}:${port}` : name}\r\n${head.fields}` };
}

function drained(state: AttemptState): void {
  state.drained();
}
