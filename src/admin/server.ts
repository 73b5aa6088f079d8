import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { Clock } from "../base/clock.ts";
import type { StateEvent, StateEventSink } from "../base/state-event.ts";
import { isLoopback } from "../config/address.ts";
import { EventHub } from "./event-hub.ts";
import { actorOf, guardRequest } from "./guard.ts";
import { ADMIN_ROWS } from "./handlers.ts";
import type { HandlerContext } from "./handlers.ts";
import { AdminError, replyFromError, sendReply } from "./reply.ts";
import { findRow } from "./router.ts";
import { openBearerToken } from "./token.ts";
import type { BearerToken } from "./token.ts";
import type { AdminActions, AdminViews } from "./views.ts";

// Taken without `import`, which reads every export and with that loads what lies behind the lazy ones: 6 MB a thread.
const { createServer } = process.getBuiltinModule("node:http");

/** How to open the control API. */
export interface AdminServerOptions {
  readonly host: string;
  /** 0 = the system chooses. */
  readonly port: number;
  /** Absolute path; null = no token, which only a loopback host may go without. */
  readonly tokenFile: string | null;
  readonly views: AdminViews;
  readonly actions: AdminActions;
  readonly clock: Clock;
  readonly onEvent: StateEventSink;
  /** Pause between keep-alive comments of event streams, in milliseconds; default 15 000. */
  readonly keepAliveMs?: number;
}

/** The open control API. */
export interface AdminServer {
  /** Such as `http://127.0.0.1:9901`. */
  readonly url: string;
  /** Sends an event to everybody who listens on `GET events`. */
  publish(event: StateEvent): void;
  /** Ends event streams, lets requests finish, closes; resolves when the port is free. */
  close(): Promise<void>;
}

/** Opens the control API; rejects with an Error that says why it must not or cannot be opened. */
export async function openAdminServer(options: AdminServerOptions): Promise<AdminServer> {
  const { host, port, tokenFile, views, actions, clock, onEvent } = options;
  if (tokenFile === null && !isLoopback(host)) {
    throw new Error(
      `admin.address: "${host}" can be reached from other machines, which needs a token: set admin.tokenFile, ` +
        `or listen on 127.0.0.1`,
    );
  }
  const token = tokenFile === null ? null : await openBearerToken(tokenFile, clock, onEvent);
  const hub = new EventHub({ clock, ...(options.keepAliveMs !== undefined && { keepAliveMs: options.keepAliveMs }) });
  const desk: Desk = { token, hub, context: { views, actions }, onEvent };
  const server = createServer(SERVER_OPTIONS, (request, response) => void serve(desk, request, response));
  server.maxConnections = 256;
  await listen(server, host, port);
  return { url: urlOf(server), publish: (event) => hub.publish(event), close: () => close(server, hub) };
}

/** Longest time for a whole request, and for its head; idle connections end sooner. */
const SERVER_OPTIONS = {
  headersTimeout: 10_000,
  requestTimeout: 15_000,
  keepAliveTimeout: 5_000,
  connectionsCheckingInterval: 5_000,
  maxHeaderSize: 16 * 1024,
} as const;

interface Desk {
  readonly token: BearerToken | null;
  readonly hub: EventHub;
  readonly context: HandlerContext;
  readonly onEvent: StateEventSink;
}

async function serve(desk: Desk, request: IncomingMessage, response: ServerResponse): Promise<void> {
  // A caller that goes away is no news; without a listener it would be an uncaught error.
  request.on("error", () => {});
  response.on("error", () => {});
  try {
    await answer(desk, request, response);
  } catch (error) {
    if (response.headersSent || response.destroyed) response.destroy();
    else sendReply(response, replyFromError(knownError(error, desk, request)));
  }
  // What is left of a body that nobody wanted, so that the connection can be used again.
  request.resume();
}

async function answer(desk: Desk, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { token, hub, context } = desk;
  const { method = "", headers } = request;
  const [path = "", search = ""] = splitTarget(request.url ?? "");
  await token?.refresh();
  guardRequest({ method, path, headers }, token);
  const { row, params } = findRow(ADMIN_ROWS, method, path);
  const query = new URLSearchParams(search);
  const reply = await row.handle({ params, query, actor: actorOf(headers, token), message: request }, context);
  if (reply.kind !== "events") sendReply(response, reply);
  else if (method === "HEAD") sendReply(response, { kind: "json", status: 200, body: {} });
  else hub.open(response, lastEventIdOf(request));
}

function splitTarget(target: string): readonly string[] {
  if (!target.startsWith("/")) throw new AdminError(400, "bad_path", "The request target is not a path.");
  const mark = target.indexOf("?");
  return mark === -1 ? [target] : [target.slice(0, mark), target.slice(mark + 1)];
}

function lastEventIdOf(request: IncomingMessage): string | null {
  const id = request.headers["last-event-id"];
  return typeof id === "string" && id !== "" ? id : null;
}

function knownError(error: unknown, { onEvent }: Desk, request: IncomingMessage): AdminError {
  if (error instanceof AdminError) return error;
  onEvent({
    level: "error",
    name: "admin-request-failed",
    message: "an admin request failed by a mistake of the proxy",
    fields: {
      method: request.method,
      target: request.url,
      error: error instanceof Error ? error.stack : String(error),
    },
  });
  return new AdminError(500, "internal", "The proxy made a mistake; its log says which.");
}

async function listen(server: Server, host: string, port: number): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once("error", reject);
  server.listen({ host, port }, resolve);
  try {
    await promise;
  } catch (cause) {
    throw new Error(`admin.address: cannot listen on "${host}" port ${port}: ${(cause as Error).message}`, { cause });
  }
  server.off("error", reject);
}

function urlOf(server: Server): string {
  const { address, family, port } = server.address() as AddressInfo;
  return `http://${family === "IPv6" ? `[${address}]` : address}:${port}`;
}

/** How long requests may still take when the server closes, in milliseconds. */
const CLOSE_GRACE_MS = 1000;

async function close(server: Server, hub: EventHub): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  server.close(() => resolve());
  hub.close();
  server.closeIdleConnections();
  const cut = setTimeout(() => server.closeAllConnections(), CLOSE_GRACE_MS);
  await promise;
  clearTimeout(cut);
}
