/**
 * A sample service in a process of its own: `node sample-service.ts NAME MEAN_MS PORT`. Over IPC it says `{"port":N}` when
 * it listens, hears `{"lieShare":0.5}` from then on, and answers `{"ask":true}` with what it has seen. It takes a few
 * milliseconds per request, and ends with its parent.
 */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";

const [name = "v1", meanMs = "8", port = "0"] = process.argv.slice(2);
/** The port of a killed one may be somebody's for a moment. */
const PORT_RETRY_MS = 20;
let portTriesLeft = 250;
let lieShare = 0;
let requests = 0;
let lastRequestAtMs = 0;

const server = createServer((request, response) => {
  request.resume();
  if (request.url === "/healthz") response.end("well\n");
  else void greet(request, response);
});

/** A lie has status 200 and the wrong name: nothing that a check, a breaker or a retry could see. */
async function greet(request: IncomingMessage, response: ServerResponse): Promise<void> {
  requests++;
  lastRequestAtMs = performance.timeOrigin + performance.now();
  const lies = Math.random() < lieShare;
  await sleep(Number(meanMs) * (0.6 + 0.8 * Math.random()));
  const hello = lies ? "somebody-else" : (request.headers["x-user-id"] ?? "stranger");
  const text = `${JSON.stringify({ version: name, hello })}\n`;
  response.setHeader("content-type", "application/json");
  response.setHeader("content-length", Buffer.byteLength(text));
  if (lies) response.setHeader("x-sample-planted", "yes");
  response.end(text);
}

// Longer than any pool keeps an idle connection, so that it is never this side that closes one.
server.keepAliveTimeout = 60_000;
server.on("error", (error) => {
  if (portTriesLeft-- === 0) throw error;
  setTimeout(listen, PORT_RETRY_MS);
});
server.on("listening", () => process.send?.(server.address()));
listen();

function listen(): void {
  server.listen(Number(port), "127.0.0.1");
}

process.on("message", (message: { readonly lieShare?: number; readonly ask?: boolean }) => {
  if (message.lieShare !== undefined) lieShare = message.lieShare;
  if (message.ask === true) process.send?.({ requests, lastRequestAtMs });
});
process.on("disconnect", () => process.exit(0));
// Ctrl-C goes to the whole group; the parent decides who ends when.
process.on("SIGINT", () => {});
