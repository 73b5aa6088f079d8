import { createServer, type IncomingMessage, type Server, type ServerOptions, type ServerResponse } from "node:http";
import { createServer as createTlsServer, type Server as TlsServer } from "node:https";
import { Server as NetServer, type Socket } from "node:net";
import { isDeepStrictEqual } from "node:util";
import type { FailureKind } from "../base/failure.ts";
import type { DownstreamHandler, RequestHead } from "../model/exchange-types.ts";
import type { DownstreamSpec, ListenerSpec, TlsMaterial } from "../model/snapshot.ts";
import { factsOf, lingerClose } from "./connection-facts.ts";
import type { Deadlines } from "./deadlines.ts";
import { endIdleConnections } from "./idle-connections.ts";
import { exchangeOf, NodeExchange } from "./node-exchange.ts";

/** What a listener needs of its thread. */
export interface ListenerEnvironment {
  readonly handler: DownstreamHandler;
  readonly deadlines: Deadlines;
  /** Several threads listen on one address (SO_REUSEPORT); the kernel spreads the connections. */
  readonly reusePort: boolean;
  onConnection(change: 1 | -1): void;
}

/** A listening address with the library engine behind it. */
export interface Listener {
  /** The real port, also when 0 was asked for. */
  readonly port: number;
  /** New limits and certificates for connections from now on. */
  update(limits: DownstreamSpec, tls: TlsMaterial | null): void;
  /** No new connections; idle ones are closed, busy ones after their answer. */
  stopAccepting(): void;
  /** Resolves when every connection is closed. */
  readonly closed: Promise<void>;
  /** Ends every connection now. */
  destroy(): void;
}

/** Opens a listener; rejects when the address is taken or not allowed. */
export async function openNodeListener(
  spec: ListenerSpec,
  tls: TlsMaterial | null,
  limits: DownstreamSpec,
  env: ListenerEnvironment,
): Promise<Listener> {
  const server = newServer(tls, limits, env);
  const state: ListenerState = { sockets: new Set(), clients: new Set(), limits, tls };
  applyLimits(server, limits);
  wire(server, state, env);
  await listen(server, spec, env.reusePort);
  const address = server.address();
  const closed = new Promise<void>((resolve) => {
    server.once("close", () => resolve());
  });
  return {
    port: typeof address === "object" && address !== null ? address.port : 0,
    update: (next, material) => {
      state.limits = next;
      applyLimits(server, next);
      if (material === null || isDeepStrictEqual(material, state.tls) || !("setSecureContext" in server)) return;
      state.tls = material;
      server.setSecureContext(tlsServerOptions(material));
    },
    stopAccepting: () => {
      stopListening(server);
      const enough = endIdleConnections(state.clients);
      void closed.then(enough);
    },
    closed,
    destroy: () => {
      stopListening(server);
      for (const socket of state.sockets) socket.destroy();
    },
  };
}

/**
 * The `close` of `net`, not the one of `http`: that one would cut answers that are still on their way out, and end the
 * watch over slow heads.
 */
function stopListening(server: Server | TlsServer): void {
  if (server.listening) NetServer.prototype.close.call(server);
}

/** Most pipelined requests that may wait on a connection. */
const MAX_PIPELINED = 128;

interface ListenerState {
  /** Every TCP connection. */
  readonly sockets: Set<Socket>;
  /** What HTTP is spoken on: the same sockets, or the TLS ones over them once their handshake is done. */
  readonly clients: Set<Socket>;
  limits: DownstreamSpec;
  tls: TlsMaterial | null;
}

function newServer(tls: TlsMaterial | null, limits: DownstreamSpec, env: ListenerEnvironment): Server | TlsServer {
  const options: ServerOptions = {
    maxHeaderSize: limits.maxHeaderBytes,
    // Slow heads end within a third of their limit after it, idle connections a second after theirs.
    connectionsCheckingInterval: Math.max(50, Math.min(1_000, Math.floor(limits.headerTimeoutMs / 3))),
    noDelay: true,
    keepAlive: true,
    // Judged by us, with an answer of ours.
    requireHostHeader: false,
    insecureHTTPParser: false,
    shouldUpgradeCallback: (request) => env.handler.wantsTunnel(headFrom(request)),
  };
  if (tls === null) return createServer(options);
  // Node's own limit for a handshake is two minutes; to us it is the first part of the head.
  return createTlsServer({ ...options, ...tlsServerOptions(tls), handshakeTimeout: limits.headerTimeoutMs });
}

function tlsServerOptions(tls: TlsMaterial): object {
  const client = tls.clientCa === null ? {} : { ca: tls.clientCa, requestCert: true, rejectUnauthorized: true };
  return { cert: tls.cert, key: tls.key, minVersion: "TLSv1.2", ALPNProtocols: ["http/1.1"], ...client };
}

function applyLimits(server: Server | TlsServer, limits: DownstreamSpec): void {
  server.headersTimeout = limits.headerTimeoutMs;
  // Bodies have their own limit: silence and rate, not a total that would end every long upload.
  server.requestTimeout = 0;
  server.keepAliveTimeout = limits.keepAliveTimeoutMs;
  server.maxConnections = limits.maxConnections;
  // Node would drop the fields beyond its own limit in silence; ours answers 431.
  server.maxHeadersCount = 0;
}

