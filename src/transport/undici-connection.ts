import { isIP, type Socket } from "node:net";
import { Client } from "undici";
import type { EndpointSpec, UpstreamSpec } from "../model/snapshot.ts";
import type { Dialer } from "./dialer.ts";
import type { PooledConnection } from "./endpoints.ts";

/** One pooled upstream connection: an undici client that never holds more than one request. */
export class UndiciConnection implements PooledConnection {
  readonly client: Client;
  /** Requests that the present socket has served. */
  served = 0;
  closed = false;
  /** The socket ended with an error. */
  wasReset = false;
  #socket: Socket | null = null;
  /** The first bytes of the present answer, as many as say its version. */
  #opening = "";

  /** `onDisconnect` runs whenever the socket is gone, in use or not. */
  constructor(
    spec: UpstreamSpec,
    endpoint: EndpointSpec,
    dialer: Dialer,
    onDisconnect: (self: UndiciConnection) => void,
  ) {
    this.client = new Client(originOf(endpoint), {
      pipelining: 1,
      allowH2: false,
      headersTimeout: 0,
      bodyTimeout: 0,
      maxHeaderSize: spec.maxHeaderBytes,
      keepAliveTimeout: spec.pool.idleTimeoutMs,
      // Never longer than configured, and a second less than the upstream announces.
      keepAliveMaxTimeout: spec.pool.idleTimeoutMs,
      keepAliveTimeoutThreshold: 1000,
      connect: (options, callback) => {
        dialer.connect(options, (error, socket) => {
          if (error !== null) {
            callback(error, null);
            return;
          }
          this.#socket = socket;
          this.served = 0;
          this.wasReset = false;
          this.#watchOpening(socket);
          socket.once("error", () => {
            if (this.#socket === socket) this.wasReset = true;
          });
          callback(null, socket);
        });
      },
    });
    this.client.on("disconnect", () => {
      this.#socket = null;
      onDisconnect(this);
    });
  }

  /** The socket broke: what was heard of the present answer is all there will be. */
  get broken(): boolean {
    return this.#socket === null || this.#socket.destroyed;
  }

  /** The present answer is in another version than HTTP/1.x, which undici's parser lets through. */
  get versionIsWrong(): boolean {
    return !this.#opening.startsWith("HTTP/1.");
  }

  /** The next bytes are the opening of an answer. */
  expectAnswer(): void {
    this.#opening = "";
  }

  /** Bytes read on the present socket; 0 without one. */
  get bytesRead(): number {
    return this.#socket?.bytesRead ?? 0;
  }

  /** undici reads with `read`; the opening of each answer passes by here on its way to it. */
  #watchOpening(socket: Socket): void {
    const read = socket.read.bind(socket);
    socket.read = (size?: number): unknown => {
      const chunk: unknown = read(size);
      if (this.#opening.length >= OPENING_LENGTH || !Buffer.isBuffer(chunk)) return chunk;
      const rest = this.#opening === "" ? withoutContinue(chunk) : chunk;
      if (rest.length === 0) return socket.read(size);
      this.#opening += rest.toString("latin1", 0, OPENING_LENGTH - this.#opening.length);
      return rest;
    };
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.client.destroy().catch(() => {});
  }
}

/** An unasked 100 (RFC 9110 §15.2: to be ignored) makes undici drop the connection; one that came whole is cut out. */
function withoutContinue(chunk: Buffer): Buffer {
  if (!CONTINUE.test(chunk.toString("latin1", 0, 13))) return chunk;
  const end = chunk.indexOf("\r\n\r\n");
  return end === -1 ? chunk : chunk.subarray(end + 4);
}

const CONTINUE = /^HTTP\/1\.[01] 100[ \r]/;
const OPENING_LENGTH = "HTTP/1.".length;

/** Scheme, host and port of an endpoint as a URL; a Unix socket has no port. */
function originOf(endpoint: EndpointSpec): string {
  if (endpoint.socketPath !== null) return `${endpoint.scheme}://${endpoint.host}`;
  const host = isIP(endpoint.host) === 6 ? `[${endpoint.host}]` : endpoint.host;
  return `${endpoint.scheme}://${host}:${endpoint.port}`;
}
