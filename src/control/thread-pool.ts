import { createServer } from "node:net";
import { MessageChannel, Worker } from "node:worker_threads";
import { blockView, ROUTE_WORDS, THREAD_WORDS, UPSTREAM_WORDS } from "../base/cells.ts";
import type { StateEventSink } from "../base/state-event.ts";
import type { Engine, ListenerSpec, Snapshot } from "../model/snapshot.ts";
import type { DataThreadStart, FromDataThread, ToDataThread } from "../model/thread-messages.ts";
import type { CellTable } from "./cell-table.ts";
import type { LabThread } from "./lab-supervisor.ts";
import type { TrafficPlane } from "./traffic-plane.ts";

/** What the pool needs. */
export interface ThreadPoolOptions {
  /** Module that a data thread runs. */
  readonly entry: URL;
  readonly count: number;
  readonly listeners: readonly ListenerSpec[];
  readonly engine: Engine;
  readonly snapshot: Snapshot;
  readonly cells: CellTable;
  readonly lab: LabThread;
  readonly onEvent: StateEventSink;
  /** A data thread died; what it was doing has no end. */
  readonly onThreadLost: () => void;
}

/** Requests live for milliseconds: a larger nursery holds more garbage, not more requests. Measured in bench/README.md. */
const YOUNG_GENERATION_MB = 24;
const FIRST_RESTART_MS = 50;
const LONGEST_RESTART_MS = 5_000;
/** A thread that lived this long was healthy: its next crash starts the delays over. */
const HEALTHY_AFTER_MS = 60_000;

/**
 * Data threads with the road in each, all listening on the same addresses. One that crashes is replaced while the others
 * serve; it takes over the dead one's counters, so none goes back. Rejects when an address cannot be had.
 */
export async function openThreadPool(options: ThreadPoolOptions): Promise<TrafficPlane> {
  const pool = new ThreadPool(options);
  await pool.start();
  return pool;
}

interface Seat {
  readonly index: number;
  worker: Worker | null;
  state: "starting" | "running" | "draining" | "gone";
  bornMs: number;
  restartMs: number;
}

/** Threads share an address, which would let a second process join unseen: the address must be nobody's first. */
async function assertFree({ host, port }: ListenerSpec): Promise<void> {
  if (port === 0) return;
  const probe = createServer();
  try {
    await new Promise<void>((resolve, reject) => {
      probe.once("error", reject);
      probe.listen({ host, port, exclusive: true }, resolve);
    });
  } catch (cause) {
    throw new Error(`listen: cannot listen on "${host}" port ${port}: ${(cause as Error).message}`, { cause });
  }
  await new Promise((resolve) => {
    probe.close(resolve);
  });
}

class ThreadPool implements TrafficPlane {
  readonly #options: ThreadPoolOptions;
  readonly #seats: Seat[] = [];
  #listeners: readonly ListenerSpec[];
  #snapshot: Snapshot;
  #draining = false;
  #restarts = 0;
  ports: readonly number[] = [];

  constructor(options: ThreadPoolOptions) {
    this.#options = options;
    this.#listeners = options.listeners;
    this.#snapshot = options.snapshot;
    for (let index = 0; index < options.count; index++) {
      this.#seats.push({ index, worker: null, state: "starting", bornMs: 0, restartMs: FIRST_RESTART_MS });
    }
  }

