import { createHash } from "node:crypto";
import net from "node:net";
import { bodyOf, header, MessageReader, type HttpMessage } from "../../test/support/message-reader.ts";
import { perform, type Line } from "./performance.ts";
import { contentOf, orderFrom } from "./request.ts";
import type { Ledger } from "./ledger.ts";

/** A scripted upstream that listens. */
export interface ScriptedUpstream {
  readonly name: string;
  readonly url: string;
  /** Requests that it has read to their end. */
  requests(): number;
  close(): Promise<void>;
}

/** Starts an upstream on a free loopback port that does with each request what its target says. */
export async function startUpstream(name: string, ledger: Ledger, mayBeShared: boolean): Promise<ScriptedUpstream> {
  const sockets = new Set<net.Socket>();
  let requests = 0;
  const server = net.createServer({ noDelay: true }, (socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    // Whatever breaks here was broken on purpose, by us or by a client.
    socket.on("error", () => socket.destroy());
    new Server(socket, name, ledger, mayBeShared, () => requests++).listen();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", 1024, resolve));
  const { port } = server.address() as net.AddressInfo;
  return {
    name,
    url: `http://127.0.0.1:${port}`,
    requests: () => requests,
    close: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** One connection: requests are answered one after the other, however many have come. */
class Server implements Line {
  readonly socket: net.Socket;
  readonly isShared: boolean;
  readonly #name: string;
  readonly #ledger: Ledger;
  readonly #count: () => void;
  readonly #reader: MessageReader;
  readonly #queue: HttpMessage[] = [];
  #answering = false;
  #begun = 0;
  #answered = 0;
  /** Answered before its body was there. */
  #early: HttpMessage | null = null;

  constructor(socket: net.Socket, name: string, ledger: Ledger, isShared: boolean, count: () => void) {
    this.socket = socket;
    this.isShared = isShared;
    this.#name = name;
    this.#ledger = ledger;
    this.#count = count;
    this.#reader = new MessageReader("request", {
      rule: (line) => (line.startsWith("GET /ws/") ? "tunnel" : "by-headers"),
      head: (message) => this.#onHead(message),
      complete: (message) => this.#onComplete(message),
    });
  }

  listen(): void {
    this.socket.on("data", (bytes: Buffer) => this.#onData(bytes));
  }

  answered(): number {
    return this.#answered;
  }

  begun(): number {
    return this.#begun;
  }

  #onData(bytes: Buffer): void {
    const { malformed, tunnel } = this.#reader;
    if (malformed !== null) return;
    if (tunnel) this.socket.write(bytes);
    else this.#reader.push(bytes);
    if (this.#reader.malformed !== null) {
      this.#ledger.violation(`${this.#name} got malformed bytes: ${this.#reader.malformed}`);
      this.socket.destroy();
    }
  }

  #onHead(message: HttpMessage): void {
    this.#begun++;
    const [method = "", target = ""] = message.startLine.split(" ");
    if (target.startsWith("/ws/")) {
      this.#switch(message);
      return;
    }
    const order = orderFrom(target);
    if (order === null) {
      this.#ledger.violation(`${this.#name} got an unknown target: ${message.startLine.slice(0, 200)}`);
      this.socket.destroy();
      return;
    }
    if (header(message, "x-id") !== order.id) this.#ledger.violation(`${order.id} came with the head of another`);
    this.#ledger.arrived(order.id, method);
    if (!order.deed.startsWith("early") || this.#answering || this.#queue.length > 0) return;
    this.#early = message;
    this.#answer(message);
  }

  #onComplete(message: HttpMessage): void {
    this.#count();
    this.#reader.messages.length = 0;
    const [, target = ""] = message.startLine.split(" ");
    const order = orderFrom(target);
    if (order === null) return;
    const body = bodyOf(message);
    if (!body.equals(contentOf(order.id, order.bodyBytes))) {
      this.#ledger.violation(`${order.id} arrived with a wrong body: ${body.length} of ${order.bodyBytes} bytes`);
    }
    if (message === this.#early) return;
    this.#queue.push(message);
    if (!this.#answering) this.#next();
  }

  #next(): void {
    const message = this.#queue.shift();
    if (message !== undefined && !this.socket.destroyed) this.#answer(message);
  }

  #answer(message: HttpMessage): void {
    const [method = "", target = ""] = message.startLine.split(" ");
    const order = orderFrom(target);
    if (order === null) return;
    this.#answering = true;
    this.#answered++;
    perform(order, method, this, () => {
      this.#answering = false;
      this.#next();
    });
  }

  /** Agrees to the upgrade; from here on it echoes. */
  #switch(message: HttpMessage): void {
    const key = header(message, "sec-websocket-key") ?? "";
    const accept = createHash("sha1").update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64");
    const lines = ["HTTP/1.1 101 Switching Protocols", "Connection: Upgrade", "Upgrade: websocket"];
    this.socket.write(`${[...lines, `Sec-WebSocket-Accept: ${accept}`].join("\r\n")}\r\n\r\n`);
    const afterMs = /&end=upstream-(?:fin|rst)&ms=(\d+)/.exec(message.startLine);
    if (afterMs === null) return;
    const reset = message.startLine.includes("end=upstream-rst");
    const timer = setTimeout(() => (reset ? this.socket.resetAndDestroy() : this.socket.end()), Number(afterMs[1]));
    this.socket.on("close", () => clearTimeout(timer));
  }
}
