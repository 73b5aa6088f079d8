import { isIP, type Socket } from "node:net";
import { buildConnector } from "undici";
import { UPSTREAM_WORDS } from "../base/cells.ts";
import type { EndpointSpec, UpstreamSpec } from "../model/snapshot.ts";

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

const CHECK_MS = 1_000;
const LONGEST_RETRY_CHECKS = 30;

/**
 * Opens connections to one endpoint, TLS included and always verified. It keeps some open ahead of need, so that a
 * request after a quiet time does not pay for the handshake; an upstream that closes them gets new ones, one that
 * refuses them is asked less and less often, down to every 30 s.
 */
export class Dialer {
  readonly #options: DialerOptions;
  readonly #connect: buildConnector.connector;
  readonly #warm: Socket[] = [];
  readonly #timer: NodeJS.Timeout | null;
  #dialling = 0;
  #failures = 0;
  #checksToSkip = 0;
  #closed = false;

  constructor(options: DialerOptions) {
    this.#options = options;
    const { spec, endpoint } = options;
    const timeout = spec.timeouts.connectTimeoutMs;
    const tls = tlsOptions(spec, endpoint);
    this.#connect = buildConnector({ timeout, allowH2: false, noDelay: true, keepAlive: true, ...tls });
    this.#timer = options.minConnections > 0 ? setInterval(() => this.#check(), CHECK_MS).unref() : null;
    if (this.#timer !== null) this.#check();
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
    if (this.#timer !== null) clearInterval(this.#timer);
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

  #check(): void {
    if (this.#checksToSkip > 0) {
      this.#checksToSkip--;
      return;
    }
    const { minConnections, otherConnections } = this.#options;
    let missing = minConnections - otherConnections() - this.#warm.length - this.#dialling;
    for (; missing > 0; missing--) this.#warmUp();
  }

  #warmUp(): void {
    const { endpoint } = this.#options;
    this.#dialling++;
    const options = { hostname: endpoint.host, protocol: `${endpoint.scheme}:`, port: String(endpoint.port) };
    this.#dial(options, (error, socket) => {
      this.#dialling--;
      if (error !== null) this.#backOff();
      else this.#keep(socket);
    });
  }

  #backOff(): void {
    this.#failures++;
    this.#checksToSkip = Math.min(2 ** this.#failures, LONGEST_RETRY_CHECKS);
  }

  #keep(socket: Socket): void {
    this.#failures = 0;
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

/** TLS options of an upstream for Node's own client and for undici's; verification is always on. */
export function tlsOptions(spec: UpstreamSpec, endpoint: EndpointSpec): Record<string, string> {
  const options: Record<string, string> = {};
  const name = serverNameOf(spec, endpoint);
  if (name !== "") options["servername"] = name;
  if (spec.tls?.ca) options["ca"] = spec.tls.ca;
  if (spec.tls?.cert) options["cert"] = spec.tls.cert;
  if (spec.tls?.key) options["key"] = spec.tls.key;
  return options;
}

/** The name to ask for and to verify; empty for an address without a configured name. */
function serverNameOf(spec: UpstreamSpec, endpoint: EndpointSpec): string {
  return spec.tls?.serverName ?? (isIP(endpoint.host) === 0 ? endpoint.host : "");
}
