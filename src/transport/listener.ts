import { createServer as createPlainServer, type Server as PlainServer, type Socket } from "node:net";
import { createServer as createTlsServer, type Server as TlsServer, type TLSSocket } from "node:tls";
import { isDeepStrictEqual } from "node:util";
import type { DownstreamHandler } from "../model/exchange-types.ts";
import type { DownstreamSpec, Engine, ListenerSpec, TlsMaterial } from "../model/snapshot.ts";
import { acceptInto } from "./accept.ts";
import type { ClientConnection, ClientEnvironment } from "./client-connection.ts";
import type { Deadlines } from "./deadlines.ts";
import { endIdleConnections } from "./idle-connections.ts";
import { NativeClient } from "./native-client.ts";
import { NodeDownstream } from "./node-downstream.ts";

/** What a listener needs of its thread. */
export interface ListenerEnvironment {
  readonly handler: DownstreamHandler;
  readonly deadlines: Deadlines;
  /** Several threads listen on one address (SO_REUSEPORT); the kernel spreads the connections. */
  readonly reusePort: boolean;
  onConnection(change: 1 | -1): void;
}

/** A listening address with an engine behind it. */
export interface Listener {
  /** The real port, also when 0 was asked for. */
  readonly port: number;
  /** New limits and certificates for connections from now on. */
  update(limits: DownstreamSpec, tls: TlsMaterial | null): void;
  /** No new connections; idle ones are closed, busy ones after their answer. */
  stopAccepting(): void;
  /** Resolves when it does not listen any more and every connection is closed. */
  readonly closed: Promise<void>;
  /** Ends every connection now. */
  destroy(): void;
}

/**
 * Opens a listener; rejects when the address is taken or not allowed.
 *
 *   accept ─plain─────────────▶ native client ──(outside of the strict subset)──▶ library engine
 *          └tls──▶ handshake ──▶    "                                               ▲
 *                                  engine: library ─────────────────────────────────┘
 */
export async function openListener(
  spec: ListenerSpec,
  tls: TlsMaterial | null,
  limits: DownstreamSpec,
  env: ListenerEnvironment,
  engine: Engine,
): Promise<Listener> {
  const gate = new Gate(tls, limits, env, engine);
  await gate.listen(spec);
  return gate;
}

class Gate implements Listener {
  readonly closed: Promise<void>;
  readonly #env: ListenerEnvironment;
  readonly #engine: Engine;
  readonly #server: PlainServer | TlsServer;
  readonly #library: NodeDownstream;
  readonly #clientEnv: ClientEnvironment;
  /** Every TCP connection. */
  readonly #sockets = new Set<Socket>();
  /** What HTTP is spoken on: the same ones, or the TLS ones over them once their handshake is done. */
  readonly #clients = new Set<ClientConnection>();
  #limits: DownstreamSpec;
  #tls: TlsMaterial | null;
  #listening = true;
  #onClosed: () => void = () => {};