function wire(server: Server | TlsServer, state: ListenerState, env: ListenerEnvironment): void {
  const serve = (request: IncomingMessage, response: ServerResponse): void => {
    serveRequest(request, response, state.limits, env);
  };
  server.on("request", serve);
  server.on("checkContinue", serve);
  server.on("checkExpectation", serve);
  server.on("upgrade", (request: IncomingMessage, socket: Socket, early: Buffer) => {
    factsOf(socket).underWay++;
    env.handler.onTunnel(headFrom(request), socket, early);
  });
  server.on("connect", (_request: IncomingMessage, socket: Socket) => refuse(socket, "method-refused", null, env));
  server.on("clientError", (error: Error, socket: Socket) => onClientError(error, socket, env));
  server.on("connection", (socket: Socket) => {
    state.sockets.add(socket);
    env.onConnection(1);
    socket.once("close", () => {
      state.sockets.delete(socket);
      env.onConnection(-1);
    });
  });
  server.on(state.tls === null ? "connection" : "secureConnection", (socket: Socket) => {
    factsOf(socket).restedAt = socket.bytesRead;
    state.clients.add(socket);
    socket.once("close", () => state.clients.delete(socket));
  });
}

function serveRequest(
  request: IncomingMessage,
  response: ServerResponse,
  limits: DownstreamSpec,
  env: ListenerEnvironment,
): void {
  const facts = factsOf(request.socket);
  // Bytes that were parsed after our last word on this connection are nobody's request.
  if (facts.closing) return;
  if (facts.busy) {
    facts.waiting.push(() => serveRequest(request, response, limits, env));
    // Node reads on however many wait; nobody honest pipelines so many.
    if (facts.waiting.length > MAX_PIPELINED) request.socket.destroy();
    return;
  }
  facts.busy = true;
  response.once("close", () => {
    facts.busy = false;
    if (!request.socket.destroyed) facts.waiting.shift()?.();
  });
  const exchange = new NodeExchange(request, response, env.deadlines, limits.bodyIdleTimeoutMs);
  exchange.begin(env.handler.onRequest(headFrom(request), exchange));
}

function headFrom(request: IncomingMessage): RequestHead {
  const facts = factsOf(request.socket);
  return {
    method: request.method ?? "",
    target: request.url ?? "",
    majorVersion: request.httpVersionMajor,
    minorVersion: request.httpVersionMinor,
    headers: request.rawHeaders,
    peerAddress: facts.peerAddress,
    localPort: facts.localPort,
    encrypted: facts.encrypted,
    facts: null,
  };
}

function onClientError(error: Error, socket: Socket, env: ListenerEnvironment): void {
  const kind = refusalOf("code" in error ? String(error.code) : "");
  // A client that vanished, or one that broke off in the middle of a body, reads no answer from us.
  if (kind === null || !socket.writable) socket.destroy();
  else afterAnswers(socket, kind, () => refuse(socket, kind, error, env));
}

/** Runs `then` when every answer that is under way on a connection, pipelined ones included, has been sent. */
function afterAnswers(
  socket: Socket,
  kind: "malformed-request" | "request-timeout" | "header-too-large",
  then: () => void,
): void {
  const answer = answerUnderWay(socket);
  if (answer === null) {
    then();
    return;
  }
  const exchange = exchangeOf(answer.req);
  // Its own request may be the one that broke, and then never ends: the road says so, or cuts what it has begun.
  if (exchange !== null && !answer.req.complete) exchange.breakOff(kind);
  else answer.once("finish", () => afterAnswers(socket, kind, then));
}

function answerUnderWay(socket: Socket): ServerResponse | null {
  return "_httpMessage" in socket ? ((socket._httpMessage as ServerResponse | null) ?? null) : null;
}

function refuse(socket: Socket, kind: FailureKind, cause: unknown, env: ListenerEnvironment): void {
  if (factsOf(socket).closing) return;
  socket.on("error", () => socket.destroy());
  socket.write(env.handler.refusal(kind, cause, factsOf(socket).peerAddress));
  lingerClose(socket, env.deadlines);
}

function refusalOf(code: string): "malformed-request" | "request-timeout" | "header-too-large" | null {
  if (code === "HPE_HEADER_OVERFLOW") return "header-too-large";
  if (code === "ERR_HTTP_REQUEST_TIMEOUT") return "request-timeout";
  return code.startsWith("HPE_") ? "malformed-request" : null;
}

function listen(server: Server, spec: ListenerSpec, reusePort: boolean): Promise<void> {
  return new Promise((resolve, reject) => {
    const onError = (cause: Error): void => {
      reject(new Error(`listen: cannot listen on "${spec.host}" port ${spec.port}: ${cause.message}`, { cause }));
    };
    server.once("error", onError);
    server.listen({ host: spec.host, port: spec.port, reusePort, backlog: 1024 }, () => {
      server.off("error", onError);
      server.on("error", () => {});
      resolve();
    });
  });
}
