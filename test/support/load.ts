import net from "node:net";
import { header, MessageReader, type HttpMessage } from "./message-reader.ts";
import type { Scope } from "./scope.ts";
import { changed, until } from "./until.ts";

/** A request of a load. */
export interface LoadRequest {
  readonly target: string;
  /** Header lines besides Host. */
  readonly fields: readonly string[];
  /** What the test wants to know of it again: its sticky key, say. */
  readonly key: string;
  /** GET unless told; one that may have a body sends a short one. */
  readonly method?: "GET" | "POST";
}

/** One exchange as its client saw it; times are `performance.now()`. */
export interface LoadAnswer {
  readonly key: string;
  readonly target: string;
  /** Index of the caller that made it. */
  readonly caller: number;
  readonly askedMs: number;
  readonly answeredMs: number;
  readonly status: number;
  /** Value of the served-by header; null on a local reply. */
  readonly servedBy: string | null;
  /** Which fallback answered; null = none did. */
  readonly fallback: string | null;
  /** The answer ended its connection. */
  readonly closing: boolean;
}

/** A request that got no whole answer. */
export interface LoadFailure {
  readonly key: string;
  readonly target: string;
  readonly caller: number;
  readonly askedMs: number;
  readonly why: string;
}

/** How much load, and of what. */
export interface LoadPlan {
  readonly port: number;
  /** Callers with a keep-alive connection each; one whose connection was ended opens another. */
  readonly connections: number;
  /**
   * Of all callers together; callers that still wait for an answer are passed over, not caught up with. `back-to-back`:
   * each asks again when it has its answer; for a few connections and a short time.
   */
  readonly requestsPerSecond: number | "back-to-back";
  /** The n-th request. */
  readonly request: (n: number) => LoadRequest;
}

/** A load under way. */
export interface Load {
  readonly answers: readonly LoadAnswer[];
  readonly failures: readonly LoadFailure[];
  /** Callers whose connection ended though no answer had said so, with or without a request on it. */
  readonly dropped: ReadonlySet<number>;
  /** Waits until this many more requests were answered. */
  more(count: number): Promise<void>;
  /** Asks no more and waits for the answers that are due; the connections stay. */
  settle(): Promise<void>;
  /** Settles and closes the connections. */
  stop(): Promise<void>;
}

/** Puts a steady load on a loopback port until it is stopped or the scope ends. */
export function startLoad(scope: Scope, plan: LoadPlan): Load {
  const load = new SteadyLoad(plan);
  scope.after(() => load.stop());
  return load;
}

/** Ten milliseconds: how often the schedule is looked at. */
const TICK_MS = 10;

class SteadyLoad implements Load {
  readonly answers: LoadAnswer[] = [];
  readonly failures: LoadFailure[] = [];
  readonly dropped = new Set<number>();
  readonly #plan: LoadPlan;
  readonly #callers: Caller[];
  readonly #startedMs = performance.now();
  readonly #timer: NodeJS.Timeout | null = null;
  #settling = false;
  #asked = 0;
  #skipped = 0;
  #next = 0;

