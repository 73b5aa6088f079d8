import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { FailureKind } from "../base/failure.ts";
import type { RequestHead } from "../model/exchange-types.ts";
import type { DownstreamSpec } from "../model/snapshot.ts";
import type { ClientConnection, EngineEnvironment } from "./client-connection.ts";
import { factsOf, lingerClose } from "./connection-facts.ts";
import { exchangeOf, NodeExchange } from "./node-exchange.ts";

/**
 * The library engine towards clients: a `node:http` server that never listens. It is given connections that a listener
 * accepted, or that the native engine would not judge, with the bytes that were read ahead.
 */
export class NodeDownstream {
  readonly #server: Server;

  constructor(env: EngineEnvironment) {
    this.#server = newServer(env);
    wire(this.#server, env);
    this.update(env.limits());
    // Node starts its watch over slow heads when a server listens.
    this.#server.emit("listening");
  }

  /** New limits for connections from now on. */
  update(limits: DownstreamSpec): void {
    this.#server.headersTimeout = limits.headerTimeoutMs;
    // Bodies have their own limit: silence and rate, not a total that would end every long upload.
    this.#server.requestTimeout = 0;
    this.#server.keepAliveTimeout = limits.keepAliveTimeoutMs;
    // Node would drop the fields beyond its own limit in silence; ours answers 431.
    this.#server.maxHeadersCount = 0;
  }

  /** Serves a connection; `unread` is what it has to read first. */
  serve(socket: Socket, unread: Buffer | null): ClientConnection {
    factsOf(socket).restedAt = socket.bytesRead - (unread?.length ?? 0);
    if (unread !== null && unread.length > 0) socket.unshift(unread);
    this.#server.emit("connection", socket);
    return new NodeClient(socket);
  }

  /** No connection is left: the watch over slow heads ends. */
  close(): void {
    this.#server.close();
  }
}

class NodeClient implements ClientConnection {
  readonly #socket: Socket;

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  get isIdle(): boolean {
    const { closing, restedAt, underWay } = factsOf(this.#socket);
    return !closing && underWay === 0 && this.#socket.bytesRead === restedAt;
  }

  get hasServed(): boolean {
    return factsOf(this.#socket).served > 0;
  }

  destroy(): void {
    this.#socket.destroy();
  }
}

/** Most pipelined requests that may wait on a connection. */
const MAX_PIPELINED = 128;

function newServer(env: EngineEnvironment): Server {
  const limits = env.limits();
  return createServer({
    maxHeaderSize: limits.maxHeaderBytes,
    // Slow heads end within a third of their limit after it, idle connections a second after theirs.
    connectionsCheckingInterval: Math.max(50, Math.min(1_000, Math.floor(limits.headerTimeoutMs / 3))),
    // Judged by us, with an answer of ours.
    requireHostHeader: false,
    insecureHTTPParser: false,
    shouldUpgradeCallback: (request) => env.handler.wantsTunnel(headFrom(request)),
  });
}

function wire(server: Server, env: EngineEnvironment): void {
  const serve = (request: IncomingMessage, response: ServerResponse): void => {
    serveRequest(request, response, env);
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
}

function serveRequest(request: IncomingMessage, response: ServerResponse, env: EngineEnvironment): void {
  const facts = factsOf(request.socket);
  // Bytes that were parsed after our last word on this connection are nobody's request.
  if (facts.closing || facts.ending) return;
  if (facts.busy) {
    facts.waiting.push(() => serveRequest(request, response, env));
    // Node reads on however many wait; nobody honest pipelines so many.
    if (facts.waiting.length > MAX_PIPELINED) request.socket.destroy();
    return;
  }
  facts.busy = true;
  response.once("close", () => {
    facts.busy = false;
    if (!request.socket.destroyed) facts.waiting.shift()?.();
  });
  const exchange = new NodeExchange(request, response, env.deadlines, env.limits().bodyIdleTimeoutMs);
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

function onClientError(error: Error, socket: Socket, env: EngineEnvironment): void {
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

function refuse(socket: Socket, kind: FailureKind, cause: unknown, env: EngineEnvironment): void {
  if (factsOf(socket).closing || factsOf(socket).ending) return;
  socket.on("error", () => socket.destroy());
  socket.write(env.handler.refusal(kind, cause, factsOf(socket).peerAddress));
  lingerClose(socket, env.deadlines);
}

function refusalOf(code: string): "malformed-request" | "request-timeout" | "header-too-large" | null {
  if (code === "HPE_HEADER_OVERFLOW") return "header-too-large";
  if (code === "ERR_HTTP_REQUEST_TIMEOUT") return "request-timeout";
  return code.startsWith("HPE_") ? "malformed-request" : null;
}
