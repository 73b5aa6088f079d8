/**
 * An echo upstream as a process of its own, for scenarios. Prints `{"listening":…}` when it listens, on a port or on a Unix
 * socket. It speaks WebSocket (echoes messages) on any path, answers `/healthz` 200, and anything else with an echo. The
 * query bends the answer: `status=503`, `delayMs=50`, `bytes=1048576` (that many bytes instead of the echo), `die=1` (the
 * process exits). Orders that come over the channel to its starter change how it treats everybody; see conduct.ts.
 */
import http from "node:http";
import { parseArgs } from "node:util";
import { WebSocketServer } from "ws";
import { misbehave, type Conduct, type HealthAnswer, type NumberedOrder, type Order } from "./conduct.ts";
import { readEcho, type Echo } from "./http-upstream.ts";

const { values } = parseArgs({
  options: {
    name: { type: "string", default: "v1" },
    /** A port or the path of a socket. */
    listen: { type: "string", default: "0" },
  },
});

interface Seen {
  readonly method: string;
  readonly target: string;
  readonly arrived: number;
  answered: number | null;
}

const requests: Seen[] = [];
let conduct: Conduct = { kind: "good" };
let healthAnswer: HealthAnswer = 200;
let healthChecks = 0;
let events = 0;
let connections = 0;
let mostConnections = 0;
/** Where it listens: the port that was given to it, once it has one. */
let place = values.listen;

const server = http.createServer((request, response) => {
  const { pathname } = new URL(request.url ?? "/", "http://upstream");
  if (pathname === "/healthz") answerHealthCheck(response);
  else receive(request, response);
});
server.on("connection", (socket) => {
  mostConnections = Math.max(mostConnections, ++connections);
  socket.on("close", () => connections--);
});

const sockets = new WebSocketServer({ server });
sockets.on("connection", (socket) => {
  socket.on("message", (data, isBinary) => socket.send(data, { binary: isBinary }));
});

server.keepAliveTimeout = 60_000;
await listen();
process.stdout.write(`${JSON.stringify({ listening: place })}\n`);
process.on("SIGTERM", () => process.exit(0));
process.on("message", (message) => void carryOut(message as NumberedOrder));
// The starter holds our stdin open: when it is gone, so are we.
process.stdin.on("end", () => process.exit(0));
process.stdin.resume();

function receive(request: http.IncomingMessage, response: http.ServerResponse): void {
  const seen: Seen = { method: request.method ?? "", target: request.url ?? "", arrived: events++, answered: null };
  requests.push(seen);
  const count = requests.length;
  response.on("finish", () => {
    seen.answered = events++;
  });
  readEcho(values.name, request, (echo) => {
    misbehave(conduct, count, request, response, () => answer(echo, response));
  });
}

function answerHealthCheck(response: http.ServerResponse): void {
  healthChecks++;
  if (healthAnswer === "silent") return;
  response.statusCode = healthAnswer;
  const text = JSON.stringify({ status: healthAnswer === 200 ? "ok" : "bad" });
  response.setHeader("content-type", "application/json");
  response.setHeader("content-length", Buffer.byteLength(text));
  response.end(text);
}

function answer(echo: Echo, response: http.ServerResponse): void {
  const { searchParams } = new URL(echo.url, "http://upstream");
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

async function carryOut({ number, order }: NumberedOrder): Promise<void> {
  await obey(order);
  process.send?.({ number, sightings: { requests, healthChecks, mostConnections } });
}

async function obey(order: Order): Promise<void> {
  switch (order.kind) {
    case "behave":
      conduct = order.conduct;
      return;
    case "answer health checks":
      healthAnswer = order.answer;
      return;
    case "refuse":
      await refuse();
      return;
    case "listen":
      await listen();
      return;
    case "tell":
      return;
  }
}

async function refuse(): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  server.close(() => resolve());
  server.closeAllConnections();
  await promise;
}

async function listen(): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once("error", reject);
  if (/^\d+$/.test(place)) server.listen(Number(place), "127.0.0.1", () => resolve());
  else server.listen(place, () => resolve());
  await promise;
  const address = server.address();
  if (address !== null && typeof address !== "string") place = String(address.port);
}
