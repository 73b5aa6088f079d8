import type { ClientRequest, IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import { createProxyServer } from "http-proxy-3";
import { failure, type Failure } from "../base/failure.ts";
import type { RawHeaders, ResponseHead } from "../model/exchange-types.ts";
import type { EndpointSpec, UpstreamSpec } from "../model/snapshot.ts";
import { lingerClose } from "./connection-facts.ts";
import type { Deadline, Deadlines } from "./deadlines.ts";
import { relayRefusal } from "./refused-upgrade.ts";
import { tlsOptions } from "./upstream-tls.ts";
import { failureFromError } from "./upstream-errors.ts";

/** An upgrade that was judged and routed. */
export interface TunnelRequest {
  readonly upstream: UpstreamSpec;
  readonly endpoint: EndpointSpec;
  readonly target: string;
  /** End-to-end fields and ours; `Connection` and `Upgrade` are added here. */
  readonly headers: RawHeaders;
  /** Longest silence in both directions; 0 = none. */
  readonly idleTimeoutMs: number;
}

/** What the road is told of a tunnel, and asked. */
export interface TunnelEvents {
  /** The upstream said 101; the tunnel flows. Returns the header fields that the client gets. */
  onOpen(head: ResponseHead): readonly string[];
  /** The upstream refused; its answer is relayed whole. Returns the header fields that the client gets. */
  onRefused(head: ResponseHead): readonly string[];
  /** No answer, or none that can be passed on. Returns the bytes of the local reply. */
  onFailure(why: Failure): Buffer;
  /** Both sockets are closed, or about to be; bytes from and to the client since the 101. */
  onClosed(bytesIn: number, bytesOut: number): void;
}

/** A running upgrade or tunnel. */
export interface Tunnel {
  destroy(): void;
}

type Phase = "asking" | "open" | "refused" | "closed";

const CLOSE_GRACE_MS = 5_000;
/** How much a client may send ahead of the upstream's 101; more stays in its own buffers. */
const EARLY_BYTES = 65_536;

// One for the process: it holds no connections of its own.
const library = createProxyServer({ ws: true });
// It repeats every error of a client's socket as its own event, and an "error" that nobody hears ends the process. The
// guard listens to the socket itself.
library.on("error", () => {});

/**
 * A WebSocket upgrade by http-proxy-3's `ws()`, behind a guard. The library dials, asks and pipes; the guard sees to what
 * it leaves open:
 *
 *   - the client's socket is not piped before the upstream's own 101 for WebSocket, so nothing goes up before it
 *   - a client that leaves while we ask takes the upstream request with it
 *   - a refusal is relayed whole, with back-pressure, and a truncated one is cut (the library ignores both)
 *   - a half-open tunnel stays half-open; a fully closed side closes the other, at the latest after 5 s
 *   - the target goes up byte-exact, and header fields are ours
 */
export function openTunnel(
  ask: TunnelRequest,
  client: Socket,
  early: Buffer,
  deadlines: Deadlines,
  events: TunnelEvents,
): Tunnel {
  return new GuardedTunnel(ask, client, early, deadlines, events);
}

class GuardedTunnel implements Tunnel {
  readonly #ask: TunnelRequest;
  readonly #client: Socket;
  readonly #deadlines: Deadlines;
  readonly #events: TunnelEvents;
  readonly #deadline: Deadline;
  #phase: Phase = "asking";
  #connected = false;
  #upstreamRequest: ClientRequest | null = null;
  #upstreamSocket: Socket | null = null;
  #bytesSeen = 0;
  /** Read from and written to the client when the tunnel opened; null before. */
  #bytesAtOpen: readonly [number, number] | null = null;
  readonly #early: Buffer[] = [];
  #earlyBytes = 0;

  constructor(ask: TunnelRequest, client: Socket, early: Buffer, deadlines: Deadlines, events: TunnelEvents) {
    this.#ask = ask;
    this.#client = client;
    this.#deadlines = deadlines;
    this.#events = events;
    this.#deadline = deadlines.start(ask.upstream.timeouts.responseHeadTimeoutMs, this);
    this.#holdEarly(early);
    this.#watchClient();
    this.#dial();
  }

  destroy(): void {
    this.#close();
    this.#client.destroy();
  }

  /** Deadline: no answer in time while asking, no byte in either direction while open. */
  onExpired(): void {
    if (this.#phase === "asking") {
      this.#fail(failure("head-timeout"));
      return;
    }
    const bytes = this.#bytesMoved();
    if (bytes === this.#bytesSeen) {
      this.destroy();
      return;
    }
    this.#bytesSeen = bytes;
    this.#deadline.restart(this.#ask.idleTimeoutMs);
  }

  #holdEarly(chunk: Buffer): void {
    this.#earlyBytes += chunk.length;
    if (chunk.length > 0) this.#early.push(chunk);
  }

  /** While we ask, the client is read and what it says is held back: its leaving shows only behind its last byte. */
  #watchClient(): void {
    const client = this.#client;
    client.on("readable", () => {
      if (this.#phase !== "asking" || this.#earlyBytes >= EARLY_BYTES) return;
      const chunk = client.read() as Buffer | null;
      if (chunk !== null) this.#holdEarly(chunk);
    });
    client.once("end", () => {
      if (this.#phase === "asking") this.destroy();
    });
    client.on("error", () => client.destroy());
    client.once("close", () => this.#close());
  }

  #dial(): void {
    const { endpoint, upstream } = this.#ask;
    const trust = tlsOptions(upstream, endpoint);
    const host = endpoint.host.includes(":") ? `[${endpoint.host}]` : endpoint.host;
    const asked = {
      method: "GET",
      url: "/",
      headers: fieldsOf(this.#ask.headers),
      httpVersion: "1.1",
      httpVersionMajor: 1,
    };
    library.once("proxyReqWs", (request) => this.#guard(request));
    library.ws(
      asked as unknown as IncomingMessage,
      this.#client,
      Buffer.alloc(0),
      {
        target: {
          protocol: `${endpoint.scheme}:`,
          host: `${host}:${endpoint.port}`,
          hostname: host,
          port: endpoint.port,
          ...(endpoint.socketPath === null ? {} : { socketPath: endpoint.socketPath }),
          // The library takes ca, cert and key from here, and the name to verify from `ssl`.
          ...trust,
        },
        prependPath: false,
        connectTimeout: upstream.timeouts.connectTimeoutMs,
        // The library builds its request options on top of this object.
        ssl: { allowHalfOpen: true, ...trust },
      },
      (error: Error) => this.#fail(this.#failureFrom(error)),
    );
  }

  /** Called by the library after it has made its request and before it listens to it. */
  #guard(request: ClientRequest): void {
    this.#upstreamRequest = request;
    request.path = this.#ask.target;
    request.once("socket", (socket) => {
      socket.once(this.#ask.endpoint.scheme === "https" ? "secureConnect" : "connect", () => {
        this.#connected = true;
      });
    });
    queueMicrotask(() => this.#replaceListeners(request));
  }

  /** The library's own listeners are there now: its refusal relay is replaced, its piping waits for our word. */
  #replaceListeners(request: ClientRequest): void {
    const [pipe] = request.listeners("upgrade");
    request.removeAllListeners("upgrade");
    request.removeAllListeners("response");
    request.on("upgrade", (answer: IncomingMessage, socket: Socket, first: Buffer<ArrayBuffer>) => {
      if (this.#phase !== "asking" || answer.headers.upgrade?.toLowerCase() !== "websocket") {
        socket.destroy();
        this.#fail(failure("upgrade-failure", "101 for another protocol"));
        return;
      }
      this.#open(answer, socket);
      pipe?.call(request, answer, socket, first);
    });
    request.on("response", (answer: IncomingMessage) => this.#refused(answer));
  }

  #open(answer: IncomingMessage, socket: Socket): void {
    this.#phase = "open";
    this.#bytesAtOpen = [this.#client.bytesRead - this.#earlyBytes, this.#client.bytesWritten];
    this.#upstreamSocket = socket;
    this.#client.removeAllListeners("readable");
    if (this.#earlyBytes > 0) this.#client.unshift(Buffer.concat(this.#early.splice(0)));
    const fields = this.#events.onOpen(headOf(answer));
    answer.headers = fieldsOf([...fields, "connection", "upgrade", "upgrade", "websocket"]);
    socket.once("close", () => this.#endClient());
    this.#deadline.restart(this.#ask.idleTimeoutMs);
  }

  #refused(answer: IncomingMessage): void {
    if (this.#phase !== "asking") {
      answer.destroy();
      return;
    }
    this.#phase = "refused";
    this.#client.removeAllListeners("readable");
    this.#deadline.restart(this.#ask.upstream.timeouts.idleTimeoutMs);
    const fields = this.#events.onRefused(headOf(answer));
    relayRefusal(answer, fields, this.#client, () => lingerClose(this.#client, this.#deadlines));
  }

  #fail(why: Failure): void {
    if (this.#phase !== "asking") {
      this.#client.destroy();
      return;
    }
    this.#phase = "refused";
    this.#upstreamRequest?.destroy();
    if (this.#client.writable) this.#client.write(this.#events.onFailure(why));
    lingerClose(this.#client, this.#deadlines);
  }

  #endClient(): void {
    // The library ends the client's side; one that never ends its own is cut.
    const cut = { onExpired: () => this.#client.destroy() };
    const deadline = this.#deadlines.start(CLOSE_GRACE_MS, cut);
    this.#client.once("close", () => deadline.stop());
    if (this.#client.destroyed) deadline.stop();
  }

  #close(): void {
    if (this.#phase === "closed") return;
    this.#phase = "closed";
    const client = this.#client;
    this.#deadline.stop();
    this.#upstreamRequest?.destroy();
    // What the client sent last may still be on its way up.
    this.#upstreamSocket?.destroySoon();
    const [read, written] = this.#bytesAtOpen ?? [client.bytesRead, client.bytesWritten];
    this.#events.onClosed(client.bytesRead - read, client.bytesWritten - written);
  }

  #bytesMoved(): number {
    return this.#client.bytesRead + this.#client.bytesWritten;
  }

  #failureFrom(error: unknown): Failure {
    if (error instanceof Error && error.message === "ECONNECT_TIMEOUT") return failure("connect-timeout", error);
    return failureFromError(error, { connected: this.#connected, answering: false, staleCandidate: false });
  }
}

function headOf(answer: IncomingMessage): ResponseHead {
  return { status: answer.statusCode ?? 0, reason: answer.statusMessage ?? "", headers: answer.rawHeaders };
}

/** Header fields as Node's client takes them; repeats stay separate lines. */
function fieldsOf(flat: readonly string[]): Record<string, string | string[]> {
  const out: Record<string, string | string[]> = {};
  for (let i = 0; i < flat.length; i += 2) {
    const name = flat[i] as string;
    const value = flat[i + 1] as string;
    const key = Object.keys(out).find((known) => known.toLowerCase() === name.toLowerCase()) ?? name;
    const before = out[key];
    out[key] = before === undefined ? value : Array.isArray(before) ? [...before, value] : [before, value];
  }
  return out;
}
