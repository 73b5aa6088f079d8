import { spawn, type ChildProcess } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { stringify } from "yaml";
import type { Scope } from "./scope.ts";
import { changed, until } from "./until.ts";

/** A log record of the sidecar; whatever is not JSON comes as `{ raw }`. */
export type LogRecord = Readonly<Record<string, unknown>>;

/** How a process ended: one of the two is null. */
export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** A running sidecar process. */
export interface Sidecar {
  /** Port of the first listener. */
  readonly port: number;
  readonly url: string;
  /** Ports of all listeners, in the order of the config. */
  readonly ports: readonly number[];
  readonly adminUrl: string | null;
  readonly metricsUrl: string | null;
  /** Grows while the process runs. */
  readonly logs: readonly LogRecord[];
  readonly pid: number;
  readonly configFile: string;
  /** Directory of its own, which holds the config and the state; removed by `stop`. */
  readonly directory: string;
  readonly exited: Promise<Exit>;
  /** Puts a new config in place with a rename, as editors and deployers do; defaults are merged in as at the start. */
  writeConfig(config: object): void;
  signal(signal: NodeJS.Signals): void;
  /** Waits for a log record with this message, from the `from`-th record on. */
  log(message: string, from?: number): Promise<LogRecord>;
  /** Resident set now, in bytes. */
  residentBytes(): number;
  /** SIGTERM, a second one if that takes too long, and the directory is removed. Throws when it had crashed before. */
  stop(): Promise<Exit>;
}

/** How to start a sidecar. */
export interface SidecarOptions {
  /** Format of the config file; YAML unless told. */
  readonly format?: "yaml" | "json";
  readonly env?: Readonly<Record<string, string>>;
  /** Arguments of node itself, before the script. */
  readonly nodeArguments?: readonly string[];
  readonly readyDeadlineMs?: number;
}

/** Starts a sidecar that is stopped when the scope ends. */
export async function useSidecar(scope: Scope, config: object, options: SidecarOptions = {}): Promise<Sidecar> {
  const sidecar = await startSidecar(config, options);
  scope.after(async () => {
    await sidecar.stop();
  });
  return sidecar;
}

/**
 * Starts `crossfade run` from the sources on a config of its own and waits until it takes traffic. `config` is laid
 * over the defaults: free loopback ports, all in one thread, a short drain, no access log. Throws with all that the
 * process printed when it does not come up.
 */
export async function startSidecar(config: object, options: SidecarOptions = {}): Promise<Sidecar> {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), "crossfade-test-"));
  const format = options.format ?? "yaml";
  const configFile = path.join(directory, "config", `crossfade.${format}`);
  fs.mkdirSync(path.dirname(configFile));
  fs.mkdirSync(path.join(directory, "state"));
  const writeConfig = (next: object): void => {
    const whole = merged(defaults(directory), next);
    const text = format === "json" ? JSON.stringify(whole, null, 2) : stringify(whole);
    fs.writeFileSync(`${configFile}.new`, text);
    fs.renameSync(`${configFile}.new`, configFile);
  };
  writeConfig(config);
  const run = runSidecar(configFile, options);
  try {
    const ready = await untilReady(run, options.readyDeadlineMs ?? 15_000);
    return sidecarFrom(run, ready, { directory, configFile, writeConfig });
  } catch (error) {
    run.child.kill("SIGKILL");
    fs.rmSync(directory, { recursive: true, force: true });
    throw error;
  }
}

/** Lays `over` on `base`: objects are merged, everything else is replaced. `null` removes a key. */
export function merged(base: object, over: object): Record<string, unknown> {
  const result: Record<string, unknown> = { ...base };
  for (const [key, value] of Object.entries(over)) {
    if (value === null) delete result[key];
    else result[key] = isPlain(value) && isPlain(result[key]) ? merged(result[key], value) : value;
  }
  return result;
}

interface Run {
  readonly child: ChildProcess;
  /** Null while it runs. */
  exit: Exit | null;
  readonly logs: LogRecord[];
  readonly printed: string[];
  readonly exited: Promise<Exit>;
}

const MAIN = fileURLToPath(new URL("../../src/main.ts", import.meta.url));
const children = new Set<ChildProcess>();
// Whatever ends a test process early, its sidecars go with it.
process.on("exit", () => {
  for (const child of children) child.kill("SIGKILL");
});

