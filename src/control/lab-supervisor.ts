import { receiveMessageOnPort, Worker, type MessagePort } from "node:worker_threads";
import type { StateEventSink } from "../base/state-event.ts";
import type { ToLabThread } from "../model/thread-messages.ts";
import type { AccessRecord } from "../telemetry/access-log.ts";
import type { AccessWriter } from "../telemetry/access-writer.ts";
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

/** What the supervisor needs. */
export interface LabThreadOptions {
  /** Module that the lab thread runs. */
  readonly entry: URL;
  /** Log level of the process. */
  readonly level: string;
  /** Writes the records that come before the lab runs: the first batch of each data thread. */
  readonly firstWriter: AccessWriter;
  readonly onEvent: StateEventSink;
}

const RESTART_MS = 250;

/**
 * Runs the lab thread from the first access record on, since a sidecar that logs none need not hold 10 MB for it, and
 * replaces it when it crashes: what it had not written is lost and counted as dropped.
 *
 *   idle ──first record──▶ running ──crash──▶ gone ──250 ms──▶ running
 */
export function openLabThread(options: LabThreadOptions): LabThread {
  return new LabSupervisor(options);
}

class LabSupervisor implements LabThread {
  readonly #options: LabThreadOptions;
  readonly #connections = new Map<string, () => MessagePort>();
  /** Ports of the data threads that have sent no record yet, by name; null once the lab was started. */
  #quiet: Map<string, MessagePort> | null = new Map();
  #worker: Worker | null = null;
  #restarts = 0;
  #stopping = false;

  constructor(options: LabThreadOptions) {
    this.#options = options;
  }

  connect(name: string, makePort: () => MessagePort): void {
    this.#connections.set(name, makePort);
    if (this.#quiet === null) this.#send(makePort);
    else this.#awaitRecord(this.#quiet, name, makePort());
  }

  stop(): Promise<void> {
    this.#stopping = true;
    for (const port of this.#quiet?.values() ?? []) this.#writeLast(port);
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

  #awaitRecord(quiet: Map<string, MessagePort>, name: string, port: MessagePort): void {
    quiet.set(name, port);
    port.once("message", (batch: AccessRecord[]) => {
      this.#write(port, batch);
      if (this.#quiet !== null && !this.#stopping) this.#start(this.#quiet);
    });
    port.unref();
  }

  /** What waits in the ports goes with them. */
  #start(quiet: Map<string, MessagePort>): void {
    this.#quiet = null;
    this.#spawn();
    for (const port of quiet.values()) {
      port.removeAllListeners("message");
      this.#send(() => port);
    }
  }

  #write(port: MessagePort, batch: AccessRecord[]): void {
    port.postMessage(this.#options.firstWriter.write(batch));
  }

  /** The data threads have ended: what they sent is here, and no event will bring it in time. */
  #writeLast(port: MessagePort): void {
    for (let last = receiveMessageOnPort(port); last !== undefined; last = receiveMessageOnPort(port)) {
      this.#write(port, last.message as AccessRecord[]);
    }
    port.close();
  }

  #spawn(): void {
    const { entry, level, onEvent } = this.#options;
    const worker = new Worker(entry, { workerData: { level }, name: "crossfade-lab" });
    this.#worker = worker;
    worker.on("error", (error) => {
      const fields = { error: error instanceof Error ? (error.stack ?? error.message) : String(error) };
      onEvent({ level: "error", name: "thread-crashed", message: "lab thread crashed", fields });
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
    this.#options.onEvent({ level: "info", name: "thread-replaced", message: "lab thread replaced", fields: {} });
  }

  #send(makePort: () => MessagePort): void {
    if (this.#worker === null) return;
    const port = makePort();
    this.#worker.postMessage({ type: "access-port", port } satisfies ToLabThread, [port]);
  }
}
