import type { Socket } from "node:net";
import { buildConnector } from "undici";
import { UPSTREAM_WORDS } from "../base/cells.ts";
import type { EndpointSpec, UpstreamSpec } from "../model/snapshot.ts";
import { KeepWarm } from "./keep-warm.ts";
import { serverNameOf, tlsOptions } from "./upstream-tls.ts";

/** What dialling needs of its surroundings. */
export interface DialerOptions {
  readonly spec: UpstreamSpec;
  readonly endpoint: EndpointSpec;
  /** The upstream's counter block of this thread. */
  readonly counters: Float64Array;
  /** Connections to keep open in all, busy ones included; 0 = none are opened ahead. */
  readonly minConnections: number;
  /** Connections that are open otherwise, idle or busy. */
  readonly otherConnections: () => number;
}

/**
 * Opens connections to one endpoint for undici, TLS included and always verified, and keeps some open ahead of need.
 */
export class Dialer {
  readonly #options: DialerOptions;
  readonly #connect: buildConnector.connector;
  readonly #warm: Socket[] = [];
  readonly #keepWarm: KeepWarm;
  #dialling = 0;
  #closed = false;

  constructor(options: DialerOptions) {
    this.#options = options;
    const { spec, endpoint } = options;
    const timeout = spec.timeouts.connectTimeoutMs;
    const tls = tlsOptions(spec, endpoint);
    const { socketPath } = endpoint;
    this.#connect = buildConnector({ timeout, allowH2: false, noDelay: true, keepAlive: true, socketPath, ...tls });
    this.#keepWarm = new KeepWarm({
      minConnections: options.minConnections,
      count: () => options.otherConnections() + this.#warm.length + this.#dialling,
      open: () => this.#warmUp(),
    });
  }

  /** Gives an open connection: one that waits, else a new one. */
  connect(options: buildConnector.Options, callback: buildConnector.Callback): void {
    const waiting = this.#takeWarm();
    if (waiting !== null) {
      process.nextTick(callback, null, waiting);
      return;
    }
    this.#dial(options, callback);
  }

  close(): void {
    this.#closed = true;
    this.#keepWarm.close();
    for (const socket of this.#warm) socket.destroy();
  }

  /** undici would take the name from the client's Host; the endpoint's own name is what must be proven. */
  #dial(options: buildConnector.Options, callback: buildConnector.Callback): void {
    const servername = serverNameOf(this.#options.spec, this.#options.endpoint);
    this.#connect({ ...options, servername }, (error, socket) => {
      if (error !== null) {
        callback(error, null);
        return;
      }
      this.#count(UPSTREAM_WORDS.opened, 1);
      callback(null, socket);
    });
  }

  #warmUp(): void {
    const { endpoint } = this.#options;
    this.#dialling++;
    const options = { hostname: endpoint.host, protocol: `${endpoint.scheme}:`, port: String(endpoint.port) };
    this.#dial(options, (error, socket) => {
      this.#dialling--;
      if (error !== null) this.#keepWarm.failed();
      else this.#keep(socket);
    });
  }

  #keep(socket: Socket): void {
    this.#keepWarm.opened();
    if (this.#closed) {
      socket.destroy();
      return;
    }
    this.#warm.push(socket);
    this.#count(UPSTREAM_WORDS.idle, 1);
    const drop = (): void => {
      socket.destroy();
      this.#remove(socket);
    };
    // Nothing may come before a request was sent: a close ends it, bytes make it unfit.
    socket.once("error", drop).once("end", drop).once("close", drop).once("data", drop);
    socket.unref();
  }

  #takeWarm(): Socket | null {
    const socket = this.#warm.at(-1);
    if (socket === undefined) return null;
    this.#remove(socket);
    for (const event of ["error", "end", "close", "data"]) socket.removeAllListeners(event);
    socket.pause();
    socket.ref();
    return socket;
  }

  #remove(socket: Socket): void {
    const index = this.#warm.indexOf(socket);
    if (index === -1) return;
    this.#warm.splice(index, 1);
    this.#count(UPSTREAM_WORDS.idle, -1);
  }

  #count(word: number, change: number): void {
    const { counters } = this.#options;
    counters[word] = (counters[word] as number) + change;
  }
}
