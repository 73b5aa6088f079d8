/** The upstream of the benchmark: node:http with one small answer. Prints its port when it listens. */
import http from "node:http";
import { SMALL_ANSWER } from "./answers.ts";

const HEADERS = ["content-type", "application/json", "content-length", String(Buffer.byteLength(SMALL_ANSWER))];

const server = http.createServer((request, response) => {
  request.resume();
  response.writeHead(200, HEADERS);
  response.end(SMALL_ANSWER);
});
server.keepAliveTimeout = 60_000;
server.listen(0, "127.0.0.1", () => {
  const address = server.address();
  if (typeof address === "object" && address !== null) process.stdout.write(`port ${address.port}\n`);
});
