import type { IncomingMessage, ServerResponse } from "node:http";
import type {
  Chunk,
  Downstream,
  DownstreamEvents,
  RawHeaders,
  OutgoingAnswer,
  SendHeadOptions,
} from "../model/exchange-types.ts";
import { fieldsFromText } from "../model/field-lines.ts";
import { isNamed } from "../model/headers.ts";
import { factsOf, lingerClose } from "./connection-facts.ts";
import type { Deadline, Deadlines } from "./deadlines.ts";
import { Progress } from "./progress.ts";

/** One exchange of the `node:http` engine: the road's `Downstream`, and the source of its events. */
export class NodeExchange implements Downstream {
  readonly lane = "library";
  readonly #request: IncomingMessage;
  readonly #response: ServerResponse;
  readonly #deadlines: Deadlines;
  #events: DownstreamEvents | null = null;
  readonly #progress: Progress;
  #deadline: Deadline | null = null;
  // Known before the parser says that the message is complete, which it does only after `begin`.
  readonly #hasBody: boolean;
  #bodyPaused = false;
  #over = false;
  #cutHard = false;
  #closeDelimited = false;
  readonly #windowMs: number;

  /** `windowMs`: how long a client may be silent, or slower than the least rate, in either direction. */
  constructor(request: IncomingMessage, response: ServerResponse, deadlines: Deadlines, windowMs: number) {
    this.#request = request;
    this.#response = response;
    this.#deadlines = deadlines;
    this.#windowMs = windowMs;
    this.#progress = new Progress(request.socket);
    this.#hasBody = announcesBody(request.rawHeaders);
    (request as Marked)[EXCHANGE] = this;
  }

