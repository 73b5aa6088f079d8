import net from "node:net";
import type { Dice } from "./dice.ts";
import type { Ledger } from "./ledger.ts";
import { headText } from "./request.ts";

/** How many of each kind of slow client there are at any time. */
export interface SlowPlan {
  readonly port: number;
  readonly route: string;
  /** A byte of a head per second. */
  readonly heads: number;
  /** A byte of a body per second. */
  readonly senders: number;
  /** They ask for much and read nothing. */
  readonly readers: number;
  /** When the sidecar must have ended them, in ms. */
  readonly patienceMs: number;
}

/** Slow clients: whoever is ended comes again. */
export interface SlowClients {
  /** Clients that hold a connection now. */
  open(): number;
  /** The most that ever did at once. */
  most(): number;
  /** Clients that the sidecar has ended, by kind. */
  readonly ended: ReadonlyMap<Kind, number>;
  /** They leave by themselves. */
  stop(): Promise<void>;
}

type Kind = "head" | "sender" | "reader";

/** More than the kernel's buffers on both sides ever hold. */
const ANSWER_BYTES = 8 << 20;
/** How many begin in one tick, and how long a tick is: they must not come all at once. */
const BEGIN_PER_TICK = 50;
const TICK_MS = 100;

/** Starts them; it takes a few seconds until all are there. */
export function startSlowClients(plan: SlowPlan, dice: Dice, ledger: Ledger): SlowClients {
  return new Crowd(plan, dice, ledger);
}

class Crowd implements SlowClients {
  readonly ended = new Map<Kind, number>();
  readonly #plan: SlowPlan;
  readonly #dice: Dice;
  readonly #ledger: Ledger;
  readonly #open = new Set<SlowClient>();
  readonly #due: Kind[];
  readonly #timer: NodeJS.Timeout;
  #ticks = 0;
  #most = 0;
  #stopping: (() => void) | null = null;

  constructor(plan: SlowPlan, dice: Dice, ledger: Ledger) {
    this.#plan = plan;
    this.#dice = dice;
    this.#ledger = ledger;
    const { heads, senders, readers } = plan;
    const all = heads + senders + readers;
    this.#due = Array.from({ length: all }, (_, i) => (i < heads ? "head" : i < heads + senders ? "sender" : "reader"));
    this.#timer = setInterval(() => this.#tick(), TICK_MS);
  }

  open(): number {
    return this.#open.size;
  }

  most(): number {
    return this.#most;
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await new Promise<void>((resolve) => {
      this.#stopping = resolve;
      for (const client of this.#open) client.socket.destroy();
      if (this.#open.size === 0) resolve();
    });
  }

  #tick(): void {
    for (let i = 0; i < BEGIN_PER_TICK && this.#due.length > 0; i++) {
      const [kind = "head"] = this.#due.splice(this.#dice.below(this.#due.length), 1);
      this.#begin(kind);
    }
    this.#ticks++;
    const now = performance.now();
    for (const client of this.#open) {
      if (client.turn === this.#ticks % 10) client.drip();
      if (now - client.beganMs > this.#plan.patienceMs) this.#tooLate(client);
    }
  }

  #begin(kind: Kind): void {
    const id = this.#ledger.newId("r");
    const client = new SlowClient(kind, this.#plan, id, this.#ticks % 10);
    this.#open.add(client);
    this.#most = Math.max(this.#most, this.#open.size);
    client.socket.on("close", () => {
      this.#open.delete(client);
      if (this.#stopping !== null) {
        if (this.#open.size === 0) this.#stopping();
        return;
      }
      if (client.gotAll) this.#ledger.violation(`a slow ${kind} got a whole answer of ${ANSWER_BYTES} bytes`);
      this.ended.set(kind, (this.ended.get(kind) ?? 0) + 1);
      this.#due.push(kind);
    });
  }

  #tooLate(client: SlowClient): void {
    this.#ledger.violation(`a slow ${client.kind} was not ended in ${this.#plan.patienceMs} ms`);
    client.socket.destroy();
  }
}

/** One of them. */
class SlowClient {
  readonly kind: Kind;
  readonly socket: net.Socket;
  readonly beganMs = performance.now();
  /** In which of ten ticks it says its byte. */
  readonly turn: number;
  #bytes = 0;

  constructor(kind: Kind, plan: SlowPlan, id: string, turn: number) {
    this.kind = kind;
    this.turn = turn;
    this.socket = net.connect({ port: plan.port, host: "127.0.0.1" });
    this.socket.on("error", () => {});
    this.socket.on("data", (bytes: Buffer) => {
      this.#bytes += bytes.length;
    });
    this.socket.write(firstBytes(kind, plan.route, id));
    if (kind !== "reader") return;
    this.socket.pause();
    // Who does not read does not hear of the end either: it looks up when it must be over.
    const looksUp = setTimeout(() => this.socket.resume(), plan.patienceMs * 0.75);
    this.socket.on("close", () => clearTimeout(looksUp));
  }

  get gotAll(): boolean {
    return this.kind === "reader" && this.#bytes > ANSWER_BYTES;
  }

  drip(): void {
    if (this.kind !== "reader" && this.socket.writable) this.socket.write("a");
  }
}

function firstBytes(kind: Kind, route: string, id: string): string {
  const usual = { id, route, deed: "plain", bodyFraming: "length", absoluteForm: false } as const;
  if (kind === "reader") return headText({ ...usual, method: "GET", bodyBytes: 0, answerBytes: ANSWER_BYTES });
  if (kind === "sender") return headText({ ...usual, method: "POST", bodyBytes: 100_000, answerBytes: 10 });
  return `GET /${route}/${id} HTTP/1.1\r\nHost: a.test\r\nX-Slow: `;
}
