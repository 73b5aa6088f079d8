import net from "node:net";
import { bodyOf, header, MessageReader, type HttpMessage } from "./message-reader.ts";
import type { Scope } from "./scope.ts";
import { changed, until } from "./until.ts";

/** One answer as the client saw it. */
export interface Answer {
  readonly status: number;
  readonly reason: string;
  readonly minorVersion: number;
  readonly rawHeaders: readonly string[];
  readonly body: Buffer;
  /** The body as latin1 text. */
  readonly text: string;
  readonly trailers: readonly string[];
  readonly framing: HttpMessage["framing"];
  /** False when the connection ended inside the message, so that the client knows that it is truncated. */
  readonly complete: boolean;
  /** Interim answers (1xx) that came before it. */
  readonly interim: readonly Answer[];
}

/** Opens a raw connection to the sidecar; it is destroyed when the scope ends. */
export async function connectRaw(scope: Scope, port: number): Promise<RawClient> {
  const socket = net.connect({ port, host: "127.0.0.1", allowHalfOpen: true, noDelay: true });
  scope.after(() => {
    socket.destroy();
  });
  const client = new RawClient(socket);
  await until(() => client.connected, "the connection to be accepted");
  return client;
}

/** Sends one request text on a connection of its own and gives the final answer. */
export async function exchangeOnce(scope: Scope, port: number, text: string): Promise<Answer> {
  const client = await connectRaw(scope, port);
  return client.exchange(text);
}

/** Request text from parts; adds `Host: a.test`, and `Content-Length` when there is a body. */
export function requestText(method: string, target: string, fields: readonly string[] = [], body: string = ""): string {
  const lines = [`${method} ${target} HTTP/1.1`, "Host: a.test", ...fields];
  if (body !== "") lines.push(`Content-Length: ${Buffer.byteLength(body, "latin1")}`);
  return `${lines.join("\r\n")}\r\n\r\n${body}`;
}

/** A client that says exactly the bytes it is told to and keeps all that it hears. */
export class RawClient {
  readonly socket: net.Socket;
  readonly reader: MessageReader;
  /** How the sidecar ended its side. */
  state: "open" | "fin" | "reset" = "open";
  connected = false;
  #received: Buffer[] = [];
  #methods: string[] = [];
  #taken = 0;