function defaults(directory: string): object {
  return {
    listen: [{ address: "127.0.0.1:0" }],
    admin: { address: "127.0.0.1:0" },
    metrics: { address: "127.0.0.1:0" },
    runtime: { threads: "inline", stateDir: path.join(directory, "state"), drain: { lameDuck: "0s", deadline: "2s" } },
    log: { level: "info", access: "none" },
  };
}

function runSidecar(configFile: string, options: SidecarOptions): Run {
  const { promise: exited, resolve } = Promise.withResolvers<Exit>();
  const child = spawn(process.execPath, [...(options.nodeArguments ?? []), MAIN, "run", "--config", configFile], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, ...options.env },
  });
  children.add(child);
  const run: Run = { child, exit: null, logs: [], printed: [], exited };
  // Not "exit": by then its last words may still be in the pipe.
  child.on("close", (code, signal) => {
    children.delete(child);
    run.exit = { code, signal };
    resolve(run.exit);
    changed();
  });
  readLines(child.stdout, (line) => {
    run.logs.push(recordFrom(line));
    run.printed.push(line);
  });
  readLines(child.stderr, (line) => {
    run.logs.push({ raw: line, stderr: true });
    run.printed.push(line);
  });
  return run;
}

function readLines(stream: NodeJS.ReadableStream | null, onLine: (line: string) => void): void {
  let rest = "";
  stream?.setEncoding("utf8");
  stream?.on("data", (chunk: string) => {
    const lines = (rest + chunk).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) if (line !== "") onLine(line);
    changed();
  });
}

function recordFrom(line: string): LogRecord {
  try {
    return JSON.parse(line) as LogRecord;
  } catch {
    return { raw: line };
  }
}

async function untilReady(run: Run, deadlineMs: number): Promise<LogRecord> {
  const ready = (): LogRecord | undefined => {
    if (run.exit !== null) {
      throw new Error(
        `the sidecar exited with ${run.exit.code ?? run.exit.signal} before it was ready:\n${run.printed.join("\n")}`,
      );
    }
    return run.logs.find((record) => record["msg"] === "crossfade ready");
  };
  return until(ready, "crossfade ready", { deadlineMs, detail: () => run.printed.join("\n") });
}

function sidecarFrom(
  run: Run,
  ready: LogRecord,
  files: { readonly directory: string; readonly configFile: string; readonly writeConfig: (config: object) => void },
): Sidecar {
  const listen = ready["listen"] as readonly string[];
  const ports = listen.map((url) => Number(new URL(url).port));
  const pid = run.child.pid ?? 0;
  return {
    ...files,
    port: ports[0] ?? 0,
    ports,
    url: `http://127.0.0.1:${ports[0]}`,
    adminUrl: (ready["admin"] as string | null | undefined) ?? null,
    metricsUrl: (ready["metrics"] as string | null | undefined) ?? null,
    logs: run.logs,
    pid,
    exited: run.exited,
    signal: (signal) => {
      run.child.kill(signal);
    },
    log: (message, from = 0) =>
      until(() => run.logs.slice(from).find((record) => record["msg"] === message), `log record "${message}"`, {
        detail: () => run.printed.join("\n"),
      }),
    residentBytes: () => residentBytes(pid),
    stop: () => stop(run, files.directory),
  };
}

async function stop(run: Run, directory: string): Promise<Exit> {
  const crashed = run.exit !== null && run.exit.code !== 0;
  try {
    if (run.exit === null) await endProcess(run);
  } finally {
    fs.rmSync(directory, { recursive: true, force: true });
  }
  const exit = await run.exited;
  if (crashed) throw new Error(`the sidecar had ended with ${exit.code ?? exit.signal}:\n${run.printed.join("\n")}`);
  return exit;
}

async function endProcess(run: Run): Promise<void> {
  run.child.kill("SIGTERM");
  const second = setTimeout(() => run.child.kill("SIGTERM"), 3_000);
  const last = setTimeout(() => run.child.kill("SIGKILL"), 6_000);
  const exit = await run.exited;
  clearTimeout(second);
  clearTimeout(last);
  if (exit.signal === "SIGKILL") throw new Error(`the sidecar did not end by itself:\n${run.printed.join("\n")}`);
}

function residentBytes(pid: number): number {
  const status = fs.readFileSync(`/proc/${pid}/status`, "utf8");
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0) * 1024;
}

function isPlain(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