  /** Starts the flow of events; the road has answered `onRequest`. */
  begin(events: DownstreamEvents): void {
    this.#events = events;
    factsOf(this.#request.socket).underWay++;
    const request = this.#request;
    const response = this.#response;
    response.on("drain", () => {
      this.#events?.onClientDrain();
    });
    response.on("finish", () => this.#onFinish());
    response.on("close", () => this.#onLost());
    response.on("error", () => this.#onLost());
    // Also raised when the connection of a queued, pipelined request dies, whose response has no socket yet.
    request.on("error", () => this.#onLost());
    if (!this.#hasBody) {
      events.onBodyEnd(null);
      return;
    }
    let hasBegun = false;
    request.on("data", (chunk: Buffer) => {
      hasBegun = true;
      if (!this.#over) events.onBody(chunk);
    });
    request.on("end", () => this.#onBodyEnd(events));
    setImmediate(() => {
      if (!this.#over && !hasBegun) events.onBodyWaits();
    });
    this.#watchProgress();
  }

  sendInformation(status: number, headers: RawHeaders): void {
    if (this.#over || this.#request.httpVersionMinor === 0 || this.#response.headersSent) return;
    if (status === 100) this.#response.writeContinue();
    else this.#response.writeInformation(status, objectOf(headers));
  }

  sendHead(head: OutgoingAnswer, options: SendHeadOptions): void {
    if (this.#over) return;
    const response = this.#response;
    const headers = fieldsFromText(head.fields);
    const unread = this.#hasBody && !this.#request.complete;
    if (options.close || unread) headers.push("connection", "close");
    if (unread) this.#lingerAtEnd();
    this.#closeDelimited = this.#request.httpVersionMinor === 0;
    response.writeHead(head.status, head.reason, headers);
    if (isLast(response)) factsOf(this.#request.socket).ending = true;
    // A body that is already here shares the head's packet; a head that has to wait for it must not.
    process.nextTick(flushHead, response);
  }

  sendData(chunk: Chunk): boolean {
    if (this.#over) return true;
    const flowing = this.#response.write(chunk, "latin1");
    if (!flowing) this.#watchProgress();
    return flowing;
  }

  sendEnd(trailers: RawHeaders | null): void {
    if (this.#over) return;
    if (trailers !== null) this.#response.addTrailers(pairsOf(trailers));
    this.#response.end();
    if (this.#response.writableLength > 0) this.#watchProgress();
  }

  flush(): void {
    // A head leaves by itself, at the latest in the next tick.
  }

  unsentBytes(): number {
    return Infinity;
  }

  abort(): void {
    if (this.#over) return;
    this.#finish();
    const socket = this.#request.socket;
    factsOf(socket).closing = true;
    // Only the end of the connection delimits such a body, so the end must not look like one.
    if ((this.#closeDelimited || this.#cutHard) && !factsOf(socket).encrypted) socket.resetAndDestroy();
    else socket.destroy();
  }

  pauseBody(): void {
    this.#bodyPaused = true;
    this.#request.pause();
  }

  resumeBody(): void {
    this.#bodyPaused = false;
    this.#request.resume();
  }

  /** Progress deadline: too few bytes in either direction in a whole window. */
  onExpired(): void {
    if (this.#over) return;
    if (this.#bodyPaused || !this.#progress.isTooSlow(this.#windowMs)) {
      this.#watchProgress();
      return;
    }
    if (this.#response.writableLength === 0 && (!this.#hasBody || this.#request.complete)) return;
    // Closed softly, the kernel would keep what such a reader does not read, for many minutes.
    if (this.#response.writableLength > 0) this.#cutHard = true;
    this.#events?.onGone("request-timeout");
  }

  /** The rest of the request cannot be read. */
  breakOff(kind: "malformed-request" | "request-timeout" | "header-too-large"): void {
    if (!this.#over) this.#events?.onGone(kind === "request-timeout" ? kind : "malformed-request");
  }

  #onBodyEnd(events: DownstreamEvents): void {
    if (this.#over) return;
    if (this.#response.writableLength === 0) this.#deadline?.stop();
    const trailers = this.#request.rawTrailers;
    events.onBodyEnd(trailers.length === 0 ? null : trailers);
  }

  #onFinish(): void {
    if (this.#over) return;
    this.#finish();
    this.#events?.onSent();
    // What the client still sends of its body is read and thrown away.
    this.#request.resume();
  }

  #onLost(): void {
    if (this.#over) return;
    this.#finish();
    this.#events?.onGone("client-gone");
  }

  #finish(): void {
    this.#over = true;
    this.#deadline?.stop();
    const { socket } = this.#request;
    const facts = factsOf(socket);
    facts.underWay--;
    facts.served++;
    facts.restedAt = socket.bytesRead;
  }

  #watchProgress(): void {
    this.#progress.restart();
    this.#deadline ??= this.#deadlines.start(this.#windowMs, this);
    this.#deadline.restart(this.#windowMs);
  }

  /** Node closes hard after an answer that ends the connection; a client that still sends needs it soft. */
  #lingerAtEnd(): void {
    const { socket } = this.#request;
    socket.destroySoon = () => lingerClose(socket, this.#deadlines);
  }
}

// A property and not a WeakMap: a weak entry per request would be the collector's work at every turn.
const EXCHANGE = Symbol("crossfade exchange");
type Marked = IncomingMessage & { [EXCHANGE]?: NodeExchange };

/** The exchange that a request belongs to. */
export function exchangeOf(request: IncomingMessage): NodeExchange | null {
  return (request as Marked)[EXCHANGE] ?? null;
}

function announcesBody(headers: RawHeaders): boolean {
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i] as string;
    if (isNamed(name, "transfer-encoding") || (isNamed(name, "content-length") && headers[i + 1] !== "0")) return true;
  }
  return false;
}

/** Node ends the connection with this answer; it has reasons of its own, such as an Expect that got no 100. */
function isLast(response: ServerResponse): boolean {
  return "_last" in response && response._last === true;
}

function flushHead(response: ServerResponse): void {
  // Not flushHeaders(), which would write bytes above 0x7f as UTF-8.
  if (!response.writableEnded && !response.destroyed) response.write("", "latin1");
}

function objectOf(flat: RawHeaders): Record<string, string | string[]> {
  const out: Record<string, string | string[]> = {};
  for (let i = 0; i < flat.length; i += 2) {
    const name = (flat[i] as string).toLowerCase();
    const value = flat[i + 1] as string;
    const before = out[name];
    out[name] = before === undefined ? value : Array.isArray(before) ? [...before, value] : [before, value];
  }
  return out;
}

function pairsOf(flat: RawHeaders): [string, string][] {
  const pairs: [string, string][] = [];
  for (let i = 0; i < flat.length; i += 2) pairs.push([flat[i] as string, flat[i + 1] as string]);
  return pairs;
}