  constructor(plan: LoadPlan) {
    this.#plan = plan;
    this.#callers = Array.from({ length: plan.connections }, (_, index) => new Caller(plan.port, index, this));
    if (plan.requestsPerSecond === "back-to-back") for (const caller of this.#callers) this.#askAgain(caller);
    else this.#timer = setInterval(() => this.#tick(plan.requestsPerSecond as number), TICK_MS);
  }

  /** A caller got its answer or lost its connection. */
  onDone(caller: Caller): void {
    if (this.#plan.requestsPerSecond === "back-to-back" && !this.#settling) setImmediate(() => this.#askAgain(caller));
  }

  async more(count: number): Promise<void> {
    const wanted = this.answers.length + count;
    await until(() => this.answers.length >= wanted, `${count} more answers`, {
      deadlineMs: 30_000,
      detail: () => `${this.answers.length} answers, ${this.failures.length} failures`,
    });
  }

  async settle(): Promise<void> {
    this.#settling = true;
    if (this.#timer !== null) clearInterval(this.#timer);
    await until(() => this.#callers.every((caller) => !caller.busy), "the last answers", { deadlineMs: 30_000 });
  }

  async stop(): Promise<void> {
    await this.settle();
    for (const caller of this.#callers) caller.close();
  }

  #askAgain(caller: Caller): void {
    if (!this.#settling && !caller.busy) caller.ask(this.#plan.request(this.#asked++));
  }

  #tick(requestsPerSecond: number): void {
    const due = Math.floor(((performance.now() - this.#startedMs) * requestsPerSecond) / 1000);
    while (this.#asked + this.#skipped < due) {
      const caller = this.#takeIdle();
      if (caller === null) {
        this.#skipped = due - this.#asked;
        return;
      }
      caller.ask(this.#plan.request(this.#asked++));
    }
  }

  /** The next caller in turn that has nothing under way. */
  #takeIdle(): Caller | null {
    const count = this.#callers.length;
    for (let i = 0; i < count; i++) {
      const caller = this.#callers[(this.#next + i) % count] as Caller;
      if (caller.busy) continue;
      this.#next = (this.#next + i + 1) % count;
      return caller;
    }
    return null;
  }
}

/** One client: a connection at a time, a request at a time. */
class Caller {
  readonly #port: number;
  readonly #index: number;
  readonly #load: SteadyLoad;
  #socket: net.Socket | null = null;
  #pending: { readonly request: LoadRequest; readonly askedMs: number; readonly reader: MessageReader } | null = null;

  constructor(port: number, index: number, load: SteadyLoad) {
    this.#port = port;
    this.#index = index;
    this.#load = load;
  }

  get busy(): boolean {
    return this.#pending !== null;
  }

  ask(request: LoadRequest): void {
    const reader = new MessageReader("response", { complete: (message) => this.#answered(message) });
    this.#pending = { request, askedMs: performance.now(), reader };
    this.#socket ??= this.#connect();
    this.#socket.write(textOf(request));
  }

  close(): void {
    this.#socket?.destroy();
    this.#socket = null;
  }

  #connect(): net.Socket {
    const socket = net.connect({ port: this.#port, host: "127.0.0.1", noDelay: true });
    socket.on("data", (chunk: Buffer) => {
      this.#pending?.reader.push(chunk);
      const malformed = this.#pending?.reader.malformed ?? null;
      if (malformed !== null) this.#lost(socket, malformed);
    });
    socket.on("error", (error) => this.#lost(socket, error.message));
    socket.on("end", () => this.#lost(socket, "the connection ended"));
    socket.on("close", () => this.#lost(socket, "the connection closed"));
    return socket;
  }

  #answered(message: HttpMessage): void {
    if (this.#pending === null) return;
    const { request, askedMs } = this.#pending;
    this.#pending = null;
    const closing = (header(message, "connection") ?? "").toLowerCase() === "close";
    if (closing) this.#socket = null;
    this.#load.answers.push({
      key: request.key,
      target: request.target,
      caller: this.#index,
      askedMs,
      answeredMs: performance.now(),
      status: Number(message.startLine.slice(9, 12)),
      servedBy: header(message, "x-crossfade-upstream"),
      fallback: header(message, "x-crossfade-fallback"),
      closing,
    });
    this.#load.onDone(this);
  }

  #lost(socket: net.Socket, why: string): void {
    socket.destroy();
    if (this.#socket !== socket) return;
    this.#socket = null;
    this.#load.dropped.add(this.#index);
    if (this.#pending === null) return;
    const { request, askedMs } = this.#pending;
    this.#pending = null;
    this.#load.failures.push({ key: request.key, target: request.target, caller: this.#index, askedMs, why });
    this.#load.onDone(this);
    changed();
  }
}

function textOf({ method = "GET", target, fields }: LoadRequest): string {
  const [length, body] = method === "POST" ? [["Content-Length: 4"], "body"] : [[], ""];
  const head = [`${method} ${target} HTTP/1.1`, "Host: a.test", ...fields, ...length];
  return `${head.join("\r\n")}\r\n\r\n${body}`;
}
