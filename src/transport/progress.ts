import type { Socket } from "node:net";

/** A body or a reader slower than this, in bytes per second over a whole idle window, is cut off. */
const MIN_RATE_BYTES_PER_S = 16;

/** How many bytes a client connection has moved, in either direction, since the last look. */
export class Progress {
  readonly #socket: Socket;
  #mark = 0;

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  /** Counts from here. */
  restart(): void {
    this.#mark = this.#bytesMoved();
  }

  /** Fewer bytes than the least rate would have moved in `windowMs`. */
  isTooSlow(windowMs: number): boolean {
    return this.#bytesMoved() - this.#mark < (MIN_RATE_BYTES_PER_S * windowMs) / 1_000;
  }

  #bytesMoved(): number {
    const socket = this.#socket;
    return socket.bytesRead + socket.bytesWritten - socket.writableLength;
  }
}
