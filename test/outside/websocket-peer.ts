import { WebSocket, WebSocketServer, type RawData } from "ws";
import type { Scope } from "../support/scope.ts";
import { changed, until } from "../support/until.ts";

/** What a calling peer does: messages of these sizes, and connections that end with these codes, each way. */
export interface PeerPlan {
  /** Bytes. */
  readonly sizes: readonly number[];
  /** 1006 stands for a connection that is cut without a close frame. */
  readonly closes: readonly Close[];
}

/** Code and reason of a closed connection, as one side saw it. */
export type Close = readonly [code: number, reason: string];

/** What a calling peer saw. */
export interface PeerReport {
  readonly subprotocol: string;
  /** Sizes whose text and binary message came back whole. */
  readonly echoed: readonly number[];
  readonly ourFragments: string;
  readonly theirFragments: string;
  readonly theirPong: boolean;
  readonly ourPong: string;
  readonly closedByThem: readonly Close[];
}

/** A peer that is called. */
export interface ServingPeer {
  readonly port: number;
  /** How its connections ended, in order. */
  readonly closes: () => readonly Close[];
}

const PROTOCOL = "chat.v2";

/**
 * A `ws` server that echoes. Text messages with `!` are orders: `!fragments` (send one message in four fragments),
 * `!ping` (ping, and say so when the pong is here), `!close CODE REASON`, `!terminate` (cut the connection).
 */
export async function serveWs(scope: Scope): Promise<ServingPeer> {
  const closes: Close[] = [];
  const server = new WebSocketServer({
    port: 0,
    host: "127.0.0.1",
    perMessageDeflate: true,
    handleProtocols: (offered) => offered.has(PROTOCOL) && PROTOCOL,
  });
  server.on("connection", (socket) => {
    socket.on("error", () => {});
    socket.on("message", (data, isBinary) => answer(socket, data, isBinary));
    socket.on("close", (code, reason) => {
      closes.push([code, reason.toString()]);
      changed();
    });
  });
  scope.after(() => {
    for (const socket of server.clients) socket.terminate();
    server.close();
  });
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("peer is not listening");
  return { port: address.port, closes: () => closes };
}

/** Calls a peer with the `ws` client and does what the plan says. */
export async function callWs(url: string, plan: PeerPlan): Promise<PeerReport> {
  const talk = await Talk.open(url);
  const echoed: number[] = [];
  for (const size of plan.sizes) if (await echoes(talk, size)) echoed.push(size);
  sendFragments(talk.socket, ["un ", "", "deux ", "trois"]);
  const ourFragments = String(await talk.next());
  const theirFragments = String(await talk.ask("!fragments"));
  const pong = once(talk.socket, "pong");
  talk.socket.ping("are you there");
  const theirPong = String(await pong) === "are you there";
  const ourPong = String(await talk.ask("!ping"));
  const subprotocol = talk.socket.protocol;
  await talk.close(1000, "");
  const closedByThem: Close[] = [];
  for (const close of plan.closes) closedByThem.push(await closeByThem(url, close));
  for (const close of plan.closes) await closeByUs(url, close);
  return { subprotocol, echoed, ourFragments, theirFragments, theirPong, ourPong, closedByThem };
}

function answer(socket: WebSocket, data: RawData, isBinary: boolean): void {
  const text = isBinary ? "" : bytesOf(data).toString("utf8");
  const order = /^!close (\d+) (.*)$/.exec(text);
  if (order !== null) return socket.close(Number(order[1]), order[2]);
  if (text === "!terminate") return socket.terminate();
  if (text === "!fragments") return sendFragments(socket, ["one ", "", "two ", "three"]);
  if (text === "!ping") {
    socket.once("pong", (payload) => socket.send(payload.toString() === "are you there" ? "pong came" : "wrong pong"));
    return socket.ping("are you there");
  }
  socket.send(data, { binary: isBinary });
}

function sendFragments(socket: WebSocket, parts: readonly string[]): void {
  for (const [index, part] of parts.entries()) socket.send(part, { fin: index === parts.length - 1 });
}

async function echoes(talk: Talk, size: number): Promise<boolean> {
  const text = "x".repeat(size);
  const data = Buffer.from(Array.from({ length: size }, (_, index) => index % 251));
  const textBack = await talk.ask(text);
  const dataBack = await talk.ask(data);
  return textBack === text && Buffer.isBuffer(dataBack) && dataBack.equals(data);
}

async function closeByThem(url: string, [code, reason]: Close): Promise<Close> {
  const talk = await Talk.open(url);
  talk.socket.send(code === 1006 ? "!terminate" : `!close ${code} ${reason}`);
  return talk.closed();
}

async function closeByUs(url: string, [code, reason]: Close): Promise<void> {
  const talk = await Talk.open(url);
  await talk.ask("hello");
  if (code === 1006) talk.socket.terminate();
  else await talk.close(code, reason);
}

/** A client connection whose messages are read one by one: a string for text, a buffer for binary. */
class Talk {
  readonly socket: WebSocket;
  readonly #messages: (string | Buffer)[] = [];
  #close: Close | null = null;

  private constructor(socket: WebSocket) {
    this.socket = socket;
    socket.on("error", () => {});
    socket.on("message", (data, isBinary) => {
      this.#messages.push(isBinary ? bytesOf(data) : bytesOf(data).toString("utf8"));
      changed();
    });
    socket.on("close", (code, reason) => {
      this.#close = [code, reason.toString()];
      changed();
    });
  }

  static async open(url: string): Promise<Talk> {
    const talk = new Talk(new WebSocket(url, ["chat.v1", PROTOCOL]));
    await once(talk.socket, "open");
    return talk;
  }

  async ask(message: string | Buffer): Promise<string | Buffer> {
    this.socket.send(message);
    return this.next();
  }

  async next(): Promise<string | Buffer> {
    const found = await until(
      () => (this.#messages.length > 0 ? { message: this.#messages.shift() } : null),
      "a message",
    );
    return found.message ?? "";
  }

  closed(): Promise<Close> {
    return until(() => this.#close, "the connection to close");
  }

  async close(code: number, reason: string): Promise<void> {
    this.socket.close(code, reason);
    await this.closed();
  }
}

function bytesOf(data: RawData): Buffer {
  if (Array.isArray(data)) return Buffer.concat(data);
  return Buffer.isBuffer(data) ? data : Buffer.from(data);
}

function once(emitter: NodeJS.EventEmitter, event: string): Promise<unknown> {
  const { promise, resolve, reject } = Promise.withResolvers<unknown>();
  emitter.once(event, resolve);
  emitter.once("error", reject);
  return promise;
}
