import { fork, spawn, type ChildProcess } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { configText, slowStartMsAt } from "./sidecar-config.ts";

/** A sample service under the demo's control. */
export interface SampleService {
  readonly name: "v1" | "v2";
  readonly url: string;
  /** From now on this part of its answers is wrong, planted and with status 200. */
  lieFrom(share: number): void;
  /** What it has seen since it was started last. */
  seen(): Promise<Seen>;
  /** Kills its process with SIGKILL; resolves when it is gone. */
  kill(): Promise<void>;
  /** Starts a process on the same port in place of a killed one; resolves when it listens. */
  restart(): Promise<void>;
}

/** What a sample service has seen; health checks are not counted. */
export interface Seen {
  readonly requests: number;
  /** Wall clock, milliseconds with fractions; 0 before the first one. */
  readonly lastRequestAtMs: number;
}

/** The sidecar process and where to reach it. */
export interface SidecarProcess {
  readonly listen: string;
  readonly admin: string;
  readonly metrics: string;
  readonly configFile: string;
}

/** Everything that the demo starts; what is started last ends first. */
export interface Stage {
  readonly v1: SampleService;
  readonly v2: SampleService;
  readonly sidecar: SidecarProcess;
  /** How long callers take to come back to an upstream whose circuit closed. */
  readonly slowStartMs: number;
  /** Ends every process and removes the folder; resolves with the sidecar's exit code. */
  close(): Promise<number | null>;
}

const STOP_MS = 6_000;

const children = new Set<ChildProcess>();
// Whatever ends this process early, its children go with it.
process.on("exit", () => {
  for (const child of children) child.kill("SIGKILL");
});

/**
 * Starts both services and the sidecar, whose times are made for a story at this pace; rejects with what the sidecar
 * printed when it does not come up.
 */
export async function openStage(route: string, salt: string, pace: number): Promise<Stage> {
  const folder = mkdtempSync(join(tmpdir(), "crossfade-demo-"));
  try {
    const [v1, v2] = await Promise.all([startService("v1", 8), startService("v2", 5)]);
    const configFile = join(folder, "crossfade.yaml");
    writeFileSync(configFile, await configText({ folder, route, salt, v1: v1.url, v2: v2.url, pace }));
    const sidecar = await startSidecar(configFile);
    const close = async (): Promise<number | null> => {
      const code = await end(sidecar.child);
      await Promise.all([v1.close(), v2.close()]);
      rmSync(folder, { recursive: true, force: true });
      return code;
    };
    return { v1, v2, sidecar, slowStartMs: slowStartMsAt(pace), close };
  } catch (error) {
    for (const child of children) child.kill("SIGKILL");
    rmSync(folder, { recursive: true, force: true });
    throw error;
  }
}

const SERVICE = fileURLToPath(new URL("./sample-service.ts", import.meta.url));
const CROSSFADE = fileURLToPath(new URL("../../bin/crossfade.js", import.meta.url));

interface OwnedService extends SampleService {
  close(): Promise<void>;
}

async function startService(name: "v1" | "v2", meanMs: number): Promise<OwnedService> {
  const start = (onPort: number): Promise<RunningService> => runService([name, String(meanMs), String(onPort)]);
  let running = await start(0);
  const { port } = running;
  return {
    name,
    url: `http://127.0.0.1:${port}`,
    lieFrom: (lieShare) => void running.child.send({ lieShare }),
    seen: () => askSeen(running.child),
    kill: () => killed(running.child),
    async restart() {
      running = await start(port);
    },
    async close() {
      await end(running.child);
    },
  };
}

interface RunningService {
  readonly child: ChildProcess;
  readonly port: number;
}

async function runService(args: readonly string[]): Promise<RunningService> {
  const child = adopt(fork(SERVICE, args, { stdio: ["ignore", "ignore", "inherit", "ipc"] }));
  const { port } = (await message(child)) as { readonly port: number };
  return { child, port };
}

/** A dead one has seen nothing since it was started last, as it was not. */
async function askSeen(child: ChildProcess): Promise<Seen> {
  if (!child.connected) return { requests: 0, lastRequestAtMs: 0 };
  const answer = message(child);
  child.send({ ask: true });
  return (await answer) as Seen;
}

async function killed(child: ChildProcess): Promise<void> {
  const gone = new Promise((resolve) => child.once("exit", resolve));
  child.kill("SIGKILL");
  await gone;
}

async function startSidecar(configFile: string): Promise<SidecarProcess & { child: ChildProcess }> {
  const child = adopt(
    spawn(process.execPath, [CROSSFADE, "run", "--config", configFile], { stdio: ["ignore", "pipe", "pipe"] }),
  );
  const ready = await readyRecord(child);
  return { child, configFile, listen: ready.listen[0] as string, admin: ready.admin, metrics: ready.metrics };
}

interface ReadyRecord {
  readonly msg: string;
  readonly listen: readonly string[];
  readonly admin: string;
  readonly metrics: string;
}

function readyRecord(child: ChildProcess): Promise<ReadyRecord> {
  const { promise, resolve, reject } = Promise.withResolvers<ReadyRecord>();
  let printed = "";
  const onText = (chunk: Buffer): void => {
    printed += chunk.toString("utf8");
    const line = printed.split("\n").find((text) => text.includes('"msg":"crossfade ready"'));
    if (line === undefined) return;
    resolve(JSON.parse(line) as ReadyRecord);
    // Still read, so that the pipe never fills; no longer kept.
    child.stdout?.off("data", onText).resume();
  };
  child.stdout?.on("data", onText);
  child.stderr?.on("data", onText);
  child.on("exit", (code) => reject(new Error(`the sidecar ended with ${code} before it was ready:\n${printed}`)));
  return promise;
}

function adopt(child: ChildProcess): ChildProcess {
  children.add(child);
  child.once("exit", () => children.delete(child));
  return child;
}

function message(child: ChildProcess): Promise<unknown> {
  const { promise, resolve, reject } = Promise.withResolvers<unknown>();
  const onExit = (code: number | null): void => reject(new Error(`a sample service ended with ${code ?? "a signal"}`));
  child.once("exit", onExit);
  child.once("message", (heard) => {
    child.off("exit", onExit);
    resolve(heard);
  });
  return promise;
}

/** SIGTERM, then SIGKILL when that takes too long. */
async function end(child: ChildProcess): Promise<number | null> {
  if (child.exitCode !== null || child.signalCode !== null) return child.exitCode;
  const { promise, resolve } = Promise.withResolvers<number | null>();
  child.once("exit", (code) => resolve(code));
  child.kill("SIGTERM");
  const last = setTimeout(() => child.kill("SIGKILL"), STOP_MS);
  const code = await promise;
  clearTimeout(last);
  return code;
}
