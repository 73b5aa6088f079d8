/**
 * A very fast upstream: bytes in, bytes out, no HTTP parser. It understands what the loads of the comparison send
 * through a proxy and nothing else: heads that end in an empty line, bodies with Content-Length. It answers in order,
 * also when several requests come in one read. Listens twice, as v1 and v2, and prints both ports.
 */
import net from "node:net";
import { LARGE_BYTES, LARGE_PATH, SMALL_ANSWER } from "./answers.ts";

const small = `${headFor("application/json", SMALL_ANSWER.length)}${SMALL_ANSWER}`;
const large = Buffer.concat([
  Buffer.from(headFor("application/octet-stream", LARGE_BYTES), "latin1"),
  Buffer.alloc(LARGE_BYTES, "crossfade "),
]);

const ports = { v1: await listen(), v2: await listen() };
process.stdout.write(`ports ${JSON.stringify(ports)}\n`);

function listen(): Promise<number> {
  const { promise, resolve } = Promise.withResolvers<number>();
  const server = net.createServer({ noDelay: true }, (socket) => {
    let unread = "";
    socket.setEncoding("latin1");
    socket.on("data", (text) => {
      unread = answer(socket, unread + String(text));
    });
    socket.on("error", () => socket.destroy());
  });
  server.listen({ port: 0, host: "127.0.0.1", backlog: 4096 }, () => {
    const address = server.address();
    resolve(typeof address === "object" && address !== null ? address.port : 0);
  });
  return promise;
}

/** Answers every request that is all there; returns what is left. */
function answer(socket: net.Socket, text: string): string {
  let due = "";
  let start = 0;
  for (let end = text.indexOf("\r\n\r\n"); end !== -1; end = text.indexOf("\r\n\r\n", start)) {
    const next = end + 4 + (text.startsWith("GET ", start) ? 0 : contentLength(text.slice(start, end)));
    if (next > text.length) break;
    if (text.startsWith(`GET ${LARGE_PATH} `, start)) {
      socket.write(due, "latin1");
      socket.write(large);
      due = "";
    } else {
      due += small;
    }
    start = next;
  }
  if (due !== "") socket.write(due, "latin1");
  return text.slice(start);
}

function contentLength(head: string): number {
  return Number(/\r\ncontent-length: *(\d+)/i.exec(head)?.[1] ?? 0);
}

function headFor(type: string, length: number): string {
  return `HTTP/1.1 200 OK\r\nContent-Type: ${type}\r\nContent-Length: ${length}\r\n\r\n`;
}
