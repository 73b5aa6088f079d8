import { spawn, type ChildProcess } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { Scope } from "./scope.ts";
import { changed, until } from "./until.ts";

/** An upstream in a process of its own. */
export interface UpstreamProcess {
  readonly name: string;
  readonly port: number;
  readonly url: string;
  readonly pid: number;
  /** Ends it with SIGKILL and waits: its port refuses from then on. */
  kill(): Promise<void>;
}

/** Spawns test/support/upstream-process.ts; it ends with the scope. `port` 0 = any free one. */
export async function spawnUpstream(scope: Scope, name: string, port: number = 0): Promise<UpstreamProcess> {
  const script = fileURLToPath(new URL("./upstream-process.ts", import.meta.url));
  const child = spawn(process.execPath, [script, "--name", name, "--port", String(port)], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const kill = async (): Promise<void> => {
    child.kill("SIGKILL");
    await until(() => hasExited(child), `upstream ${name} to exit`);
  };
  child.on("exit", changed);
  scope.after(kill);
  const listening = await firstLine(child, name);
  const address = JSON.parse(listening) as { readonly port: number };
  return { name, port: address.port, url: `http://127.0.0.1:${address.port}`, pid: child.pid ?? 0, kill };
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
