import { isIP, type Socket } from "node:net";
import { Client } from "undici";
import type { EndpointSpec, UpstreamSpec } from "../model/snapshot.ts";
import type { Dialer } from "./dialer.ts";
import type { PooledConnection } from "./upstream-pool.ts";

/** One pooled upstream connection: an undici client that never holds more than one request. */
export class UndiciConnection implements PooledConnection {
  readonly client: Client;
  /** Requests that the present socket has served. */
  served = 0;
  closed = false;
  #socket: Socket | null = null;

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
          callback(null, socket);
        });
      },
    });
    this.client.on("disconnect", () => {
      this.#socket = null;
      onDisconnect(this);
    });
  }

  /** Bytes read on the present socket; 0 without one. */
  get bytesRead(): number {
    return this.#socket?.bytesRead ?? 0;
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.client.destroy().catch(() => {});
  }
}

/** Scheme, host and port of an endpoint as a URL. */
function originOf(endpoint: EndpointSpec): string {
  const host = isIP(endpoint.host) === 6 ? `[${endpoint.host}]` : endpoint.host;
  return `${endpoint.scheme}://${host}:${endpoint.port}`;
}
