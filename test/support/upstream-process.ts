/**
 * An echo upstream as a process of its own, for scenarios. Prints `{"port":N}` when it listens. It speaks WebSocket
 * (echoes messages) on any path, answers `/healthz` 200, and anything else with an echo. The query bends the answer:
 * `status=503`, `delayMs=50`, `bytes=1048576` (that many bytes instead of the echo), `die=1` (the process exits).
 */
import http from "node:http";
import { parseArgs } from "node:util";
import { WebSocketServer } from "ws";
import { readEcho, sendJson, type Echo } from "./http-upstream.ts";

const { values } = parseArgs({
  options: { name: { type: "string", default: "v1" }, port: { type: "string", default: "0" } },
});

const server = http.createServer((request, response) => {
  readEcho(values.name, request, (echo) => answer(echo, response));
});

const sockets = new WebSocketServer({ server });
sockets.on("connection", (socket) => {
  socket.on("message", (data, isBinary) => socket.send(data, { binary: isBinary }));
});

server.keepAliveTimeout = 60_000;
server.listen(Number(values.port), "127.0.0.1", () => {
  process.stdout.write(`${JSON.stringify(server.address())}\n`);
});
process.on("SIGTERM", () => process.exit(0));
// The starter holds our stdin open: when it is gone, so are we.
process.stdin.on("end", () => process.exit(0));
process.stdin.resume();

function answer(echo: Echo, response: http.ServerResponse): void {
  const { pathname, searchParams } = new URL(echo.url, "http://upstream");
  if (pathname === "/healthz") return sendJson(response, { status: "ok" });
  if (searchParams.has("die")) process.exit(1);
  setTimeout(() => bend(echo, searchParams, response), Number(searchParams.get("delayMs") ?? 0));
}

function bend(echo: Echo, query: URLSearchParams, response: http.ServerResponse): void {
  response.statusCode = Number(query.get("status") ?? 200);
  response.setHeader("x-upstream-name", values.name);
  const bytes = query.get("bytes");
  if (bytes !== null) {
    response.end(Buffer.alloc(Number(bytes), "a"));
    return;
  }
  const text = JSON.stringify(echo);
  response.setHeader("content-type", "application/json");
  response.setHeader("content-length", Buffer.byteLength(text));
  response.end(text);
}