  constructor(socket: net.Socket) {
    this.socket = socket;
    this.reader = new MessageReader("response", { rule: (startLine) => this.#ruleFor(startLine) });
    socket.on("connect", () => {
      this.connected = true;
      changed();
    });
    socket.on("data", (chunk: Buffer) => {
      this.#received.push(chunk);
      this.reader.push(chunk);
    });
    socket.on("end", () => this.#ended("fin"));
    socket.on("error", () => this.#ended("reset"));
    socket.on("close", () => this.#ended("fin"));
  }

  /** Every byte received so far. */
  bytes(): Buffer {
    return Buffer.concat(this.#received);
  }

  /** Every byte received so far, latin1. */
  text(): string {
    return this.bytes().toString("latin1");
  }

  /** Writes bytes; a string is latin1. */
  send(data: string | Buffer): void {
    this.socket.write(typeof data === "string" ? Buffer.from(data, "latin1") : data);
  }

  /** Writes bytes and waits until the kernel has them, so that they make a packet of their own. */
  async flush(data: string): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.socket.write(Buffer.from(data, "latin1"), () => resolve());
    await promise;
  }

  /** Writes one byte per packet, as far as the kernel keeps them apart. */
  async sendByteByByte(data: string): Promise<void> {
    for (const byte of data) await this.flush(byte);
  }

  /** Sends a request and notes its method, which decides whether its answer has a body. */
  request(text: string): void {
    this.#methods.push(text.slice(0, text.indexOf(" ")));
    this.send(text);
  }

  /** Sends a request and waits for its final answer. */
  async exchange(text: string, deadlineMs?: number): Promise<Answer> {
    this.request(text);
    return this.answer(deadlineMs);
  }

  /** Waits for the next final answer to be complete, or for the connection to end inside it. */
  async answer(deadlineMs?: number): Promise<Answer> {
    const index = await this.#final(
      (message) => message.complete || this.state !== "open",
      "a whole answer",
      deadlineMs,
    );
    return this.#take(index);
  }

  /** Waits for the head of the next final answer; `answer()` gives the same one later. */
  async head(deadlineMs?: number): Promise<Answer> {
    const index = await this.#final(() => true, "the head of an answer", deadlineMs);
    return this.#answerAt(index);
  }

  /** Waits for the next interim answer after the `count` first ones that belong to the current exchange. */
  async interim(count: number = 0): Promise<Answer> {
    const nth = (): HttpMessage | undefined => this.reader.messages.slice(this.#taken).filter(isInterim)[count];
    return answerFrom(await until(nth, "an interim answer", { detail: () => this.#detail() }), []);
  }

  /** Waits until the client has at least this many bytes of body of the current answer. */
  async bodyBytes(count: number): Promise<Buffer> {
    const body = (): Buffer | null => {
      const index = this.reader.messages.findIndex((message, at) => at >= this.#taken && !isInterim(message));
      const message = this.reader.messages[index];
      const bytes = message === undefined ? null : bodyOf(message);
      return bytes !== null && bytes.length >= count ? bytes : null;
    };
    return until(body, `${count} bytes of body`, { detail: () => this.#detail() });
  }

  /** Waits for the sidecar to end the connection. */
  async closed(deadlineMs?: number): Promise<"fin" | "reset"> {
    const ended = (): "fin" | "reset" | null => (this.state === "open" ? null : this.state);
    return until(ended, "the connection to end", this.#options(deadlineMs));
  }

  /** Final answers received whole or in part, whether taken or not. */
  finalCount(): number {
    return this.reader.messages.filter((message) => !isInterim(message)).length;
  }

  /** FIN: no more bytes from us, but we still listen. */
  halfClose(): void {
    this.socket.end();
  }

  /** RST. */
  reset(): void {
    this.socket.resetAndDestroy();
  }

  destroy(): void {
    this.socket.destroy();
  }

  #ruleFor(startLine: string): "none" | "interim" | "tunnel" | "by-headers" {
    const status = Number(startLine.slice(9, 12));
    if (status === 101) return "tunnel";
    if (status < 200) return "interim";
    const method = this.#methods.shift() ?? "GET";
    return method === "HEAD" || status === 204 || status === 304 ? "none" : "by-headers";
  }

  async #final(ready: (message: HttpMessage) => boolean, what: string, deadlineMs?: number): Promise<number> {
    const find = (): number | null => {
      const index = this.reader.messages.findIndex((message, at) => at >= this.#taken && !isInterim(message));
      const message = this.reader.messages[index];
      if (message !== undefined) return ready(message) ? index : null;
      if (this.reader.malformed !== null) throw new Error(`malformed: ${this.reader.malformed}\n${this.#detail()}`);
      if (this.state !== "open") throw new Error(`connection ended (${this.state}) without ${what}\n${this.#detail()}`);
      return null;
    };
    return until(find, what, this.#options(deadlineMs));
  }

  #take(index: number): Answer {
    const answer = this.#answerAt(index);
    this.#taken = index + 1;
    return answer;
  }

  #answerAt(index: number): Answer {
    const message = this.reader.messages[index];
    if (message === undefined) throw new Error(`no message ${index}`);
    const interim = this.reader.messages.slice(this.#taken, index).map((one) => answerFrom(one, []));
    return answerFrom(message, interim);
  }

  #options(deadlineMs: number | undefined): { readonly deadlineMs?: number; readonly detail: () => string } {
    const detail = (): string => this.#detail();
    return deadlineMs === undefined ? { detail } : { deadlineMs, detail };
  }

  #detail(): string {
    return `client (${this.state}) has received ${JSON.stringify(this.text().slice(0, 2_000))}`;
  }

  #ended(how: "fin" | "reset"): void {
    if (this.state === "open") {
      this.state = how;
      if (how === "fin") this.reader.finish();
    }
    changed();
  }
}

function isInterim(message: HttpMessage): boolean {
  return /^HTTP\/1\.\d 1(?!01)/.test(message.startLine);
}

function answerFrom(message: HttpMessage, interim: readonly Answer[]): Answer {
  const body = bodyOf(message);
  return {
    status: Number(message.startLine.slice(9, 12)),
    reason: message.startLine.slice(13),
    minorVersion: Number(message.startLine.slice(7, 8)),
    rawHeaders: message.rawHeaders,
    body,
    text: body.toString("latin1"),
    trailers: message.trailers,
    framing: message.framing,
    complete: message.complete,
    interim,
  };
}

/** True when the answer keeps its connection open, as far as its header says. */
export function keepsConnection(answer: Answer): boolean {
  return (header(answer, "connection") ?? "").toLowerCase() !== "close";
}
