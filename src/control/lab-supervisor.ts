import { Worker, type MessagePort } from "node:worker_threads";
import type { StateEventSink } from "../base/state-event.ts";
import type { ToLabThread } from "../model/thread-messages.ts";
import type { ThreadCount, ThreadRestarts } from "../telemetry/metrics-source.ts";

/** The lab thread as the others see it: work is offered to it, and nobody waits. */
export interface LabThread {
  /** Connects a data thread; `makePort` is called now and again after each restart of the lab. */
  connect(name: string, makePort: () => MessagePort): void;
  /** Lets it write what it has, then ends it. */
  stop(): Promise<void>;
  threads(): readonly ThreadCount[];
  restarts(): readonly ThreadRestarts[];
}

const RESTART_MS = 250;

/** Runs the lab thread and replaces it when it crashes: what it had not written is lost and counted as dropped. */
export function startLabThread(entry: URL, level: string, onEvent: StateEventSink): LabThread {
  return new LabSupervisor(entry, level, onEvent);
}

class LabSupervisor implements LabThread {
  readonly #entry: URL;
  readonly #level: string;
  readonly #onEvent: StateEventSink;
  readonly #connections = new Map<string, () => MessagePort>();
  #worker: Worker | null = null;
  #restarts = 0;
  #stopping = false;

  constructor(entry: URL, level: string, onEvent: StateEventSink) {
    this.#entry = entry;
    this.#level = level;
    this.#onEvent = onEvent;
    this.#spawn();
  }

  connect(name: string, makePort: () => MessagePort): void {
    this.#connections.set(name, makePort);
    this.#send(makePort);
  }

  stop(): Promise<void> {
    this.#stopping = true;
    const worker = this.#worker;
    if (worker === null) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(() => void worker.terminate(), 1_000);
      worker.once("exit", () => {
        clearTimeout(timer);
        resolve();
      });
      worker.postMessage({ type: "stop" } satisfies ToLabThread);
    });
  }

  threads(): readonly ThreadCount[] {
    return [{ kind: "lab", state: "running", count: this.#worker === null ? 0 : 1 }];
  }

  restarts(): readonly ThreadRestarts[] {
    return [{ kind: "lab", count: this.#restarts }];
  }

  #spawn(): void {
    const worker = new Worker(this.#entry, { workerData: { level: this.#level }, name: "crossfade-lab" });
    this.#worker = worker;
    worker.on("error", (error) => {
      const fields = { error: error instanceof Error ? (error.stack ?? error.message) : String(error) };
      this.#onEvent({ level: "error", name: "thread-crashed", message: "lab thread crashed", fields });
    });
    worker.on("exit", () => {
      this.#worker = null;
      if (this.#stopping) return;
      this.#restarts++;
      setTimeout(() => this.#replace(), RESTART_MS);
    });
  }

  #replace(): void {
    if (this.#stopping) return;
    this.#spawn();
    for (const makePort of this.#connections.values()) this.#send(makePort);
    this.#onEvent({ level: "info", name: "thread-replaced", message: "lab thread replaced", fields: {} });
  }

  #send(makePort: () => MessagePort): void {
    if (this.#worker === null) return;
    const port = makePort();
    this.#worker.postMessage({ type: "access-port", port } satisfies ToLabThread, [port]);
  }
}
