import net from "node:net";
import { describe } from "node:test";
import tls from "node:tls";
import type { Duplex } from "node:stream";
import type { DownstreamHandler, RequestHead } from "../../src/model/exchange-types.ts";
import type { DownstreamSpec, Engine, TlsMaterial } from "../../src/model/snapshot.ts";
import { Deadlines } from "../../src/transport/deadlines.ts";
import { openListener, type Listener } from "../../src/transport/listener.ts";
import { ENGINES } from "./engines.ts";
import { RawClient } from "./raw-client.ts";
import type { Scope } from "./scope.ts";
import { selfSigned } from "./self-signed.ts";
import { Served } from "./served.ts";
import { changed, until } from "./until.ts";

/** Which listener the laws are run against. */
export interface Kind {
  readonly engine: Engine;
  readonly secured: boolean;
}

/** What a law wants of its listener; unless told, requests are recorded and left to the test to answer. */
export interface BenchOptions {
  readonly limits?: Partial<DownstreamSpec>;
  /** 0 = any that is free. */
  readonly port?: number;
  readonly onRequest?: (served: Served) => void;
  readonly wantsTunnel?: (head: RequestHead) => boolean;
  readonly onTunnel?: (head: RequestHead, socket: Duplex, early: Buffer) => void;
}

/** A client connection: `tcp` is the socket below TLS, or the same as the client's. */
export interface Caller {
  readonly client: RawClient;
  readonly tcp: net.Socket;
}

/** A listener with a scripted road behind it, which ends with its test. */
export interface Bench {
  readonly listener: Listener;
  /** Exchanges in the order in which they began. */
  readonly served: readonly Served[];
  /** `KIND from PEER` of each refusal that was asked for. */
  readonly refusals: readonly string[];
  /** Client connections as the listener counts them. */
  readonly connections: { open: number; total: number };
  connect(): Promise<Caller>;
  /** A client with this text on its way. */
  ask(text: string): Promise<RawClient>;
  /** Waits for the n-th exchange, counted from 0. */
  nth(index: number): Promise<Served>;
  readonly limits: DownstreamSpec;
}

/** Opens a bench for one test. */
export type OpenBench = (scope: Scope, options?: BenchOptions) => Promise<Bench>;

/** Declares `laws` once for each engine over plain sockets and once over TLS. */
export function describeEngines(subject: string, laws: (open: OpenBench, kind: Kind) => void): void {
  for (const engine of ENGINES) {
    for (const secured of [false, true]) {
      describe(`${subject}: ${engine}${secured ? " over TLS" : ""}`, () => {
        laws((scope, options = {}) => openBench(scope, { engine, secured }, options), { engine, secured });
      });
    }
  }
}

/** A certificate that the benches' TLS listeners may show. */
export function tlsMaterial(commonName: string): TlsMaterial {
  return { ...selfSigned(commonName), clientCa: null };
}

/** The limits of a bench that was told nothing: too long for any of them to end a test. */
const LIMITS: DownstreamSpec = {
  headerTimeoutMs: 20_000,
  bodyIdleTimeoutMs: 20_000,
  keepAliveTimeoutMs: 20_000,
  maxHeaderBytes: 16_384,
  maxHeaders: 100,
  maxConnections: 100,
  tunnelIdleTimeoutMs: 0,
};
const FIRST_CERTIFICATE = tlsMaterial("first");

async function openBench(scope: Scope, { engine, secured }: Kind, options: BenchOptions): Promise<Bench> {
  const served: Served[] = [];
  const refusals: string[] = [];
  const connections = { open: 0, total: 0 };
  const limits = { ...LIMITS, ...options.limits };
  const env = {
    handler: scriptedHandler(served, refusals, options),
    deadlines: new Deadlines(10, () => performance.now()),
    reusePort: false,
    onConnection: (change: 1 | -1) => {
      connections.open += change;
      if (change === 1) connections.total++;
      changed();
    },
  };
  const spec = {
    host: "127.0.0.1",
    port: options.port ?? 0,
    tls: secured ? { certFile: "", keyFile: "", clientCaFile: null } : null,
  };
  const listener = await openListener(spec, secured ? FIRST_CERTIFICATE : null, limits, env, engine);
  scope.after(async () => {
    listener.destroy();
    await listener.closed;
    await until(() => connections.open === 0, "connections to be counted back to zero");
    for (const one of served) one.assertLaws();
  });
  const connect = (): Promise<Caller> => connectTo(scope, listener.port, secured);
  return {
    listener,
    served,
    refusals,
    connections,
    limits,
    connect,
    ask: async (text) => {
      const { client } = await connect();
      client.request(text);
      return client;
    },
    nth: (index) => until(() => served[index], `exchange ${index} to begin`),
  };
}

function scriptedHandler(served: Served[], refusals: string[], options: BenchOptions): DownstreamHandler {
  return {
    onRequest: (head, downstream) => {
      const one = new Served(head, downstream);
      served.push(one);
      options.onRequest?.(one);
      changed();
      return one;
    },
    wantsTunnel: options.wantsTunnel ?? (() => false),
    onTunnel: options.onTunnel ?? ((_head, socket) => void socket.destroy()),
    refusal: (kind, _cause, peerAddress) => {
      refusals.push(`${kind} from ${peerAddress}`);
      return Buffer.from(
        `HTTP/1.1 400 Refused\r\ncontent-length: ${kind.length}\r\nconnection: close\r\n\r\n${kind}`,
        "latin1",
      );
    },
  };
}

async function connectTo(scope: Scope, port: number, secured: boolean): Promise<Caller> {
  const tcp = net.connect({ port, host: "127.0.0.1", allowHalfOpen: true, noDelay: true });
  const socket = secured ? tls.connect({ socket: tcp, rejectUnauthorized: false }) : tcp;
  scope.after(() => {
    socket.destroy();
    tcp.destroy();
  });
  tcp.on("error", () => {});
  const client = new RawClient(socket);
  let ready = false;
  socket.once(secured ? "secureConnect" : "connect", () => {
    ready = true;
    changed();
  });
  await until(() => ready || client.state !== "open", "the connection, with its handshake");
  return { client, tcp };
}
