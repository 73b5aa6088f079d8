import net from "node:net";
import { upgradeText } from "../../test/support/ws-peer.ts";
import type { Dice } from "./dice.ts";
import type { Ledger } from "./ledger.ts";
import { contentOf } from "./request.ts";

/** Clients that open a WebSocket, hear their own words and close, again and again. */
export interface Tunnels {
  /** Tunnels that were opened. */
  opened(): number;
  stop(): Promise<void>;
}

/** Who ends a tunnel, and how; `idle`: the sidecar, because nobody says anything. */
const ENDS = ["client-fin", "client-rst", "upstream-fin", "upstream-rst", "idle"] as const;
/** Longest life of a tunnel, in ms. */
const PATIENCE_MS = 20_000;
const MOST_BYTES = 30_000;

/** Starts `atOnce` of them. */
export function startTunnels(port: number, atOnce: number, dice: Dice, ledger: Ledger): Tunnels {
  let running = 0;
  let opened = 0;
  let stopping: (() => void) | null = null;
  const again = (): void => {
    if (stopping !== null) {
      if (running === 0) stopping();
      return;
    }
    running++;
    new Tunnel(port, dice, ledger, (wasOpen) => {
      running--;
      if (wasOpen) opened++;
      setTimeout(again, dice.below(200));
    });
  };
  for (let i = 0; i < atOnce; i++) again();
  return {
    opened: () => opened,
    stop: () =>
      new Promise((resolve) => {
        stopping = resolve;
      }),
  };
}

class Tunnel {
  readonly #end: (typeof ENDS)[number];
  readonly #words: Buffer;
  readonly #id: string;
  readonly #ledger: Ledger;
  readonly #socket: net.Socket;
  #head: string | null = "";
  #heard = 0;
  #alarm: NodeJS.Timeout;

  constructor(port: number, dice: Dice, ledger: Ledger, over: (wasOpen: boolean) => void) {
    this.#end = dice.pick(ENDS);
    this.#id = ledger.newId("r");
    this.#words = contentOf(this.#id, dice.between(1, MOST_BYTES));
    this.#ledger = ledger;
    this.#socket = net.connect({ port, host: "127.0.0.1", noDelay: true });
    this.#alarm = setTimeout(() => this.#tooLate(), PATIENCE_MS);
    const socket = this.#socket;
    socket.on("data", (bytes: Buffer) => this.#onData(bytes));
    socket.on("error", () => socket.destroy());
    socket.on("close", () => {
      clearTimeout(this.#alarm);
      if (this.#head !== null) ledger.violation(`no WebSocket for ${this.#id}: ${JSON.stringify(this.#head)}`);
      over(this.#head === null);
    });
    socket.write(upgradeText(`/ws/${this.#id}?x=1&end=${this.#end}&ms=${dice.between(50, 1_500)}`));
  }

  #onData(bytes: Buffer): void {
    if (this.#head === null) {
      this.#hear(bytes);
      return;
    }
    this.#head += bytes.toString("latin1");
    const end = this.#head.indexOf("\r\n\r\n");
    if (end === -1 || !this.#head.startsWith("HTTP/1.1 101 ")) return;
    const rest = Buffer.from(this.#head.slice(end + 4), "latin1");
    this.#head = null;
    this.#socket.write(this.#words);
    if (rest.length > 0) this.#hear(rest);
  }

  #hear(bytes: Buffer): void {
    const meant = this.#words.subarray(this.#heard, this.#heard + bytes.length);
    if (!bytes.equals(meant)) this.#ledger.violation(`the tunnel of ${this.#id} brought other bytes than its own`);
    this.#heard += bytes.length;
    if (this.#heard < this.#words.length) return;
    if (this.#end === "client-fin") this.#socket.end();
    if (this.#end === "client-rst") this.#socket.resetAndDestroy();
  }

  #tooLate(): void {
    this.#ledger.violation(`the tunnel of ${this.#id} (${this.#end}) still stands after ${PATIENCE_MS} ms`);
    this.#socket.destroy();
  }
}
