import { execFile, spawn, type ChildProcess } from "node:child_process";
import fs from "node:fs";
import net from "node:net";
import os from "node:os";
import path from "node:path";

/** A process of the benchmark that runs until `stop`. */
export interface Running {
  readonly pid: number;
  /** First match of the pattern in what it printed on stdout. */
  readonly match: RegExpExecArray;
  stop(): Promise<void>;
}

/** Finds a program on the PATH or where administrators' programs are. */
export function findProgram(name: string): string | null {
  const folders = [...(process.env["PATH"] ?? "").split(path.delimiter), "/usr/sbin"];
  return folders.map((folder) => path.join(folder, name)).find((file) => fs.existsSync(file)) ?? null;
}

/**
 * One core for what is measured and one for the rest, where there are two and `taskset` can hold a process to one.
 * Null = not pinned.
 */
export function coresToUse(): { readonly measured: number | null; readonly rest: number | null } {
  const able = os.availableParallelism() >= 2 && findProgram("taskset") !== null;
  return able ? { measured: 0, rest: 1 } : { measured: null, rest: null };
}

/** Runs a program to its end; resolves with its stdout, rejects with all that it printed when it fails. */
export function runPinned(core: number | null, command: string, args: readonly string[]): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const [program, rest] = pinned(core, command, args);
  execFile(program, rest, { timeout: 120_000, maxBuffer: 16 << 20 }, (error, stdout, stderr) => {
    if (error === null) resolve(stdout);
    else reject(new Error(`${command} failed: ${error.message}\n${stdout}${stderr}`));
  });
  return promise;
}

/** Starts a program and waits until it printed what the pattern says. */
export async function startPinned(
  core: number | null,
  command: string,
  args: readonly string[],
  ready: RegExp,
): Promise<Running> {
  const [program, rest] = pinned(core, command, args);
  const child = spawn(program, rest, { stdio: ["ignore", "pipe", "pipe"] });
  children.add(child);
  const { promise: exited, resolve: onExit } = Promise.withResolvers<void>();
  const { promise: match, resolve, reject } = Promise.withResolvers<RegExpExecArray>();
  let printed = "";
  const read = (chunk: Buffer): void => {
    printed = (printed + chunk.toString("utf8")).slice(-65_536);
    const found = ready.exec(printed);
    if (found !== null) resolve(found);
  };
  child.stdout.on("data", read);
  child.stderr.on("data", read);
  child.on("error", reject);
  child.on("exit", (code, signal) => {
    children.delete(child);
    reject(new Error(`${command} ended with ${code ?? signal}:\n${printed}`));
    onExit();
  });
  return {
    pid: child.pid ?? 0,
    match: await match,
    stop: async () => {
      child.kill("SIGTERM");
      const last = setTimeout(() => child.kill("SIGKILL"), 5_000);
      await exited;
      clearTimeout(last);
    },
  };
}

/** A loopback port that nobody listens on now, for programs that cannot be told "any". */
export function freePort(): Promise<number> {
  const { promise, resolve } = Promise.withResolvers<number>();
  const server = net.createServer();
  server.listen(0, "127.0.0.1", () => {
    const address = server.address();
    server.close(() => resolve(typeof address === "object" && address !== null ? address.port : 0));
  });
  return promise;
}

/** CPU time that a process and its children processes have used so far, all threads, user and system, in µs. */
export function cpuMicros(pid: number): number {
  const own =
    threadsOf(pid).reduce((sum, thread) => sum + runNanos(`/proc/${pid}/task/${thread}/schedstat`), 0) / 1_000;
  return childrenOf(pid).reduce((sum, child) => sum + cpuMicros(child), own);
}

/** Resident set of a process and its children, in bytes. */
export function residentBytes(pid: number): number {
  const status = fs.readFileSync(`/proc/${pid}/status`, "utf8");
  const own = Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0) * 1024;
  return childrenOf(pid).reduce((sum, child) => sum + residentBytes(child), own);
}

const children = new Set<ChildProcess>();
// However the benchmark ends, nothing of it stays.
process.on("exit", () => {
  for (const child of children) child.kill("SIGKILL");
});

function pinned(core: number | null, command: string, args: readonly string[]): [string, string[]] {
  return core === null ? [command, [...args]] : ["taskset", ["-c", String(core), command, ...args]];
}

function threadsOf(pid: number): readonly string[] {
  return fs.readdirSync(`/proc/${pid}/task`);
}

function childrenOf(pid: number): readonly number[] {
  const lists = threadsOf(pid).map((thread) => fs.readFileSync(`/proc/${pid}/task/${thread}/children`, "utf8"));
  return lists.flatMap((list) => list.split(" ").filter(Boolean).map(Number));
}

function runNanos(file: string): number {
  try {
    return Number(fs.readFileSync(file, "utf8").split(" ")[0]);
  } catch {
    // A thread may end between the listing and the reading.
    return 0;
  }
}
