import net from "node:net";
import { MessageReader, type HttpMessage } from "../../test/support/message-reader.ts";
import type { Dice } from "./dice.ts";
import type { Ledger } from "./ledger.ts";
import { bodyBytesOf, headText, pickAsk, type Ask } from "./request.ts";

/** No answer for this long, in ms, is a violation; every limit of the sidecar is well below. */
const PATIENCE_MS = 20_000;
const MOST_ASKS = 100;

/** A client that waits for its answers and checks each of them. */
export interface Caller {
  /** Asks no more once what is under way is over; resolves then. */
  stop(): Promise<void>;
}

/** What a caller does. */
export interface CallerPlan {
  readonly port: number;
  readonly routes: readonly string[];
  /** Requests that it writes at once, at most. */
  readonly mostAtOnce: number;
  /** Longest pause between its turns, in ms. */
  readonly mostPauseMs: number;
}

/** Starts a caller with a connection that it keeps for up to 100 requests. */
export function startCaller(plan: CallerPlan, dice: Dice, ledger: Ledger): Caller {
  const caller = new KeepAliveCaller(plan, dice, ledger);
  caller.start();
  return caller;
}

class KeepAliveCaller implements Caller {
  readonly #plan: CallerPlan;
  readonly #dice: Dice;
  readonly #ledger: Ledger;
  #socket: net.Socket | null = null;
  #asksLeft = 0;
  /** Written and not over, in order. */
  #asks: Ask[] = [];
  #message: HttpMessage | null = null;
  #reader: MessageReader | null = null;
  #alarm: NodeJS.Timeout | null = null;
  /** What was asked on this connection before, the last of it: for whoever has to explain a failure. */
  #past: string[] = [];
  /** The library engine has this connection since a request that only it takes. */
  #handedOver = false;
  #onStopped: (() => void) | null = null;

  constructor(plan: CallerPlan, dice: Dice, ledger: Ledger) {
    this.#plan = plan;
    this.#dice = dice;
    this.#ledger = ledger;
  }

