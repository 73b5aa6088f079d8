import { fork, spawn, type ChildProcess } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { stringify } from "yaml";

/** A sample service under the demo's control. */
export interface SampleService {
  readonly name: "v1" | "v2";
  readonly url: string;
  /** From now on this part of its answers is a planted 500. */
  failFrom(share: number): void;
  /** What it has seen; the time is wall clock, milliseconds with fractions. */
  seen(): Promise<{ readonly requests: number; readonly lastRequestAtMs: number }>;
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
  /** Ends every process and removes the folder; resolves with the sidecar's exit code. */
  close(): Promise<number | null>;
}

/** The ports that the documentation names. */
const USUAL_PORTS = [8080, 9901, 9464] as const;
const STOP_MS = 6_000;

const children = new Set<ChildProcess>();
// Whatever ends this process early, its children go with it.
process.on("exit", () => {
  for (const child of children) child.kill("SIGKILL");
});

/** Starts both services and the sidecar; rejects with what the sidecar printed when it does not come up. */
export async function openStage(route: string, salt: string): Promise<Stage> {
  const folder = mkdtempSync(join(tmpdir(), "crossfade-demo-"));
  try {
    const [v1, v2] = await Promise.all([startService("v1", 8), startService("v2", 5)]);
    const configFile = join(folder, "crossfade.yaml");
    writeFileSync(configFile, await configText(folder, { route, salt, v1: v1.url, v2: v2.url }));
    const sidecar = await startSidecar(configFile);
    const close = async (): Promise<number | null> => {
      const code = await end(sidecar.child);
      await Promise.all([end(v1.child), end(v2.child)]);
      rmSync(folder, { recursive: true, force: true });
      return code;
    };
    return { v1, v2, sidecar, close };
  } catch (error) {
    for (const child of children) child.kill("SIGKILL");
    rmSync(folder, { recursive: true, force: true });
    throw error;
  }
}

const SERVICE = fileURLToPath(new URL("./sample-service.ts", import.meta.url));
const CROSSFADE = fileURLToPath(new URL("../../bin/crossfade.js", import.meta.url));

async function startService(name: "v1" | "v2", meanMs: number): Promise<SampleService & { child: ChildProcess }> {
  const child = adopt(fork(SERVICE, [name, String(meanMs)], { stdio: ["ignore", "ignore", "inherit", "ipc"] }));
  const { port } = (await message(child)) as { readonly port: number };
  return {
    child,
    name,
    url: `http://127.0.0.1:${port}`,
    failFrom: (failShare) => void child.send({ failShare }),
    async seen() {
      const answer = message(child);
      child.send({ ask: true });
      return (await answer) as { readonly requests: number; readonly lastRequestAtMs: number };
    },
  };
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

async function configText(
  folder: string,
  { route, salt, v1, v2 }: { readonly route: string; readonly salt: string; readonly v1: string; readonly v2: string },
): Promise<string> {
  const [listen, admin, metrics] = await Promise.all(USUAL_PORTS.map(addressOn));
  const config = {
    listen: [{ address: listen }],
    admin: { address: admin },
    metrics: { address: metrics },
    runtime: { threads: 2, stateDir: join(folder, "state"), drain: { lameDuck: "0s", deadline: "3s" } },
    log: { access: "none" },
    upstreams: { v1: { endpoints: [v1] }, v2: { endpoints: [v2] } },
    routes: [
      {
        name: route,
        match: { pathPrefix: "/" },
        split: { baseline: "v1", candidate: "v2", share: "0%", salt, sticky: [{ header: "x-user-id" }] },
      },
    ],
  };
  return `# The demo's config. Edit and save: it is in force at once.\n${stringify(config)}`;
}

/** The usual port when nobody has it, else any free one. */
async function addressOn(port: number): Promise<string> {
  const probe = createServer();
  const { promise, resolve } = Promise.withResolvers<boolean>();
  probe.once("error", () => resolve(false));
  probe.listen(port, "127.0.0.1", () => resolve((probe.address() as AddressInfo).port === port));
  const free = await promise;
  if (free) await new Promise((closed) => probe.close(closed));
  return `127.0.0.1:${free ? port : 0}`;
}

function adopt(child: ChildProcess): ChildProcess {
  children.add(child);
  child.once("exit", () => children.delete(child));
  return child;
}

function message(child: ChildProcess): Promise<unknown> {
  return new Promise((resolve, reject) => {
    child.once("message", resolve);
    child.once("exit", (code) => reject(new Error(`a sample service ended with ${code}`)));
  });
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
