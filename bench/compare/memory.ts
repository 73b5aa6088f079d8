import { execFileSync } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { Contestant, Place } from "../contestant.ts";
import { loadTools } from "../loads.ts";
import { residentBytes } from "../processes.ts";
import { crossfade } from "../servers/crossfade.ts";
import type { MemoryRow } from "./report.ts";

/** The load under which memory is looked at. */
export interface MemoryLoad {
  readonly seconds: number;
  /** Before that: with few connections, until the code is compiled. */
  readonly warmUpSeconds: number;
  readonly script: string;
  readonly loadCore: number | null;
}

const CONNECTIONS = 1_000;
const FEW_CONNECTIONS = 64;
const IDLE_MS = 5_000;
const LOOK_EVERY_MS = 200;

/**
 * The sidecar as it is shipped: compiled, laid out as the package is, started by its bin script. Rejects with the
 * compiler's words when it does not compile.
 */
export function builtCrossfade(folder: string): Contestant {
  const root = fileURLToPath(new URL("../../", import.meta.url));
  const shipped = fs.mkdtempSync(path.join(folder, "shipped-"));
  const compiler = path.join(root, "node_modules/.bin/tsc");
  execFileSync(compiler, ["-p", "tsconfig.build.json", "--outDir", path.join(shipped, "dist")], { cwd: root });
  fs.cpSync(path.join(root, "bin"), path.join(shipped, "bin"), { recursive: true });
  fs.copyFileSync(path.join(root, "package.json"), path.join(shipped, "package.json"));
  fs.symlinkSync(path.join(root, "node_modules"), path.join(shipped, "node_modules"));
  const script = path.join(shipped, "bin/crossfade.js");
  return crossfade({ name: "crossfade-native, from dist", engine: "native", script });
}

/** Resident memory of a fresh process, idle for 5 s and then with 1 000 busy connections. */
export async function memoryRow(contestant: Contestant, place: Place, load: MemoryLoad): Promise<MemoryRow> {
  const subject = await contestant.start(place);
  try {
    await delay(IDLE_MS);
    const idleBytes = residentBytes(subject.processId);
    await keepBusy(subject.url, FEW_CONNECTIONS, load.warmUpSeconds, load);
    const over = new AbortController();
    const looking = mostResident(subject.processId, over.signal);
    const failure = await keepBusy(subject.url, CONNECTIONS, load.seconds, load);
    over.abort();
    return { subject: subject.name, idleBytes, connections: CONNECTIONS, busyBytes: await looking, failure };
  } finally {
    await subject.stop();
  }
}

/** Returns what went wrong; null = nothing. */
async function keepBusy(url: string, connections: number, seconds: number, load: MemoryLoad): Promise<string | null> {
  const [tool] = loadTools();
  if (tool?.name !== "wrk") return "wrk is not on the PATH";
  const spec = { url, connections, seconds, headers: {}, script: load.script };
  const { requests, failed, failedHow } = await tool.run(spec, load.loadCore);
  return failed === 0 ? null : `${failedHow} among ${requests} requests`;
}

async function mostResident(processId: number, over: AbortSignal): Promise<number> {
  let most = 0;
  while (!over.aborted) {
    most = Math.max(most, residentBytes(processId));
    await delay(LOOK_EVERY_MS);
  }
  return most;
}
