import type { Socket } from "node:net";

/** Whether a socket is being read. */
export class ReadGate {
  readonly #socket: Socket;
  #isOpen = true;

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  stop(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#socket.pause();
  }

  start(): void {
    if (this.#isOpen) return;
    this.#isOpen = true;
    this.#socket.resume();
  }
}
