import { once } from "node:events";
import https from "node:https";
import tls from "node:tls";
import { WebSocketServer } from "ws";
import { readEcho, sendJson } from "./http-upstream.ts";
import type { Scope } from "./scope.ts";
import type { SelfSigned } from "./self-signed.ts";
import { changed, until } from "./until.ts";

/** An https upstream that echoes, also over WebSocket. */
export interface TlsUpstream {
  readonly port: number;
  /** Names that clients asked for (SNI); false = none was given. */
  readonly names: readonly (string | false)[];
  /** Common names of client certificates, one per connection; null = none was shown. */
  readonly identities: readonly (string | null)[];
  /** Requests whose head arrived. */
  readonly requests: number;
}

/** Starts an https upstream on a free port of `host`; it ends with the scope. `clientCa` = it wants certificates of it. */
export async function startTlsUpstream(
  scope: Scope,
  pair: SelfSigned,
  options: { readonly host?: string; readonly clientCa?: readonly string[] } = {},
): Promise<TlsUpstream> {
  const { host = "127.0.0.1", clientCa } = options;
  const seen = { names: [] as (string | false)[], identities: [] as (string | null)[], requests: 0 };
  const client = clientCa === undefined ? {} : { ca: [...clientCa], requestCert: true, rejectUnauthorized: true };
  const server = https.createServer({ ...pair, ...client }, (request, response) => {
    seen.requests++;
    readEcho("tls", request, (echo) => sendJson(response, echo));
  });
  server.on("secureConnection", (socket: tls.TLSSocket & { readonly servername?: string | false }) => {
    seen.names.push(socket.servername ?? false);
    const commonName = socket.getPeerCertificate().subject?.CN;
    seen.identities.push(Array.isArray(commonName) ? (commonName[0] ?? null) : (commonName ?? null));
  });
  server.on("tlsClientError", () => {});
  const sockets = new WebSocketServer({ server });
  sockets.on("connection", (socket) =>
    socket.on("message", (data, isBinary) => socket.send(data, { binary: isBinary })),
  );
  server.listen(0, host);
  await once(server, "listening");
  scope.after(async () => {
    for (const socket of sockets.clients) socket.terminate();
    server.close();
    server.closeAllConnections();
    await once(server, "close");
  });
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("upstream is not listening");
  return Object.assign(seen, { port: address.port });
}

/** A TLS connection to a loopback port, and what came of it. */
export interface TlsClient {
  readonly socket: tls.TLSSocket;
  /** All that was received, latin1. */
  readonly text: () => string;
  /** Common name of the server's certificate. */
  readonly commonName: string;
  /** Waits until `pattern` is in what was received. */
  heard(pattern: RegExp): Promise<string>;
  /** Waits for the connection to end. */
  closed(): Promise<void>;
}

/** Connects over TLS; rejects when the handshake fails. Ends with the scope. */
export async function connectTls(scope: Scope, port: number, options: tls.ConnectionOptions = {}): Promise<TlsClient> {
  const socket = tls.connect({ port, host: "127.0.0.1", rejectUnauthorized: false, ...options });
  scope.after(() => {
    socket.destroy();
  });
  let received = "";
  let over = false;
  let failed: Error | null = null;
  socket.on("data", (chunk: Buffer) => {
    received += chunk.toString("latin1");
    changed();
  });
  socket.on("error", (error) => {
    failed = error;
    changed();
  });
  socket.on("close", () => {
    over = true;
    changed();
  });
  let secured = false;
  socket.on("secureConnect", () => {
    secured = true;
    changed();
  });
  await until(() => secured || failed !== null || over, "the handshake");
  if (!secured) throw failed ?? new Error("the connection ended inside the handshake");
  const commonName = socket.getPeerCertificate().subject?.CN ?? "";
  return {
    socket,
    text: () => received,
    commonName: Array.isArray(commonName) ? (commonName[0] ?? "") : commonName,
    heard: async (pattern) => {
      const match = await until(() => pattern.exec(received), `${pattern}`, { detail: () => received });
      return match[1] ?? match[0];
    },
    closed: async () => {
      await until(() => over, "the connection to end");
    },
  };
}
