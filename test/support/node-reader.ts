import assert from "node:assert/strict";
import http from "node:http";
import net from "node:net";
import { bodyOf, type HttpMessage } from "./message-reader.ts";
import type { UpstreamConnection } from "./raw-upstream.ts";
import type { Scope } from "./scope.ts";
import { changed, until, untilQuiet } from "./until.ts";

/** How long no further request must come. */
const QUIET_MS = 50;
/** Connections that are read at once. */
const BATCH = 64;

/** A request as Node's own server, and so llhttp, reads it. */
interface NodeRequest {
  readonly start: string;
  readonly headers: readonly string[];
  body: string;
  trailers: readonly string[];
  complete: boolean;
}

/** What Node's server reads, by the port of the connection. */
interface Heard {
  readonly requests: Map<number, NodeRequest[]>;
  readonly errors: string[];
}

/**
 * Fails unless Node's own server reads the same requests out of the bytes of these connections as the strict reader has
 * done: not one more, not one less, with the same method, target, fields, body and trailers.
 */
export async function assertNodeAgrees(scope: Scope, connections: readonly UpstreamConnection[]): Promise<void> {
  const heard: Heard = { requests: new Map(), errors: [] };
  const port = await listen(scope, heard);
  const used = connections.filter(({ reader }) => reader.messages.length > 0);
  for (let from = 0; from < used.length; from += BATCH) {
    const batch = used.slice(from, from + BATCH);
    const read = await Promise.all(batch.map((connection) => replay(port, connection, heard)));
    await untilQuiet(() => [...heard.requests.values()].reduce((sum, { length }) => sum + length, 0), QUIET_MS);
    assert.deepEqual(heard.errors, [], "Node reads the bytes");
    for (const [i, { requests, socket }] of read.entries()) {
      assert.deepEqual(requests.map(comparable), batch[i]?.reader.messages.map(expected));
      socket.destroy();
    }
    heard.requests.clear();
  }
}

async function listen(scope: Scope, { errors, requests }: Heard): Promise<number> {
  const server = http.createServer({ maxHeaderSize: 1_048_576, requireHostHeader: false, insecureHTTPParser: false });
  server.maxHeadersCount = 0;
  const serve: http.RequestListener = (request, response) => {
    record(requests.get(request.socket.remotePort ?? 0) ?? [], request, response);
  };
  server.on("request", serve).on("checkExpectation", serve);
  server.on("checkContinue", (request: http.IncomingMessage, response: http.ServerResponse) => {
    // Without it, Node would end the connection with this answer.
    response.writeContinue();
    serve(request, response);
  });
  server.on("upgrade", (_request, socket) => {
    errors.push("a switch of protocols");
    socket.destroy();
  });
  server.on("clientError", (error: NodeJS.ErrnoException, socket) => {
    // The end that we make of a request which was broken off.
    if (error.code !== "HPE_INVALID_EOF_STATE") errors.push(`${error.code}: ${error.message}`);
    socket.destroy();
  });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  scope.after(() => {
    server.close();
    server.closeAllConnections();
  });
  return (server.address() as net.AddressInfo).port;
}

/** Writes what the upstream got, and waits until Node has read as many requests. */
async function replay(
  port: number,
  connection: UpstreamConnection,
  heard: Heard,
): Promise<{ readonly requests: readonly NodeRequest[]; readonly socket: net.Socket }> {
  const { messages } = connection.reader;
  const requests: NodeRequest[] = [];
  const socket = net.connect({ port, host: "127.0.0.1" });
  socket.on("error", () => {});
  socket.resume();
  socket.once("connect", () => {
    heard.requests.set(socket.localPort ?? 0, requests);
    socket.write(Buffer.from(connection.text(), "latin1"));
  });
  const whole = messages.filter(({ complete }) => complete).length;
  const isRead = (): boolean =>
    heard.errors.length > 0 ||
    (requests.length >= messages.length && requests.filter(({ complete }) => complete).length >= whole);
  const detail = (): string => `${requests.length} read; the last: ${JSON.stringify(requests.at(-1))}`;
  await until(isRead, `${messages.length} requests in Node's reading`, { detail });
  return { requests, socket };
}

function record(requests: NodeRequest[], request: http.IncomingMessage, response: http.ServerResponse): void {
  const seen: NodeRequest = {
    start: `${request.method} ${request.url} HTTP/${request.httpVersion}`,
    headers: request.rawHeaders,
    body: "",
    trailers: [],
    complete: false,
  };
  requests.push(seen);
  request.setEncoding("latin1");
  request.on("data", (piece: string) => (seen.body += piece));
  request.on("error", () => {});
  request.on("end", () => {
    seen.complete = request.complete;
    seen.trailers = request.rawTrailers;
    response.end();
    changed();
  });
  changed();
}

/** Bytes of a request that was broken off may be on either side of what Node has told. */
function comparable(request: NodeRequest): NodeRequest {
  return request.complete ? request : { ...request, body: "" };
}

function expected(message: HttpMessage): NodeRequest {
  const { complete, rawHeaders, startLine, trailers } = message;
  const body = complete ? bodyOf(message).toString("latin1") : "";
  return { start: startLine, headers: rawHeaders, body, trailers: complete ? trailers : [], complete };
}
