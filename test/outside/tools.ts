import { execFile, spawn, spawnSync, type ChildProcess } from "node:child_process";
import fs from "node:fs";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import { test, type TestContext } from "node:test";
import type { Scope } from "../support/scope.ts";
import { changed, until } from "../support/until.ts";

/** A program that is not ours: what a skipped test calls it, and where it is, or null when it is not here. */
export interface Tool {
  readonly name: string;
  readonly command: string | null;
}

/** What a program printed, and how it ended; `code` is null when a signal ended it. */
export interface ToolResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A program that runs until its test ends. */
export interface RunningTool {
  readonly pid: number;
  /** All that it has printed so far, on both streams. */
  printed(): string;
}

/** Looks for a program on the PATH, then where administrators' programs are. */
export function findTool(name: string): Tool {
  return { name, command: findAll(name)[0] ?? null };
}

/** A Python that can import this module; a machine may have several. */
export function findPythonWith(module: string): Tool {
  const able = (command: string): boolean => spawnSync(command, ["-c", `import ${module}`]).status === 0;
  return { name: `python3-${module}`, command: findAll("python3").find(able) ?? null };
}

/** A test that needs these programs. Where one is missing it is skipped, and its name says which. */
export function testWith(
  tools: readonly Tool[],
  name: string,
  timeoutMs: number,
  body: (t: TestContext, commands: readonly string[]) => Promise<void>,
): void {
  const missing = tools.filter((tool) => tool.command === null).map((tool) => `no ${tool.name}`);
  if (missing.length > 0) {
    test(`${name} (skipped: ${missing.join(", ")})`, { skip: missing.join(", ") }, () => {});
    return;
  }
  const commands = tools.map((tool) => tool.command ?? "");
  test(name, { timeout: timeoutMs }, (t) => body(t, commands));
}

/** Runs a program to its end; one that is not done by the deadline is killed. Resolves whatever its exit code is. */
export function runTool(
  command: string,
  args: readonly string[],
  options: { readonly deadlineMs: number; readonly input?: string; readonly env?: NodeJS.ProcessEnv },
): Promise<ToolResult> {
  const { promise, resolve } = Promise.withResolvers<ToolResult>();
  const child = execFile(
    command,
    args,
    {
      timeout: options.deadlineMs,
      killSignal: "SIGKILL",
      maxBuffer: 64 << 20,
      env: { ...process.env, ...options.env },
    },
    (_error, stdout, stderr) => resolve({ code: child.exitCode, stdout, stderr }),
  );
  child.stdin?.on("error", () => {});
  child.stdin?.end(options.input ?? "");
  return promise;
}

/** Starts a program that serves; it is ended with the scope. */
export function startTool(
  scope: Scope,
  command: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv = {},
): RunningTool {
  const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, ...env } });
  let printed = "";
  const read = (chunk: Buffer): void => {
    printed += chunk.toString("utf8");
    changed();
  };
  child.stdout.on("data", read);
  child.stderr.on("data", read);
  child.on("exit", changed);
  child.on("error", (error) => {
    printed += String(error);
  });
  scope.after(() => end(child));
  return {
    pid: child.pid ?? 0,
    printed: () => {
      if (hasExited(child)) throw new Error(`${path.basename(command)} ended early:\n${printed}`);
      return printed;
    },
  };
}

/** A loopback port that nobody listens on now, for programs that cannot be told "any". */
export async function freePort(): Promise<number> {
  const server = net.createServer();
  const { promise, resolve } = Promise.withResolvers<void>();
  server.listen(0, "127.0.0.1", () => resolve());
  await promise;
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  const closed = Promise.withResolvers<void>();
  server.close(() => closed.resolve());
  await closed.promise;
  return address.port;
}

/** Waits until something accepts connections on this loopback port. */
export async function untilListening(port: number, what: string): Promise<void> {
  const deadlineMs = performance.now() + 15_000;
  while (!(await accepts(port))) {
    if (performance.now() > deadlineMs) throw new Error(`${what} does not listen on ${port}`);
  }
}

/** How many connections this loopback server port holds now, counted by the kernel; half-closed ones count too. */
export function connectionsHeld(port: number): number {
  const local = `0100007F:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  const lines = fs.readFileSync("/proc/net/tcp", "utf8").split("\n").slice(1);
  // Third column: the peer; fourth: the state. Those that only wait for stray packets belong to no process.
  const held = lines.map((line) => line.trim().split(/\s+/)).filter((fields) => fields[1] === local);
  return held.filter((fields) => !["06", "0A"].includes(fields[3] ?? "")).length;
}

/** A folder of its own, removed with the scope. */
export function useFolder(scope: Scope): string {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "crossfade-outside-"));
  scope.after(() => fs.rmSync(folder, { recursive: true, force: true }));
  return folder;
}

function findAll(name: string): string[] {
  const folders = [...(process.env["PATH"] ?? "").split(path.delimiter), "/usr/bin", "/usr/sbin"];
  return folders.map((folder) => path.join(folder, name)).filter(isProgram);
}

function isProgram(file: string): boolean {
  try {
    fs.accessSync(file, fs.constants.X_OK);
    return fs.statSync(file).isFile();
  } catch {
    return false;
  }
}

function accepts(port: number): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const socket = net.connect(port, "127.0.0.1");
  socket.on("connect", () => resolve(true));
  // A refusal comes at once; the pause keeps the asking from being a busy loop.
  socket.on("error", () => setTimeout(resolve, 50, false));
  return promise.finally(() => socket.destroy());
}

async function end(child: ChildProcess): Promise<void> {
  if (child.pid === undefined) return;
  child.kill("SIGTERM");
  const last = setTimeout(() => child.kill("SIGKILL"), 3_000);
  await until(() => hasExited(child), `process ${child.pid} to exit`, { deadlineMs: 6_000 });
  clearTimeout(last);
}

function hasExited(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}
