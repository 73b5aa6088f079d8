import type { Duplex } from "node:stream";
import type { Failure, FailureKind } from "../base/failure.ts";
import type { Target } from "./target.ts";

/** Header fields as on the wire: name, value, name, value …; order, case and repeats kept; latin1 strings. */
export type RawHeaders = readonly string[];

/**
 * Some bytes of a body: a Buffer that belongs to whoever gets it, or latin1 text, one character per byte, which is what
 * small pieces travel as because text joins its head in one write. `length` is the number of bytes of either.
 */
export type Chunk = Buffer | string;

/** Where the well-formed field lines of a head are in the text they came in, so that runs of them can be copied whole. */
export interface FieldLines {
  readonly text: string;
  /** Where each line begins, and last where the line behind them would. */
  readonly starts: readonly number[];
}

/** Which engine served: the `lane` label. */
export type Lane = "native" | "library" | "upgrade";

/** A request as a downstream engine hands it to the road, before any rule was applied. */
export interface RequestHead {
  readonly method: string;
  /** Request target, byte-exact. */
  readonly target: string;
  /** 1 for HTTP/1.x; everything else is refused. */
  readonly majorVersion: number;
  /** 0 for HTTP/1.0; higher ones are served as 1.1. */
  readonly minorVersion: number;
  readonly headers: RawHeaders;
  readonly peerAddress: string;
  readonly localPort: number;
  readonly encrypted: boolean;
  /** What an engine that had to read them anyway found; null = nobody has looked yet. */
  readonly facts: RequestFacts | null;
  /** Where the fields came from, of an engine that has made sure that they are well-formed; absent = of another. */
  readonly lines?: FieldLines;
}

/** Everything that the road wants to know of a request head, read in one pass. */
export interface RequestFacts {
  readonly target: Target;
  /** What goes upstream as Host; null for an HTTP/1.0 request without one. */
  readonly authority: string | null;
  readonly body: BodyFraming;
  readonly connection: string | null;
  readonly upgrade: string | null;
  readonly expect: string | null;
  readonly te: string | null;
  readonly trailer: string | null;
  readonly via: string | null;
  readonly cookie: string | null;
  readonly maxForwards: string | null;
  readonly requestId: string | null;
  readonly traceparent: string | null;
  readonly forwardedFor: string | null;
  readonly forwardedProto: string | null;
  readonly forwardedHost: string | null;
  readonly forwardedPort: string | null;
}

/** A request as it goes to an upstream: rules applied, framing decided. */
export interface OutgoingHead {
  readonly method: string;
  /** Origin form or `*`. */
  readonly target: string;
  /** Field lines as text, `name: value\r\n` for each, one character per byte; no framing fields. */
  readonly fields: string;
  readonly body: BodyFraming;
  /** The client waits for a 100 before it sends the body. */
  readonly expectsContinue: boolean;
  /** The client announced trailer fields. */
  readonly hasTrailers: boolean;
  /** The head must not wait for the body, which is not here yet. */
  readonly bodyFollowsLater: boolean;
}

/** How a body is delimited: not at all, by a length in bytes, or by chunks. */
export type BodyFraming =
  | { readonly kind: "none" }
  | { readonly kind: "length"; readonly length: number }
  | { readonly kind: "chunked" };

/** An answer's head as received, hop-by-hop fields included. Interim answers (1xx) come as their own heads. */
export interface ResponseHead {
  readonly status: number;
  readonly reason: string;
  readonly headers: RawHeaders;
  /** Where the fields came from, of an engine that has made sure that they are well-formed; absent = of another. */
  readonly lines?: FieldLines;
}

/** An answer's final head as it goes to the client: rules applied, framing left to the engine. */
export interface OutgoingAnswer {
  readonly status: number;
  readonly reason: string;
  /** Field lines as text, `name: value\r\n` for each, one character per byte. */
  readonly fields: string;
  /** There is a Content-Length among them. */
  readonly hasLength: boolean;
  /** There is a Date among them. */
  readonly hasDate: boolean;
}

/** One named service; opens attempts against it. */
export interface Upstream {
  readonly name: string;
  /**
   * Starts one try. The sink hears: head (1xx, then one final), data*, then exactly one of end | failure; never
   * before `open` has returned, and nothing after `abort`. A head with a body may be held until its first `write` or
   * `end`, so that both leave in one packet, unless `expectsContinue` or `bodyFollowsLater` says otherwise.
   */
  open(head: OutgoingHead, sink: ResponseSink, options: AttemptOptions): Attempt;
  /** Lets running attempts finish for `graceMs`, then ends them; resolves when all connections are closed. */
  close(graceMs: number): Promise<void>;
}

