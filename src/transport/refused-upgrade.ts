import type { IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import { chunkSizeLine } from "../codec/write-chunks.ts";

/**
 * Relays an upstream's refusal of an upgrade to the client, head and body, with back-pressure. The connection ends after
 * it: softly through `close` when the answer came whole, hard when it was cut.
 */
export function relayRefusal(
  answer: IncomingMessage,
  fields: readonly string[],
  client: Socket,
  close: () => void,
): void {
  const framing = framingOf(answer);
  const lines = [`HTTP/1.1 ${answer.statusCode} ${answer.statusMessage ?? ""}`];
  for (let i = 0; i < fields.length; i += 2) lines.push(`${fields[i]}: ${fields[i + 1]}`);
  if (framing === "chunked") lines.push("transfer-encoding: chunked");
  lines.push("connection: close", "", "");
  client.write(lines.join("\r\n"), "latin1");
  answer.on("data", (chunk: Buffer) => {
    const bytes = framing === "chunked" ? chunkOf(chunk) : chunk;
    if (client.write(bytes)) return;
    answer.pause();
    client.once("drain", () => answer.resume());
  });
  answer.on("end", () => {
    if (framing === "chunked") client.write("0\r\n\r\n");
    close();
  });
  answer.on("error", () => client.destroy());
  client.once("close", () => answer.destroy());
}

function framingOf(answer: IncomingMessage): "length" | "chunked" | "none" {
  const status = answer.statusCode ?? 0;
  if (status === 204 || status === 304) return "none";
  return answer.headers["content-length"] === undefined ? "chunked" : "length";
}

function chunkOf(bytes: Buffer): Buffer {
  return Buffer.concat([Buffer.from(chunkSizeLine(bytes.length), "latin1"), bytes, Buffer.from("\r\n", "latin1")]);
}
