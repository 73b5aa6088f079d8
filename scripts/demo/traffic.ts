import { Agent, get, type IncomingMessage } from "node:http";
import { userName, type Answer, type Version } from "./tally.ts";

/** Who calls how often. */
export interface TrafficOptions {
  /** Where the sidecar listens. */
  readonly port: number;
  readonly users: number;
  /** The turn that a request belongs to; asked as it is sent. */
  readonly turn: () => number;
  readonly onAnswer: (answer: Answer) => void;
}

const TICK_MS = 10;
/** Requests that a tick may send to catch up; what is lost beyond it is not made up for. */
const MOST_PER_TICK = 16;

/**
 * Requests of synthetic users at a steady rate, in turn. A user waits for an answer before asking again: so the
 * answers of one user come in the order of the questions, and a move can be told from an overtaking.
 */
export class Traffic {
  readonly #options: TrafficOptions;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 64 });
  readonly #busy = new Set<number>();
  readonly #answeredAtMs: number[] = [];
  #perSecond = 0;
  #owed = 0;
  #next = 0;
  #tickedMs = 0;
  #timer: NodeJS.Timeout | null = null;

  constructor(options: TrafficOptions) {
    this.#options = options;
  }

  /** Starts, or goes on at another rate. */
  start(perSecond: number): void {
    this.#perSecond = perSecond;
    this.#tickedMs = performance.now();
    this.#timer ??= setInterval(() => this.#tick(), TICK_MS);
  }

  /** Sends no more; resolves when every request has its answer, or after 2 s. */
  async stop(): Promise<void> {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
    const deadlineMs = performance.now() + 2_000;
    while (this.#busy.size > 0 && performance.now() < deadlineMs) await new Promise((go) => setTimeout(go, TICK_MS));
    this.#agent.destroy();
  }

  /** Answers in the last second. */
  perSecond(): number {
    const since = performance.now() - 1000;
    while (this.#answeredAtMs.length > 0 && (this.#answeredAtMs[0] as number) < since) this.#answeredAtMs.shift();
    return this.#answeredAtMs.length;
  }

  #tick(): void {
    const nowMs = performance.now();
    this.#owed += ((nowMs - this.#tickedMs) / 1000) * this.#perSecond;
    this.#tickedMs = nowMs;
    const count = Math.min(MOST_PER_TICK, Math.floor(this.#owed));
    this.#owed -= Math.floor(this.#owed);
    for (let i = 0; i < count; i++) this.#ask(this.#next++ % this.#options.users);
  }

  #ask(user: number): void {
    if (this.#busy.has(user)) return;
    this.#busy.add(user);
    const sentMs = performance.now();
    const turn = this.#options.turn();
    const done = (status: number, servedBy: Version, planted: boolean): void => {
      if (!this.#busy.delete(user)) return;
      const nowMs = performance.now();
      this.#answeredAtMs.push(nowMs);
      this.#options.onAnswer({ user, status, servedBy, planted, latencyMs: nowMs - sentMs, turn });
    };
    const target = { host: "127.0.0.1", port: this.#options.port, path: "/api/hello", agent: this.#agent };
    const request = get({ ...target, headers: { "x-user-id": userName(user) } }, (answer) => readToEnd(answer, done));
    request.on("error", () => done(0, null, false));
  }
}

function readToEnd(answer: IncomingMessage, done: (status: number, servedBy: Version, planted: boolean) => void): void {
  const served = answer.headers["x-crossfade-upstream"];
  const servedBy = served === "v1" || served === "v2" ? served : null;
  answer.resume();
  answer.on("end", () => done(answer.statusCode ?? 0, servedBy, answer.headers["x-sample-planted"] === "yes"));
  answer.on("error", () => done(0, servedBy, false));
}
