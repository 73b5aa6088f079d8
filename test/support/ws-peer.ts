import { WebSocket, type ClientOptions } from "ws";
import type { Scope } from "./scope.ts";
import { changed, until } from "./until.ts";

/** A valid key: 16 bytes in base64. */
export const WEBSOCKET_KEY = "dGhlIHNhbXBsZSBub25jZQ==";

/** The text of a request for a WebSocket, as a browser would send it; `fields` are added. */
export function upgradeText(target: string, fields: readonly string[] = []): string {
  const lines = [
    `GET ${target} HTTP/1.1`,
    "Host: a.test",
    "Connection: Upgrade",
    "Upgrade: websocket",
    `Sec-WebSocket-Key: ${WEBSOCKET_KEY}`,
    "Sec-WebSocket-Version: 13",
    ...fields,
  ];
  return `${lines.join("\r\n")}\r\n\r\n`;
}

/** The text of an answer that switches to WebSocket; `fields` are added. */
export function switchingText(fields: readonly string[] = []): string {
  const lines = [
    "HTTP/1.1 101 Switching Protocols",
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
    ...fields,
  ];
  return `${lines.join("\r\n")}\r\n\r\n`;
}

/** A WebSocket to an upstream that echoes. */
export interface EchoSocket {
  readonly socket: WebSocket;
  /** Messages that came back. */
  readonly echoed: number;
  /** How it closed, as code and reason; null while it is open. */
  readonly closed: string | null;
  /** Sends a message and waits for its echo. */
  echo(message: string): Promise<void>;
}

/** Opens a WebSocket that is cut when the scope ends. */
export async function openEchoSocket(scope: Scope, url: string, options: ClientOptions = {}): Promise<EchoSocket> {
  const socket = new WebSocket(url, options);
  const peer = new Peer(socket);
  scope.after(() => socket.terminate());
  await until(() => socket.readyState === WebSocket.OPEN || peer.closed !== null, `a WebSocket to ${url}`);
  if (peer.closed !== null) throw new Error(`no WebSocket to ${url}: ${peer.closed}`);
  return peer;
}

class Peer implements EchoSocket {
  readonly socket: WebSocket;
  echoed = 0;
  closed: string | null = null;
  readonly #came = new Set<string>();

  constructor(socket: WebSocket) {
    this.socket = socket;
    socket.on("message", (data) => {
      this.echoed++;
      this.#came.add((data as Buffer).toString("utf8"));
      changed();
    });
    socket.on("error", (error) => this.#ended(error.message));
    socket.on("close", (code, reason) => this.#ended(`${code} ${reason.toString("utf8")}`));
  }

  async echo(message: string): Promise<void> {
    this.socket.send(message);
    await until(() => this.#came.delete(message) || this.closed !== null, `the echo of ${message}`);
    if (this.closed !== null) throw new Error(`the WebSocket closed: ${this.closed}`);
  }

  #ended(how: string): void {
    this.closed ??= how;
    changed();
  }
}