  start(): void {
    setTimeout(() => this.#turn(), this.#dice.below(this.#plan.mostPauseMs + 1));
  }

  async stop(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#onStopped = resolve;
    });
  }

  #turn(): void {
    if (this.#onStopped !== null) {
      this.#leave();
      this.#onStopped();
      return;
    }
    if (this.#asksLeft <= 0) this.#leave();
    this.#socket ??= this.#connect();
    const count = this.#dice.between(1, this.#plan.mostAtOnce);
    for (let i = 0; i < count; i++) this.#asks.push(this.#newAsk());
    this.#asksLeft -= count;
    this.#reader = this.#newReader();
    this.#alarm = setTimeout(() => this.#tooLate(), PATIENCE_MS);
    this.#write(this.#socket, [...this.#asks]);
  }

  #newAsk(): Ask {
    const ask = pickAsk(this.#dice, this.#ledger.newId("k"), this.#dice.pick(this.#plan.routes));
    this.#ledger.sent(ask);
    return ask;
  }

  #write(socket: net.Socket, asks: readonly Ask[]): void {
    const bytes = Buffer.concat(asks.flatMap((ask) => [Buffer.from(headText(ask)), bodyBytesOf(ask)]));
    const cutAt = this.#dice.below(bytes.length);
    if (bytes.length < 100 || this.#dice.chance(0.7)) {
      socket.write(bytes);
      return;
    }
    // In two pieces, so that heads and chunks come cut at any place.
    socket.write(bytes.subarray(0, cutAt));
    setTimeout(() => socket.destroyed || socket.write(bytes.subarray(cutAt)), this.#dice.below(10));
  }

  #connect(): net.Socket {
    this.#asksLeft = this.#dice.between(1, MOST_ASKS);
    this.#past = ["connect"];
    this.#handedOver = false;
    const socket = net.connect({ port: this.#plan.port, host: "127.0.0.1", noDelay: true });
    socket.on("data", (bytes: Buffer) => this.#onData(socket, bytes));
    socket.on("error", () => this.#onLost(socket));
    socket.on("close", () => this.#onLost(socket));
    return socket;
  }

  #newReader(): MessageReader {
    return new MessageReader("response", {
      rule: (line) => this.#ruleFor(line),
      head: (message) => {
        if (!isInterim(message)) this.#message = message;
      },
      complete: (message) => {
        if (!isInterim(message)) this.#onAnswer(message);
      },
    });
  }

  #ruleFor(startLine: string): "none" | "interim" | "by-headers" {
    if (startLine.startsWith("HTTP/1.1 1")) return "interim";
    return this.#asks[0]?.method === "HEAD" ? "none" : "by-headers";
  }

  #onData(socket: net.Socket, bytes: Buffer): void {
    if (socket !== this.#socket) return;
    if (this.#asks.length === 0 || this.#reader === null) {
      this.#ledger.violation(`a client got bytes it had not asked for: ${sample(bytes)}`);
      this.#leave();
      return;
    }
    this.#reader.push(bytes);
    if (this.#reader === null || this.#reader.malformed === null) return;
    this.#ledger.violation(`malformed answer to ${this.#asks[0]?.id}: ${this.#reader.malformed}`);
    this.#onLost(socket);
  }

  #onAnswer(message: HttpMessage): void {
    const ask = this.#asks.shift();
    this.#message = null;
    if (ask === undefined) {
      this.#ledger.violation(`a client got one answer too many: ${message.startLine}`);
      return;
    }
    this.#ledger.ended(ask, { kind: "answer", message }, this.#past);
    this.#handedOver ||= ask.absoluteForm;
    const lane = this.#handedOver ? "library: " : "native: ";
    this.#past = [...this.#past.slice(-PAST), lane + pastOf(ask, message)];
    const closing = message.rawHeaders.some((text, i) => i % 2 === 1 && text === "close" && isConnection(message, i));
    if (closing) this.#leave();
    if (closing || this.#asks.length === 0) this.#turnOver();
  }

  #onLost(socket: net.Socket): void {
    socket.destroy();
    if (socket !== this.#socket) return;
    this.#socket = null;
    const ask = this.#asks.shift();
    if (ask === undefined) return;
    this.#past.push(`${this.#asks.length} more at once`);
    this.#ledger.ended(ask, { kind: "cut", message: this.#message }, this.#past);
    this.#turnOver();
  }

  #tooLate(): void {
    for (const ask of this.#asks) this.#ledger.violation(`no answer in ${PATIENCE_MS} ms: ${ask.deed} ${ask.id}`);
    this.#leave();
    this.#turnOver();
  }

  #turnOver(): void {
    if (this.#alarm !== null) clearTimeout(this.#alarm);
    for (const ask of this.#asks.splice(0)) this.#ledger.unserved(ask, this.#past.join(", "));
    this.#reader = null;
    this.#message = null;
    setTimeout(() => this.#turn(), this.#dice.below(this.#plan.mostPauseMs + 1));
  }

  #leave(): void {
    this.#socket?.end();
    this.#socket = null;
  }
}

/** How many earlier requests are kept. */
const PAST = 2;

function pastOf({ method, deed, bodyBytes, bodyFraming, absoluteForm }: Ask, message: HttpMessage): string {
  const form = absoluteForm ? " absolute" : "";
  return `${method} ${deed} ${bodyBytes} ${bodyFraming}${form} → ${message.startLine.slice(9, 12)}`;
}

function isInterim(message: HttpMessage): boolean {
  return message.startLine.startsWith("HTTP/1.1 1");
}

function isConnection(message: HttpMessage, valueIndex: number): boolean {
  return message.rawHeaders[valueIndex - 1]?.toLowerCase() === "connection";
}

function sample(bytes: Buffer): string {
  return JSON.stringify(bytes.subarray(0, 200).toString("latin1"));
}
