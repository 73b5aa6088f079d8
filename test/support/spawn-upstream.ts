import { spawn, type ChildProcess } from "node:child_process";
import fs from "node:fs";
import { fileURLToPath } from "node:url";
import type { Conduct, HealthAnswer, Order, OrderReply, Sightings } from "./conduct.ts";
import type { Scope } from "./scope.ts";
import { changed, until } from "./until.ts";

/** An upstream in a process of its own, which can be told to misbehave. */
export interface UpstreamProcess {
  readonly name: string;
  /** 0 when it listens on a Unix socket. */
  readonly port: number;
  readonly url: string;
  /** Of the process that runs now. */
  readonly pid: number;
  /** How it treats requests from now on; resolves when it does. A new life begins with good conduct. */
  behave(conduct: Conduct): Promise<void>;
  /** What it says to `/healthz` from now on. */
  answerHealthChecks(answer: HealthAnswer): Promise<void>;
  /** Closes its port and all its connections; the process lives. */
  refuse(): Promise<void>;
  /** Opens the same port again. */
  listen(): Promise<void>;
  /** What it has seen in this life. */
  seen(): Promise<Sightings>;
  /** SIGSTOP: the kernel goes on to accept for it. Resolves when it stands still. */
  pause(): Promise<void>;
  /** SIGCONT. */
  resume(): void;
  /** Ends it with SIGKILL and waits: its port refuses from then on. */
  kill(): Promise<void>;
  /** Begins a new life in the same place, after `kill`. */
  restart(): Promise<void>;
}

/** Spawns test/support/upstream-process.ts; it ends with the scope. `place`: a port, 0 = any free one, or a socket's path. */
export async function spawnUpstream(scope: Scope, name: string, place: number | string = 0): Promise<UpstreamProcess> {
  const upstream = new SpawnedUpstream(name, String(place));
  scope.after(() => upstream.kill());
  await upstream.start();
  return upstream;
}

const children = new Set<ChildProcess>();
// One that was paused would not notice that its starter is gone.
process.on("exit", () => {
  for (const child of children) child.kill("SIGKILL");
});

const SCRIPT = fileURLToPath(new URL("./upstream-process.ts", import.meta.url));

class SpawnedUpstream implements UpstreamProcess {
  readonly name: string;
  #place: string;
  #child: ChildProcess | null = null;
  #replies = new Map<number, Sightings>();
  #orders = 0;

  constructor(name: string, place: string) {
    this.name = name;
    this.#place = place;
  }

  get port(): number {
    return /^\d+$/.test(this.#place) ? Number(this.#place) : 0;
  }

  get url(): string {
    return this.port === 0 ? `http+unix://${this.#place}` : `http://127.0.0.1:${this.#place}`;
  }

  get pid(): number {
    return this.#running().pid ?? 0;
  }

  async start(): Promise<void> {
    const child = spawn(process.execPath, [SCRIPT, "--name", this.name, "--listen", this.#place], {
      stdio: ["pipe", "pipe", "inherit", "ipc"],
    });
    this.#child = child;
    children.add(child);
    child.on("exit", () => {
      children.delete(child);
      changed();
    });
    child.on("message", (message) => {
      const { number, sightings } = message as OrderReply;
      this.#replies.set(number, sightings);
      changed();
    });
    this.#place = (JSON.parse(await firstLine(child, this.name)) as { readonly listening: string }).listening;
  }

  async behave(conduct: Conduct): Promise<void> {
    await this.#tell({ kind: "behave", conduct });
  }

  async answerHealthChecks(answer: HealthAnswer): Promise<void> {
    await this.#tell({ kind: "answer health checks", answer });
  }

  async refuse(): Promise<void> {
    await this.#tell({ kind: "refuse" });
  }

  async listen(): Promise<void> {
    await this.#tell({ kind: "listen" });
  }

  seen(): Promise<Sightings> {
    return this.#tell({ kind: "tell" });
  }

  async pause(): Promise<void> {
    this.#running().kill("SIGSTOP");
    await until(() => / T /.test(fs.readFileSync(`/proc/${this.pid}/stat`, "utf8")), `upstream ${this.name} to stop`);
  }

  resume(): void {
    this.#running().kill("SIGCONT");
  }

  async kill(): Promise<void> {
    const child = this.#child;
    if (child === null) return;
    child.kill("SIGKILL");
    await until(() => hasExited(child), `upstream ${this.name} to exit`);
  }

  async restart(): Promise<void> {
    // A socket outlives the process that was killed.
    if (this.port === 0) fs.rmSync(this.#place, { force: true });
    await this.start();
  }

  async #tell(order: Order): Promise<Sightings> {
    const number = this.#orders++;
    this.#running().send({ number, order });
    return until(() => this.#replies.get(number), `upstream ${this.name} to ${order.kind}`);
  }

  #running(): ChildProcess {
    if (this.#child === null) throw new Error(`upstream ${this.name} was not started`);
    return this.#child;
  }
}

async function firstLine(child: ChildProcess, name: string): Promise<string> {
  let printed = "";
  child.stdout?.on("data", (chunk: Buffer) => {
    printed += chunk.toString("utf8");
    changed();
  });
  const line = (): string | null => {
    if (hasExited(child)) throw new Error(`upstream ${name} exited with ${child.exitCode ?? child.signalCode}`);
    const end = printed.indexOf("\n");
    return end === -1 ? null : printed.slice(0, end);
  };
  return until(line, `upstream ${name} to listen`, { deadlineMs: 10_000 });
}

function hasExited(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}
