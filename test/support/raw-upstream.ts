import net from "node:net";
import { MessageReader, type HttpMessage } from "./message-reader.ts";
import type { Scope } from "./scope.ts";
import { changed, until } from "./until.ts";

/** What a scripted upstream does after it has written its bytes: keep open, FIN, RST, or stay silent. */
export type Then = "keep" | "close" | "reset" | "hold";

/** A request as it arrived. */
export interface SeenRequest {
  readonly method: string;
  readonly target: string;
  readonly rawHeaders: readonly string[];
  readonly message: HttpMessage;
  readonly connection: UpstreamConnection;
}

/** What to do with a request. */
export type Handler = (request: SeenRequest) => void;

/** The plain answer of an upstream that was told nothing. */
export const OK_ANSWER = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/** A handler that writes `text` (latin1), then does `then`. */
export function answering(text: string | Buffer, then: Then = "keep"): Handler {
  return ({ connection }) => connection.answer(text, then);
}

/** A whole 200 answer around a body. */
export function okText(body: string, fields: readonly string[] = []): string {
  const lines = ["HTTP/1.1 200 OK", ...fields, `Content-Length: ${body.length}`];
  return `${lines.join("\r\n")}\r\n\r\n${body}`;
}

/** Starts a recording upstream on a free loopback port, or on a Unix socket; it and its connections end with the scope. */
export async function startRawUpstream(scope: Scope, socketPath: string | null = null): Promise<RawUpstream> {
  const upstream = new RawUpstream(socketPath);
  await upstream.listen();
  scope.after(() => upstream.close());
  return upstream;
}

/** One connection that the sidecar opened. */
export class UpstreamConnection {
  readonly socket: net.Socket;
  readonly reader: MessageReader;
  /** How the sidecar ended its side. */
  state: "open" | "fin" | "reset" = "open";
  #received: Buffer[] = [];
  readonly #isUnix: boolean;

  constructor(socket: net.Socket, reader: MessageReader, isUnix: boolean) {
    this.socket = socket;
    this.reader = reader;
    this.#isUnix = isUnix;
    socket.on("data", (chunk: Buffer) => {
      this.#received.push(chunk);
      reader.push(chunk);
    });
    socket.on("end", () => this.#ended("fin"));
    socket.on("error", () => this.#ended("reset"));
    socket.on("close", () => this.#ended("fin"));
  }

  /** Every byte received since the last `forget`, latin1. */
  text(): string {
    return Buffer.concat(this.#received).toString("latin1");
  }

  /** Writes bytes; a string is latin1. False: the kernel takes no more for now. */
  send(data: string | Buffer): boolean {
    return this.socket.write(typeof data === "string" ? Buffer.from(data, "latin1") : data);
  }

  answer(data: string | Buffer, then: Then): void {
    if (data.length > 0 && then === "reset") {
      // A RST right behind the bytes would destroy them on their way: let them leave first.
      this.socket.write(typeof data === "string" ? Buffer.from(data, "latin1") : data, () => this.reset());
      return;
    }
    if (data.length > 0) this.send(data);
    if (then === "close") this.close();
    if (then === "reset") this.reset();
  }

  /** FIN. */
  close(): void {
    this.socket.end();
  }

  /** RST; a Unix socket knows none, and breaks. */
  reset(): void {
    if (this.#isUnix) this.socket.destroy();
    else this.socket.resetAndDestroy();
  }

  /** Drops the recorded bytes; a message that is being read goes on. */
  forget(): void {
    this.#received = [];
  }

  /** Waits for the sidecar to end this connection. */
  async ended(deadlineMs?: number): Promise<"fin" | "reset"> {
    const state = (): "fin" | "reset" | null => (this.state === "open" ? null : this.state);
    return until(state, "the sidecar to end the upstream connection", deadlineMs === undefined ? {} : { deadlineMs });
  }

  #ended(how: "fin" | "reset"): void {
    if (this.state === "open") this.state = how;
    changed();
  }
}

/** An upstream on a raw TCP or Unix socket: records every byte, answers what it is told. */
export class RawUpstream {
  connections: UpstreamConnection[] = [];
  /** Requests in order of their heads' arrival. */
  requests: SeenRequest[] = [];
  /** Called with each request whose head is there; null = nothing. */
  onHead: Handler | null = null;
  /** Called with each request that is there to its last byte; the default answers 200 `ok`. */
  onRequest: Handler | null = answering(OK_ANSWER);
  /** Called with each new connection, before any byte. */
  onConnection: ((connection: UpstreamConnection) => void) | null = null;
  /** Path of its Unix socket; null for TCP. */
  readonly socketPath: string | null;
  readonly #server: net.Server;
  readonly #sockets = new Set<net.Socket>();

  constructor(socketPath: string | null = null) {
    this.socketPath = socketPath;
    this.#server = net.createServer({ allowHalfOpen: true, noDelay: true }, (socket) => this.#accept(socket));
  }

  async listen(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    if (this.socketPath === null) this.#server.listen(0, "127.0.0.1", () => resolve());
    else this.#server.listen(this.socketPath, () => resolve());
    await promise;
  }

  get port(): number {
    const address = this.#server.address();
    if (address === null || typeof address === "string") throw new Error("upstream is not listening");
    return address.port;
  }

  get url(): string {
    return this.socketPath === null ? `http://127.0.0.1:${this.port}` : `http+unix://${this.socketPath}`;
  }

  /** All bytes of all connections that are still remembered, in order of the connections. */
  text(): string {
    return this.connections.map((connection) => connection.text()).join("");
  }

  /** Waits for the head of the n-th remembered request, counted from 0. */
  async request(index: number = 0): Promise<SeenRequest> {
    return until(() => this.requests[index], `request ${index} at the upstream`);
  }

  /** Waits for the n-th remembered request to be whole. */
  async whole(index: number = 0): Promise<SeenRequest> {
    const probe = (): SeenRequest | null => (this.requests[index]?.message.complete ? this.requests[index] : null);
    return until(probe, `request ${index} whole at the upstream`);
  }

  /** Forgets requests, recorded bytes and connections that have ended; open connections stay known. */
  forget(): void {
    this.requests = [];
    for (const connection of this.connections) connection.forget();
    this.connections = this.connections.filter((connection) => connection.state === "open");
  }

  /** Ends every connection from the upstream's side, so that the next request must come on a new one. */
  async dropConnections(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await until(() => this.#sockets.size === 0, "the upstream's connections to close");
    this.connections = [];
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#server.close(() => resolve());
    await promise;
  }

  #accept(socket: net.Socket): void {
    const reader = new MessageReader("request", {
      head: (message) => this.#onHead(message, connection),
      complete: (message) => this.#onComplete(message),
    });
    const connection = new UpstreamConnection(socket, reader, this.socketPath !== null);
    this.connections.push(connection);
    this.#sockets.add(socket);
    socket.on("close", () => {
      this.#sockets.delete(socket);
      changed();
    });
    this.onConnection?.(connection);
    changed();
  }

  #onHead(message: HttpMessage, connection: UpstreamConnection): void {
    const [method = "", target = ""] = message.startLine.split(" ");
    const request = { method, target, rawHeaders: message.rawHeaders, message, connection };
    this.requests.push(request);
    this.onHead?.(request);
  }

  #onComplete(message: HttpMessage): void {
    const request = this.requests.find((one) => one.message === message);
    if (request !== undefined) this.onRequest?.(request);
  }
}
