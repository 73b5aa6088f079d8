/**
 * A sample service in a process of its own. Over IPC it says `{"port":N}` when it listens, hears `{"failShare":0.5}` from
 * then on, and answers `{"ask":true}` with what it has seen. It takes a few milliseconds per request, and ends with its
 * parent.
 */
import { createServer } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";

const [name = "v1", meanMs = "8"] = process.argv.slice(2);
let failShare = 0;
let requests = 0;
let lastRequestAtMs = 0;

const server = createServer((request, response) => {
  requests++;
  lastRequestAtMs = performance.timeOrigin + performance.now();
  request.resume();
  const planted = Math.random() < failShare;
  void sleep(Number(meanMs) * (0.6 + 0.8 * Math.random())).then(() => {
    const text = `${JSON.stringify({ version: name, hello: request.headers["x-user-id"] ?? "stranger" })}\n`;
    response.statusCode = planted ? 500 : 200;
    response.setHeader("content-type", "application/json");
    response.setHeader("content-length", Buffer.byteLength(text));
    if (planted) response.setHeader("x-sample-planted", "yes");
    response.end(text);
  });
});
// Longer than any pool keeps an idle connection, so that it is never this side that closes one.
server.keepAliveTimeout = 60_000;
server.listen(0, "127.0.0.1", () => process.send?.(server.address()));

process.on("message", (message: { readonly failShare?: number; readonly ask?: boolean }) => {
  if (message.failShare !== undefined) failShare = message.failShare;
  if (message.ask === true) process.send?.({ requests, lastRequestAtMs });
});
process.on("disconnect", () => process.exit(0));
// Ctrl-C goes to the whole group; the parent decides who ends when.
process.on("SIGINT", () => {});
