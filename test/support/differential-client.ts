import net from "node:net";
import { MessageReader } from "./message-reader.ts";
import { isInterim, returnedFrom, type Returned } from "./outcome.ts";
import { changed, until } from "./until.ts";

/** A client of one sidecar that writes what it is told, and reads answers to requests of known methods. */
export class DifferentialClient {
  readonly reader: MessageReader;
  ended = false;
  readonly #socket: net.Socket;

  /** `methods`: of the requests in their order, which decide whether an answer has a body. */
  private constructor(socket: net.Socket, methods: readonly string[]) {
    this.#socket = socket;
    let answered = 0;
    this.reader = new MessageReader("response", {
      rule: (startLine) => {
        const status = Number(startLine.slice(9, 12));
        if (status === 101) return "tunnel";
        if (status < 200) return "interim";
        const method = methods[answered++] ?? "GET";
        return method === "HEAD" || status === 204 || status === 304 ? "none" : "by-headers";
      },
    });
    const end = (): void => {
      if (!this.ended) this.reader.finish();
      this.ended = true;
      changed();
    };
    socket.on("data", (chunk: Buffer) => this.reader.push(chunk));
    socket.on("end", end);
    socket.on("close", end);
    socket.on("error", () => {
      // Not the end that completes a message.
      this.ended = true;
      changed();
    });
  }

  static async connect(port: number, methods: readonly string[]): Promise<DifferentialClient> {
    const socket = net.connect({ port, host: "127.0.0.1", allowHalfOpen: true, noDelay: true });
    const client = new DifferentialClient(socket, methods);
    let connected = false;
    socket.once("connect", () => {
      connected = true;
      changed();
    });
    await until(() => connected, "the connection to the sidecar");
    return client;
  }

  /** Writes latin1 text and waits until the kernel has it, unless the sidecar has ended the connection. */
  async send(text: string): Promise<void> {
    if (this.ended) return;
    await new Promise<void>((resolve) => {
      this.#socket.write(Buffer.from(text, "latin1"), () => resolve());
    });
  }

  /** Final answers that are whole. */
  get answers(): number {
    return this.reader.messages.filter((message) => message.complete && !isInterim(message)).length;
  }

  /** Bytes read so far: grows with whatever the sidecar says. */
  get bytes(): number {
    return this.#socket.bytesRead;
  }

  /** The final answers so far, for comparison. */
  returned(sent: string): Returned[] {
    const out: Returned[] = [];
    let from = 0;
    for (const [i, message] of this.reader.messages.entries()) {
      if (isInterim(message)) continue;
      out.push(returnedFrom(message, this.reader.messages.slice(from, i), sent));
      from = i + 1;
    }
    return out;
  }

  destroy(): void {
    this.#socket.destroy();
  }
}
