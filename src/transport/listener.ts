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
  port = 0;
  readonly #env: ListenerEnvironment;
  readonly #engine: Engine;
  /** All on one address, as many as `ACCEPTORS` where the system lets them share it. */
  readonly #servers: (PlainServer | TlsServer)[] = [];
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
    this.closed = new Promise((resolve) => {
      this.#onClosed = resolve;
    });
  }

  /** Rejects when the address is taken or not allowed. */
  async listen({ host, port }: ListenerSpec): Promise<void> {
    // SO_REUSEPORT would let us share the address with a stranger who set it too: alone, we ask for all of it first.
    if (!this.#env.reusePort && port !== 0) await closed(await listening(createPlainServer(), host, port, false));
    this.port = await this.#open(host, port);
    for (let i = 1; i < ACCEPTORS; i++) {
      // Where the system knows no SO_REUSEPORT, the first one does all the work.
      await this.#open(host, this.port).catch(() => 0);
    }
  }

  async #open(host: string, port: number): Promise<number> {
    const server = this.#tls === null ? createPlainServer(SOCKET_OPTIONS) : this.#tlsServer(this.#tls);
    const isFirst = this.#servers.length === 0;
    await listening(server, host, port, true).catch((error: unknown) => {
      if (isFirst && !this.#env.reusePort) return listening(server, host, port, false);
      throw error;
    });
    this.#servers.push(server);
    if (this.#tls === null) this.#acceptPlain(server);
    const address = server.address();
    return typeof address === "object" && address !== null ? address.port : 0;
  }

  update(limits: DownstreamSpec, tls: TlsMaterial | null): void {
    this.#limits = limits;
    this.#library.update(limits);
    if (tls === null || this.#tls === null || isDeepStrictEqual(tls, this.#tls)) return;
    this.#tls = tls;
    for (const server of this.#servers) if ("setSecureContext" in server) server.setSecureContext(secureOptions(tls));
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
    for (const server of this.#servers) server.close();
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
    server.on("connection", (socket: Socket) => {
      this.#admit(socket);
    });
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
        if (this.#admit(socket)) this.#keep(this.#library.serve(socket, null), socket);
      });
      return;
    }
    acceptInto(server, {
      isFull: () => this.#isFull,
      onSocket: (socket) => {
        this.#track(socket);
        const client = new NativeClient(socket, this.#clientEnv);
        this.#keep(client, socket);
        return client;
      },
    });
  }

  /** The limit is the address's, however many sockets listen on it. */
  get #isFull(): boolean {
    return this.#sockets.size >= this.#limits.maxConnections;
  }

  /** Counts a connection in; false = there are too many, and it is closed. */
  #admit(socket: Socket): boolean {
    if (this.#isFull) {
      socket.destroy();
      return false;
    }
    this.#track(socket);
    return true;
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

/**
 * Listening sockets per address and thread. The event loop accepts one connection per socket and turn, and a turn is long
 * when much is going on: with a single socket, 1 000 clients that came at once waited for seconds behind those that were
 * served already.
 */
const ACCEPTORS = 16;

function listening<S extends PlainServer>(server: S, host: string, port: number, reusePort: boolean): Promise<S> {
  return new Promise((resolve, reject) => {
    const onError = (cause: Error): void => {
      reject(new Error(`listen: cannot listen on "${host}" port ${port}: ${cause.message}`, { cause }));
    };
    server.once("error", onError);
    server.listen({ host, port, reusePort, backlog: 1024 }, () => {
      server.off("error", onError);
      server.on("error", () => {});
      resolve(server);
    });
  });
}

function closed(server: PlainServer): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
  });
}

const SOCKET_OPTIONS = { allowHalfOpen: true, noDelay: true, keepAlive: true } as const;

function secureOptions(tls: TlsMaterial): object {
  const client = tls.clientCa === null ? {} : { ca: tls.clientCa, requestCert: true, rejectUnauthorized: true };
  return { cert: tls.cert, key: tls.key, minVersion: "TLSv1.2", ALPNProtocols: ["http/1.1"], ...client };
}
