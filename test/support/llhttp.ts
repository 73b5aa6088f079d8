import http, { createServer, type IncomingMessage } from "node:http";
import { Duplex } from "node:stream";

/** What Node's own parser made of some bytes: a message, or why there is none. */
export type Verdict =
  | { readonly kind: "message"; readonly message: Message }
  /** The bytes end before the message does. */
  | { readonly kind: "incomplete" }
  | { readonly kind: "malformed"; readonly code: string };

/** A whole message as Node's own parser reads it; texts are latin1. */
export interface Message {
  /** Method and target, or status and reason. */
  readonly start: readonly [string, string];
  readonly headers: readonly string[];
  readonly body: string;
  readonly trailers: readonly string[];
}

const MAX_HEADER_BYTES = 1 << 20;
const ENDED_EARLY: ReadonlySet<string> = new Set(["HPE_INVALID_EOF_STATE", "ECONNRESET"]);

/** The first request in `bytes`, as llhttp in its strict mode reads it. */
export async function llhttpRequest(bytes: string): Promise<Verdict> {
  // A connection without a byte ends in silence.
  if (bytes === "") return { kind: "incomplete" };
  const { promise, resolve } = Promise.withResolvers<Verdict>();
  const server = createServer({ requireHostHeader: false, maxHeaderSize: MAX_HEADER_BYTES, insecureHTTPParser: false });
  server.maxHeadersCount = 0;
  let first: IncomingMessage | null = null;
  server.on("request", (request) => {
    if (first !== null) return;
    first = request;
    collect(request, () => [request.method ?? "", request.url ?? ""], resolve);
  });
  server.on("clientError", (error: NodeJS.ErrnoException) => {
    // What is wrong behind a whole message is told before that message ends.
    if (first?.complete !== true) resolve(verdictOf(error));
  });
  server.emit("connection", pipeOf(bytes));
  return await promise;
}

/** The first final answer in `bytes` to a request of `method`, as llhttp in its strict mode reads it. */
export async function llhttpAnswer(bytes: string, method: string): Promise<Verdict> {
  const { promise, resolve } = Promise.withResolvers<Verdict>();
  const request = http.request({
    method,
    createConnection: () => pipeOf(bytes),
    maxHeaderSize: MAX_HEADER_BYTES,
    insecureHTTPParser: false,
  });
  let final: IncomingMessage | null = null;
  request.on("response", (answer) => {
    final = answer;
    collect(answer, () => [String(answer.statusCode), answer.statusMessage ?? ""], resolve);
  });
  request.on("error", (error: NodeJS.ErrnoException) => {
    if (final?.complete !== true) resolve(verdictOf(error));
  });
  request.maxHeadersCount = 0;
  request.end();
  return await promise;
}

function verdictOf(error: NodeJS.ErrnoException): Verdict {
  const code = error.code ?? error.message;
  return ENDED_EARLY.has(code) ? { kind: "incomplete" } : { kind: "malformed", code };
}

function collect(from: IncomingMessage, start: () => [string, string], resolve: (verdict: Verdict) => void): void {
  let body = "";
  from.on("data", (chunk: Buffer) => {
    body += chunk.toString("latin1");
  });
  from.on("end", () => {
    const { rawHeaders: headers, rawTrailers: trailers } = from;
    resolve({ kind: "message", message: { start: start(), headers, body, trailers } });
  });
  from.on("error", (error: NodeJS.ErrnoException) => {
    resolve(verdictOf(error));
  });
}

/** A connection in memory that gives `bytes` and then ends; what is written to it is lost. */
function pipeOf(bytes: string): Duplex {
  const pieces: (Buffer | null)[] = [Buffer.from(bytes, "latin1"), null];
  return new Duplex({
    read() {
      const piece = pieces.shift();
      if (piece !== undefined && (piece === null || piece.length > 0)) this.push(piece);
      else if (piece !== undefined) this.push(null);
    },
    write(_chunk, _encoding, done) {
      done();
    },
  });
}
