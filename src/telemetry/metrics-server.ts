import { once } from "node:events";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { Logger } from "pino";
import type { Metrics } from "./metrics.ts";

// Taken without `import`, which reads every export and with that loads what lies behind the lazy ones: 6 MB a thread.
const { createServer } = process.getBuiltinModule("node:http");

/** What `/readyz` says. */
export interface Readiness {
  /** New requests are welcome. False makes the answer a 503: starting, or draining. */
  readonly ready: boolean;
  /** In a few words: `taking traffic`, `starting`, `draining`. */
  readonly reason: string;
  /** Addresses that take traffic, as URLs with their real ports. */
  readonly listen: readonly string[];
  readonly admin: string | null;
  readonly metrics: string | null;
  /** Generation of the snapshot in force; 0 before the first. */
  readonly generation: number;
}

/** What the server asks of the process. */
export interface MetricsServerOptions {
  readonly host: string;
  /** 0 = any free port. */
  readonly port: number;
  readonly metrics: Metrics;
  readonly readiness: () => Readiness;
  /** False when all data threads are dead. That the control loop runs is shown by there being an answer at all. */
  readonly alive: () => boolean;
  readonly log: Logger;
}

/** A listening server. */
export interface MetricsServer {
  /** URL with the real port, such as http://127.0.0.1:9464. */
  readonly url: string;
  /** Stops listening and ends every connection; nothing stays open afterwards. Twice is harmless. */
  close(): Promise<void>;
}

/** Scrapers and probes are few: more connections than this are refused. */
const MAX_CONNECTIONS = 256;
const HEAD_TIMEOUT_MS = 5_000;
const REQUEST_TIMEOUT_MS = 10_000;
/** A connection that moves no byte for this long is ended, so a scraper that stalls holds nothing. */
const IDLE_TIMEOUT_MS = 30_000;
/** Longer than the usual scrape interval, so that Prometheus keeps its connection. */
const KEEP_ALIVE_TIMEOUT_MS = 65_000;

/** Serves `/metrics`, `/livez` and `/readyz` on an address of its own; rejects when the address cannot be had. */
export async function startMetricsServer(options: MetricsServerOptions): Promise<MetricsServer> {
  const server = createServer(
    {
      headersTimeout: HEAD_TIMEOUT_MS,
      requestTimeout: REQUEST_TIMEOUT_MS,
      keepAliveTimeout: KEEP_ALIVE_TIMEOUT_MS,
      connectionsCheckingInterval: 1_000,
    },
    (request, response) => void answer(options, request, response),
  );
  server.maxConnections = MAX_CONNECTIONS;
  server.timeout = IDLE_TIMEOUT_MS;
  server.listen(options.port, options.host);
  await once(server, "listening");
  let closing: Promise<void> | null = null;
  return {
    url: urlOf(server.address() as AddressInfo),
    close: () => (closing ??= closeServer(server)),
  };
}

interface Reply {
  readonly status: number;
  readonly type: string;
  readonly body: string;
  readonly headers?: Readonly<Record<string, string>>;
}

const TEXT = "text/plain; charset=utf-8";

async function answer(options: MetricsServerOptions, request: IncomingMessage, response: ServerResponse) {
  send(response, await replyTo(options, request));
}

async function replyTo(options: MetricsServerOptions, request: IncomingMessage): Promise<Reply> {
  const path = (request.url ?? "/").split("?", 1)[0];
  if (path !== "/metrics" && path !== "/livez" && path !== "/readyz") {
    return { status: 404, type: TEXT, body: "not found: this address has /metrics, /livez and /readyz\n" };
  }
  if (request.method !== "GET" && request.method !== "HEAD") {
    return { status: 405, type: TEXT, body: "only GET and HEAD\n", headers: { allow: "GET, HEAD" } };
  }
  switch (path) {
    case "/metrics":
      return replyMetrics(options);
    case "/livez":
      return replyLive(options);
    case "/readyz":
      return replyReady(options);
  }
}

async function replyMetrics({ metrics, log }: MetricsServerOptions): Promise<Reply> {
  try {
    return { status: 200, type: metrics.contentType, body: await metrics.scrape() };
  } catch (err) {
    // A scrape that fails must show as `up` = 0 and in the log; it is no reason to stop serving traffic.
    log.error({ err }, "scrape failed");
    return { status: 500, type: TEXT, body: "the scrape failed; the log has the reason\n" };
  }
}

function replyLive({ alive }: MetricsServerOptions): Reply {
  if (alive()) return { status: 200, type: TEXT, body: "alive\n" };
  return { status: 503, type: TEXT, body: "no data thread is alive\n" };
}

function replyReady(options: MetricsServerOptions): Reply {
  const readiness = options.readiness();
  return { status: readiness.ready ? 200 : 503, type: "application/json", body: `${JSON.stringify(readiness)}\n` };
}

function send(response: ServerResponse, reply: Reply): void {
  response.writeHead(reply.status, {
    "content-type": reply.type,
    "content-length": Buffer.byteLength(reply.body),
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    ...reply.headers,
  });
  // For HEAD, node:http keeps the head and leaves the body out.
  response.end(reply.body);
}

async function closeServer(server: Server): Promise<void> {
  const closed = once(server, "close");
  server.close();
  server.closeAllConnections();
  await closed;
}

function urlOf({ address, port, family }: AddressInfo): string {
  return family === "IPv6" ? `http://[${address}]:${port}` : `http://${address}:${port}`;
}
