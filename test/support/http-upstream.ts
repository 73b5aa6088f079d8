import { createHash } from "node:crypto";
import http from "node:http";
import type { Scope } from "./scope.ts";
import { changed, until } from "./until.ts";

/** What the echo upstream says about a request, as the JSON body of its answer. */
export interface Echo {
  readonly upstream: string;
  readonly method: string;
  readonly url: string;
  readonly httpVersion: string;
  readonly rawHeaders: readonly string[];
  readonly body: { readonly length: number; readonly sha256: string };
  readonly rawTrailers: readonly string[];
}

/** An upstream on `node:http`. */
export interface HttpUpstream {
  readonly name: string;
  readonly port: number;
  readonly url: string;
  /** Requests that were read to their end, in order. */
  readonly requests: Echo[];
  /** Waits for the n-th request, counted from 0. */
  request(index?: number): Promise<Echo>;
  close(): Promise<void>;
}

/** Answers instead of the echo; called as soon as the head is there. */
export type HttpHandler = (request: http.IncomingMessage, response: http.ServerResponse) => void;

/** Starts an echo upstream on a free loopback port; it ends with the scope. */
export async function startHttpUpstream(
  scope: Scope,
  options: { readonly name?: string; readonly handler?: HttpHandler } = {},
): Promise<HttpUpstream> {
  const name = options.name ?? "v1";
  const requests: Echo[] = [];
  const server = http.createServer((request, response) => {
    if (options.handler !== undefined) return options.handler(request, response);
    readEcho(name, request, (echo) => {
      requests.push(echo);
      changed();
      sendJson(response, echo);
    });
  });
  const { promise, resolve } = Promise.withResolvers<void>();
  server.listen(0, "127.0.0.1", () => resolve());
  await promise;
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("upstream is not listening");
  const close = async (): Promise<void> => {
    const closed = Promise.withResolvers<void>();
    server.close(() => closed.resolve());
    server.closeAllConnections();
    await closed.promise;
  };
  scope.after(close);
  return {
    name,
    port: address.port,
    url: `http://127.0.0.1:${address.port}`,
    requests,
    request: (index = 0) => until(() => requests[index], `request ${index} at upstream ${name}`),
    close,
  };
}

/** Reads a request to its end and describes it. */
export function readEcho(upstream: string, request: http.IncomingMessage, done: (echo: Echo) => void): void {
  const hash = createHash("sha256");
  let length = 0;
  request.on("data", (chunk: Buffer) => {
    hash.update(chunk);
    length += chunk.length;
  });
  request.on("error", () => {});
  request.on("end", () => {
    const { method = "", url = "", httpVersion, rawHeaders, rawTrailers } = request;
    const body = { length, sha256: hash.digest("hex") };
    done({ upstream, method, url, httpVersion, rawHeaders, body, rawTrailers });
  });
}

/** Answers 200 with a JSON body and its length. */
export function sendJson(response: http.ServerResponse, value: object): void {
  const text = JSON.stringify(value);
  response.writeHead(200, { "content-type": "application/json", "content-length": Buffer.byteLength(text) });
  response.end(text);
}