  /** The first thread finds out the real ports; the others listen on those. */
  async start(): Promise<void> {
    for (const listener of this.#listeners) await assertFree(listener);
    const [first, ...others] = this.#seats as [Seat, ...Seat[]];
    this.ports = await this.#spawn(first);
    this.#listeners = this.#listeners.map((listener, i) => ({ ...listener, port: this.ports[i] ?? listener.port }));
    await Promise.all(others.map((seat) => this.#spawn(seat)));
  }

  publish(snapshot: Snapshot): void {
    this.#snapshot = snapshot;
    for (const seat of this.#seats) {
      this.#tell(seat, { type: "snapshot", snapshot, pages: this.#options.cells.pagesOf(seat.index) });
    }
  }

  announceDrain(): void {
    this.#draining = true;
    for (const seat of this.#seats) {
      if (seat.state === "running") seat.state = "draining";
      this.#tell(seat, { type: "announce-drain" });
    }
  }

  async drain(deadlineMs: number): Promise<void> {
    this.#draining = true;
    const running = this.#seats.filter((seat) => seat.worker !== null);
    await Promise.all(running.map((seat) => this.#drainSeat(seat, deadlineMs)));
  }

  alive(): boolean {
    return this.#seats.some((seat) => seat.state === "running" || seat.state === "draining");
  }

  threads(): ReturnType<TrafficPlane["threads"]> {
    const states = ["starting", "running", "draining"] as const;
    return states.map((state) => ({
      kind: "data",
      state,
      count: this.#seats.filter((seat) => seat.state === state).length,
    }));
  }

  restarts(): ReturnType<TrafficPlane["restarts"]> {
    return [{ kind: "data", count: this.#restarts }];
  }

  #spawn(seat: Seat): Promise<readonly number[]> {
    const { cells, count, engine, entry, lab } = this.#options;
    const start: DataThreadStart = {
      index: seat.index,
      threads: count,
      listeners: this.#listeners,
      engine,
      snapshot: this.#snapshot,
      pages: cells.pagesOf(seat.index),
      words: cells.words.buffer as SharedArrayBuffer,
      gates: cells.gates.buffer as SharedArrayBuffer,
    };
    const worker = new Worker(entry, {
      workerData: start,
      name: `crossfade-data-${seat.index}`,
      resourceLimits: { maxYoungGenerationSizeMb: YOUNG_GENERATION_MB },
    });
    seat.worker = worker;
    seat.state = "starting";
    seat.bornMs = performance.now();
    lab.connect(`data-${seat.index}`, () => {
      const { port1, port2 } = new MessageChannel();
      worker.postMessage({ type: "access-port", port: port1 } satisfies ToDataThread, [port1]);
      return port2;
    });
    return new Promise((resolve, reject) => {
      worker.on("message", (message: FromDataThread) => {
        if (message.type === "listening") {
          this.#onListening(seat);
          resolve(message.ports);
        } else if (message.type === "refused") reject(new Error(message.error));
      });
      worker.on("error", (error) => this.#report(seat, error));
      worker.on("exit", (code) => {
        reject(new Error(`data thread ${seat.index} ended with code ${code} before it listened`));
        this.#onExit(seat, worker);
      });
    });
  }

  #onListening(seat: Seat): void {
    seat.state = this.#draining ? "draining" : "running";
    // A snapshot that was published while it started went to nobody.
    this.#tell(seat, { type: "snapshot", snapshot: this.#snapshot, pages: this.#options.cells.pagesOf(seat.index) });
    if (this.#draining) this.#tell(seat, { type: "announce-drain" });
  }

  #onExit(seat: Seat, worker: Worker): void {
    if (seat.worker !== worker) return;
    const wasServing = seat.state !== "starting" || this.ports.length > 0;
    seat.worker = null;
    seat.state = "gone";
    if (this.#draining || !wasServing) return;
    if (performance.now() - seat.bornMs > HEALTHY_AFTER_MS) seat.restartMs = FIRST_RESTART_MS;
    this.#resetGauges(seat);
    this.#options.onThreadLost();
    this.#restarts++;
    setTimeout(() => this.#replace(seat), seat.restartMs);
    seat.restartMs = Math.min(seat.restartMs * 2, LONGEST_RESTART_MS);
  }

  #replace(seat: Seat): void {
    if (this.#draining) return;
    this.#spawn(seat).then(
      () => this.#event(seat, "info", "thread-replaced", "data thread replaced", {}),
      (error: unknown) => this.#report(seat, error),
    );
  }

  #report(seat: Seat, error: unknown): void {
    const why = error instanceof Error ? (error.stack ?? error.message) : String(error);
    this.#event(seat, "error", "thread-crashed", "data thread crashed", { error: why });
  }

  #event(seat: Seat, level: "info" | "error", name: string, message: string, fields: Record<string, unknown>): void {
    this.#options.onEvent({ level, name, message, fields: { thread: seat.index, ...fields } });
  }

  /** What a dead thread was doing it does no more; its counters stay. */
  #resetGauges(seat: Seat): void {
    const pages = this.#options.cells.pagesOf(seat.index);
    for (const { key, block } of this.#options.cells.series()) {
      const cells = blockView(pages, block);
      if (key.kind === "thread") {
        cells[THREAD_WORDS.connectionsOpen] = 0;
        cells[THREAD_WORDS.upgradesOpen] = 0;
      }
      if (key.kind === "route") {
        cells[ROUTE_WORDS.finished] = cells[ROUTE_WORDS.started] as number;
        cells[ROUTE_WORDS.upgradesOpen] = 0;
      }
      if (key.kind === "upstream") {
        cells[UPSTREAM_WORDS.active] = 0;
        cells[UPSTREAM_WORDS.idle] = 0;
        cells[UPSTREAM_WORDS.pending] = 0;
      }
    }
  }

  #drainSeat(seat: Seat, deadlineMs: number): Promise<void> {
    const { worker } = seat;
    if (worker === null) return Promise.resolve();
    return new Promise((resolve) => {
      // A thread that hangs does not hold up the exit.
      const timer = setTimeout(() => void worker.terminate(), deadlineMs + 500);
      worker.once("exit", () => {
        clearTimeout(timer);
        resolve();
      });
      this.#tell(seat, { type: "drain", deadlineMs });
    });
  }

  #tell(seat: Seat, message: ToDataThread): void {
    seat.worker?.postMessage(message);
  }
}
