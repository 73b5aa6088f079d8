import { execFile, spawn, type ChildProcess } from "node:child_process";
import fs from "node:fs";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";

/** A process of the benchmark that runs until `stop`. */
export interface Running {
  readonly pid: number;
  /** First match of the pattern in what it printed. */
  readonly match: RegExpExecArray;
  stop(): Promise<void>;
}

/** What a process and its children have used so far. */
export interface CpuTimes {
  /** All threads, user and system, in µs, as the scheduler counts it. */
  readonly micros: number;
  /** In clock ticks of 10 ms: good for the proportion of the two, not for their sum. */
  readonly userTicks: number;
  readonly systemTicks: number;
}

interface Launched {
  readonly child: ChildProcess;
  /** Rejects when it ends or cannot be started. */
  readonly ended: Promise<never>;
  stop(): Promise<void>;
}

type Environment = Readonly<Record<string, string>>;

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
  const child = execFile(program, rest, { timeout: 120_000, maxBuffer: 16 << 20 }, (error, stdout, stderr) => {
    children.delete(child);
    if (error === null) resolve(stdout);
    else reject(new Error(`${command} failed: ${error.message}\n${stdout}${stderr}`));
  });
  children.add(child);
  return promise;
}

/** Starts a program and waits until it printed what the pattern says. */
export async function startPinned(
  core: number | null,
  command: string,
  args: readonly string[],
  ready: RegExp,
): Promise<Running> {
  const { promise: match, resolve } = Promise.withResolvers<RegExpExecArray>();
  let isReady = false;
  const launched = launch(core, command, args, {}, (printed) => {
    // An access log may follow, thousands of lines a second.
    const found = isReady ? null : ready.exec(printed);
    if (found === null) return;
    isReady = true;
    resolve(found);
  });
  const found = await whenReady(match, launched);
  return { pid: launched.child.pid ?? 0, match: found, stop: launched.stop };
}

/** Starts a server that says nothing when it is ready, and waits until it takes connections on the loopback port. */
export async function startListening(
  core: number | null,
  command: string,
  args: readonly string[],
  port: number,
  env: Environment = {},
): Promise<Omit<Running, "match">> {
  const launched = launch(core, command, args, env, () => {});
  await whenReady(untilListening(port), launched);
  return { pid: launched.child.pid ?? 0, stop: launched.stop };
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

/** CPU time as `cpuMicros`, and how it divides into user and system. */
export function cpuTimes(pid: number): CpuTimes {
  const ticks = [pid, ...descendantsOf(pid)].map((each) => ticksOf(each));
  const sum = (index: 0 | 1): number => ticks.reduce((total, pair) => total + pair[index], 0);
  return { micros: cpuMicros(pid), userTicks: sum(0), systemTicks: sum(1) };
}

/** Time that one core was not idle since the start of the machine, in µs, in steps of 10 ms. */
export function coreBusyMicros(core: number): number {
  const fields = new RegExp(`^cpu${core} (.*)$`, "m").exec(fs.readFileSync("/proc/stat", "utf8"))?.[1] ?? "";
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0] = fields.split(" ").map(Number);
  return (user + nice + system + irq + softirq) * MICROS_OF_TICK;
}

/** Resident set of a process and its children, in bytes. */
export function residentBytes(pid: number): number {
  const status = fs.readFileSync(`/proc/${pid}/status`, "utf8");
  const own = Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0) * 1024;
  return childrenOf(pid).reduce((sum, child) => sum + residentBytes(child), own);
}

const MICROS_OF_TICK = 10_000;
const READY_WITHIN_MS = 30_000;
const children = new Set<ChildProcess>();
// However the benchmark ends, nothing of it stays. SIGTERM, because an nginx that is killed leaves its workers behind.
process.on("exit", () => {
  for (const child of children) child.kill("SIGTERM");
});
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  process.once(signal, () => process.exit(128 + os.constants.signals[signal]));
}

function launch(
  core: number | null,
  command: string,
  args: readonly string[],
  env: Environment,
  onPrint: (printed: string) => void,
): Launched {
  const [program, rest] = pinned(core, command, args);
  const child = spawn(program, rest, { stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, ...env } });
  children.add(child);
  const { promise: exited, resolve: onExit } = Promise.withResolvers<void>();
  const { promise: ended, reject } = Promise.withResolvers<never>();
  // Once it is ready nobody waits for this one; the load on it will tell that it is gone.
  ended.catch(() => {});
  let printed = "";
  const read = (chunk: Buffer): void => {
    printed = (printed + chunk.toString("utf8")).slice(-65_536);
    onPrint(printed);
  };
  child.stdout.on("data", read);
  child.stderr.on("data", read);
  child.on("error", reject);
  child.on("exit", (code, signal) => {
    children.delete(child);
    reject(new Error(`${path.basename(command)} ended with ${code ?? signal}:\n${printed}`));
    onExit();
  });
  return { child, ended, stop: () => stopChild(child, exited) };
}

async function whenReady<T>(ready: Promise<T>, { child, ended, stop }: Launched): Promise<T> {
  const late = delay(READY_WITHIN_MS, null, { ref: false }).then(() => {
    throw new Error(`${child.spawnargs.join(" ")} is not ready after ${READY_WITHIN_MS} ms`);
  });
  try {
    return await Promise.race([ready, ended, late]);
  } catch (error) {
    await stop();
    throw error;
  }
}

async function stopChild(child: ChildProcess, exited: Promise<void>): Promise<void> {
  child.kill("SIGTERM");
  const last = setTimeout(() => child.kill("SIGKILL"), 5_000);
  await exited;
  clearTimeout(last);
}

function pinned(core: number | null, command: string, args: readonly string[]): [string, string[]] {
  return core === null ? [command, [...args]] : ["taskset", ["-c", String(core), command, ...args]];
}

async function untilListening(port: number): Promise<void> {
  const deadlineMs = performance.now() + READY_WITHIN_MS;
  while (!(await takesConnections(port)) && performance.now() < deadlineMs) await delay(20);
}

function takesConnections(port: number): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const socket = net.connect(port, "127.0.0.1", () => resolve(true));
  socket.on("error", () => resolve(false));
  return promise.finally(() => socket.destroy());
}

function threadsOf(pid: number): readonly string[] {
  return fs.readdirSync(`/proc/${pid}/task`);
}

function childrenOf(pid: number): readonly number[] {
  const lists = threadsOf(pid).map((thread) => fs.readFileSync(`/proc/${pid}/task/${thread}/children`, "utf8"));
  return lists.flatMap((list) => list.split(" ").filter(Boolean).map(Number));
}

function descendantsOf(pid: number): readonly number[] {
  return childrenOf(pid).flatMap((child) => [child, ...descendantsOf(child)]);
}

function ticksOf(pid: number): readonly [user: number, system: number] {
  // The program's name may hold spaces and parentheses; the fields after it count from the third, utime is the 14th.
  const stat = fs.readFileSync(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return [Number(fields[11]), Number(fields[12])];
}

function runNanos(file: string): number {
  try {
    return Number(fs.readFileSync(file, "utf8").split(" ")[0]);
  } catch {
    // A thread may end between the listing and the reading.
    return 0;
  }
}
