import type { Socket } from "node:net";

/**
 * Writes a piece of a body with the latin1 text around it, in one packet and without a copy; false = the stream holds more
 * than its limit.
 */
export function writePieces(socket: Socket, before: string, chunk: Buffer, after: string): boolean {
  if (before === "" && after === "") return socket.write(chunk);
  socket.cork();
  if (before !== "") socket.write(before, "latin1");
  let flowing = socket.write(chunk);
  if (after !== "") flowing = socket.write(after, "latin1");
  socket.uncork();
  return flowing;
}