  constructor(tls: TlsMaterial | null, limits: DownstreamSpec, env: ListenerEnvironment, engine: Engine) {
    this.#env = env;
    this.#engine = engine;
    this.#limits = limits;
    this.#tls = tls;
    const { handler, deadlines } = env;
    this.#clientEnv = {
      handler,
      deadlines,
      limits: () => this.#limits,
      handOver: (from, socket, unread) => this.#handOver(from, socket, unread),
    };
    this.#library = new NodeDownstream(this.#clientEnv);
    this.#server = tls === null ? createPlainServer(SOCKET_OPTIONS) : this.#tlsServer(tls);
    this.#server.maxConnections = limits.maxConnections;
    this.closed = new Promise((resolve) => {
      this.#onClosed = resolve;
    });
  }

  get port(): number {
    const address = this.#server.address();
    return typeof address === "object" && address !== null ? address.port : this.#port;
  }

  #port = 0;

  listen(spec: ListenerSpec): Promise<void> {
    const server = this.#server;
    return new Promise((resolve, reject) => {
      const onError = (cause: Error): void => {
        reject(new Error(`listen: cannot listen on "${spec.host}" port ${spec.port}: ${cause.message}`, { cause }));
      };
      server.once("error", onError);
      server.listen({ host: spec.host, port: spec.port, reusePort: this.#env.reusePort, backlog: 1024 }, () => {
        server.off("error", onError);
        server.on("error", () => {});
        this.#port = this.port;
        if (this.#tls === null) this.#acceptPlain(server);
        resolve();
      });
    });
  }

  update(limits: DownstreamSpec, tls: TlsMaterial | null): void {
    this.#limits = limits;
    this.#server.maxConnections = limits.maxConnections;
    this.#library.update(limits);
    if (tls === null || isDeepStrictEqual(tls, this.#tls) || !("setSecureContext" in this.#server)) return;
    this.#tls = tls;
    this.#server.setSecureContext(secureOptions(tls));
  }

  stopAccepting(): void {
    this.#stopListening();
    const enough = endIdleConnections(this.#clients);
    void this.closed.then(enough);
  }

  destroy(): void {
    this.#stopListening();
    for (const socket of this.#sockets) socket.destroy();
  }

  #stopListening(): void {
    if (!this.#listening) return;
    this.#listening = false;
    this.#server.close();
    this.#closeIfDone();
  }

  #closeIfDone(): void {
    if (this.#listening || this.#sockets.size > 0) return;
    this.#library.close();
    this.#onClosed();
  }

  #tlsServer(tls: TlsMaterial): TlsServer {
    // Node's own limit for a handshake is two minutes; to us it is the first part of the head.
    const handshakeTimeout = this.#limits.headerTimeoutMs;
    const server = createTlsServer({ ...SOCKET_OPTIONS, ...secureOptions(tls), handshakeTimeout });
    server.on("connection", (socket: Socket) => this.#track(socket));
    server.on("tlsClientError", (_error, socket: TLSSocket) => socket.destroy());
    server.on("secureConnection", (socket: TLSSocket) => {
      if (this.#engine === "library") this.#keep(this.#library.serve(socket, null), socket);
      else this.#serveSecurely(socket);
    });
    return server;
  }

  #serveSecurely(socket: TLSSocket): void {
    const client = new NativeClient(socket, this.#clientEnv);
    this.#keep(client, socket);
    client.listen();
  }

  #acceptPlain(server: PlainServer): void {
    if (this.#engine === "library") {
      server.on("connection", (socket) => {
        this.#track(socket);
        this.#keep(this.#library.serve(socket, null), socket);
      });
      return;
    }
    acceptInto(server, {
      isFull: () => this.#sockets.size >= this.#limits.maxConnections,
      onSocket: (socket) => {
        this.#track(socket);
        const client = new NativeClient(socket, this.#clientEnv);
        this.#keep(client, socket);
        return client;
      },
    });
  }

  #track(socket: Socket): void {
    this.#sockets.add(socket);
    this.#env.onConnection(1);
    socket.once("close", () => {
      this.#sockets.delete(socket);
      this.#env.onConnection(-1);
      this.#closeIfDone();
    });
  }

  #keep(client: ClientConnection, socket: Socket): void {
    this.#clients.add(client);
    socket.once("close", () => this.#clients.delete(client));
  }

  #handOver(from: ClientConnection, socket: Socket, unread: Buffer): void {
    this.#clients.delete(from);
    this.#keep(this.#library.serve(socket, unread), socket);
  }
}

const SOCKET_OPTIONS = { allowHalfOpen: true, noDelay: true, keepAlive: true } as const;

function secureOptions(tls: TlsMaterial): object {
  const client = tls.clientCa === null ? {} : { ca: tls.clientCa, requestCert: true, rejectUnauthorized: true };
  return { cert: tls.cert, key: tls.key, minVersion: "TLSv1.2", ALPNProtocols: ["http/1.1"], ...client };
}
