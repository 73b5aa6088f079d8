import fs from "node:fs";
import path from "node:path";
import type { Sidecar } from "./sidecar.ts";
import { until } from "./until.ts";

/** How many file descriptors a process holds. */
export function openFiles(pid: number): number {
  return fs.readdirSync(`/proc/${pid}/fd`).length;
}

/** How many of them are sockets. */
export function openSockets(pid: number): number {
  return fs.readdirSync(`/proc/${pid}/fd`).filter((fd) => isSocket(`/proc/${pid}/fd/${fd}`)).length;
}

/** Waits until a process holds no more sockets than it did before. */
export async function untilSockets(pid: number, atMost: number, deadlineMs?: number): Promise<void> {
  await until(() => openSockets(pid) <= atMost, `the process to hold ${atMost} sockets again`, {
    detail: () => `it holds ${openSockets(pid)}`,
    ...(deadlineMs !== undefined && { deadlineMs }),
  });
}

/** Arguments of node that put the crash hook into a sidecar; without it nothing in a sidecar can be told to crash. */
export const CRASHABLE: readonly string[] = ["--import", new URL("./crash-hook.ts", import.meta.url).href];

/** Raises an uncaught exception in a thread of a sidecar that was started as `CRASHABLE`. */
export function crashThread(sidecar: Sidecar, threadName: string): void {
  fs.writeFileSync(path.join(sidecar.directory, "crash"), threadName);
  sidecar.signal("SIGUSR2");
}

function isSocket(link: string): boolean {
  try {
    return fs.readlinkSync(link).startsWith("socket:");
  } catch {
    // Closed between the listing and the look.
    return false;
  }
}