/** Choices for one try. */
export interface AttemptOptions {
  /** Do not use a pooled connection: the try repeats one that failed on a stale connection. */
  readonly freshConnection: boolean;
  /** What the upstream's circuit gave for this try; 0 when it has none. */
  readonly ticket: number;
}

/** One try against one upstream. */
export interface Attempt {
  /** Whole body bytes of the request; false = hold back until `onDrain`. */
  write(chunk: Chunk): boolean;
  /** The request is complete. */
  end(trailers: RawHeaders | null): void;
  /** The sink takes data again after `onData` returned false. */
  resume(): void;
  /** Gives up: the connection is closed or discarded, the sink hears nothing more. */
  abort(why: Failure): void;
}

/** Where an answer goes. */
export interface ResponseSink {
  onHead(head: ResponseHead): void;
  /** false = paused until `attempt.resume()`. */
  onData(chunk: Chunk): boolean;
  onEnd(trailers: RawHeaders | null): void;
  onFailure(failure: Failure, info: AttemptInfo): void;
  /** The attempt takes request body again. */
  onDrain(): void;
  /** Whatever came together has been told: what was held back for a shared packet should leave now. */
  onFlush(): void;
  /**
   * Bytes of what `onData` was given that have not left yet; Infinity = nobody knows. The engine must not read again into a
   * Buffer that may be among them.
   */
  unsentBytes(): number;
}

/** What is known about a failed try, for the retry rules. */
export interface AttemptInfo {
  /** Any byte of the request may have reached the upstream. */
  readonly sent: boolean;
}

/** The downstream engine's side of one exchange: the road answers through it. */
export interface Downstream {
  readonly lane: Lane;
  /** An interim answer; engines drop it for HTTP/1.0 clients. */
  sendInformation(status: number, headers: RawHeaders): void;
  /**
   * The final head. Framing is the engine's: `length` when known, else chunked or close-delimited. It may be held for what
   * comes with it, until `sendData`, `sendEnd` or `flush`.
   */
  sendHead(head: OutgoingAnswer, options: SendHeadOptions): void;
  /** false = hold back until `onClientDrain`. */
  sendData(chunk: Chunk): boolean;
  sendEnd(trailers: RawHeaders | null): void;
  /** Sends what is held back. */
  flush(): void;
  /** Bytes of what `sendData` was given that have not left yet; Infinity = nobody knows. */
  unsentBytes(): number;
  /** Cuts the connection, so that a truncated answer cannot look complete. */
  abort(): void;
  pauseBody(): void;
  resumeBody(): void;
}

/** What a downstream engine calls. */
export interface DownstreamHandler {
  onRequest(head: RequestHead, downstream: Downstream): DownstreamEvents;
  /** True when this head asks for a tunnel that we open; false serves it as a plain request. */
  wantsTunnel(head: RequestHead): boolean;
  /** The connection is ours from here on; `early` holds what the client sent behind its head. */
  onTunnel(head: RequestHead, socket: Duplex, early: Buffer): void;
  /** The bytes of an answer to something that is no request; `peerAddress` sent it. */
  refusal(kind: FailureKind, cause: unknown, peerAddress: string): Buffer;
}

/** How to send a final head. */
export interface SendHeadOptions {
  /** Close the client connection after this answer. */
  readonly close: boolean;
  /** The answer has no body whatever its headers say (HEAD, 204, 304). */
  readonly bodyless: boolean;
}

/** How a client can end an exchange early. */
export type ClientFault = "client-gone" | "request-timeout" | "malformed-request";

/** The road's side of one exchange: the downstream engine tells it what the client does. */
export interface DownstreamEvents {
  onBody(chunk: Chunk): void;
  /** The head brought none of its body with it; told once, and not when some has come since. */
  onBodyWaits(): void;
  onBodyEnd(trailers: RawHeaders | null): void;
  /** The client takes answer bytes again. Apart from the sink's `onDrain`: one must not let the other direction flow. */
  onClientDrain(): void;
  /** The client went away, stalled past its limit or sent what is no HTTP, before the exchange was complete. */
  onGone(why: ClientFault): void;
  /** The answer has left to its last byte. */
  onSent(): void;
}
