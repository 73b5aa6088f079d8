/** The upstream of the benchmark: node:http with one small answer. Prints its port when it listens. */
import http from "node:http";

const ANSWER = JSON.stringify({
  id: 4711,
  name: "a small answer",
  tags: ["bench", "fixed"],
  items: [1, 2, 3, 4, 5, 6],
  ok: true,
});
const HEADERS = ["content-type", "application/json", "content-length", String(Buffer.byteLength(ANSWER))];

const server = http.createServer((request, response) => {
  request.resume();
  response.writeHead(200, HEADERS);
  response.end(ANSWER);
});
server.keepAliveTimeout = 60_000;
server.listen(0, "127.0.0.1", () => {
  const address = server.address();
  if (typeof address === "object" && address !== null) process.stdout.write(`port ${address.port}\n`);
});
