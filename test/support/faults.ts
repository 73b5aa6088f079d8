import fs from "node:fs";
import path from "node:path";
import type { Sidecar, SidecarOptions } from "./sidecar.ts";
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

/** Names of a sidecar under test that resolve as long as a test wants it. */
export interface TestNames {
  /** How to start the sidecar. */
  readonly options: Pick<SidecarOptions, "nodeArguments" | "env">;
  /** From now on exactly these names under `.names.test` resolve, to 127.0.0.1. */
  resolve(...names: readonly string[]): void;
}

/** Takes the names under `.names.test` in hand for a sidecar that is started with these options. */
export function useNames(folder: string): TestNames {
  const file = path.join(folder, "names");
  const hook = new URL("./name-hook.ts", import.meta.url).href;
  return {
    options: { nodeArguments: ["--import", hook], env: { TEST_NAMES: file } },
    resolve: (...names) => {
      // With a rename: nobody reads half a list.
      fs.writeFileSync(`${file}.new`, names.join("\n"));
      fs.renameSync(`${file}.new`, file);
    },
  };
}

function isSocket(link: string): boolean {
  try {
    return fs.readlinkSync(link).startsWith("socket:");
  } catch {
    // Closed between the listing and the look.
    return false;
  }
}
