import { spawn } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { parse } from "yaml";
import type { Arms } from "./arms.ts";
import { useFolder } from "./control-plane.ts";
import { header } from "./message-reader.ts";
import { connectRaw, requestText, type Answer } from "./raw-client.ts";
import type { Scope } from "./scope.ts";
import { scrapeUntil, type Scrape } from "./scrape.ts";
import { startSidecar, type Sidecar } from "./sidecar.ts";
import { spawnUpstream, type UpstreamProcess } from "./spawn-upstream.ts";

/** The services of plan S0. `local` is its local mode, on a Unix socket. */
export interface PlanServices {
  readonly v1: UpstreamProcess;
  readonly v2: UpstreamProcess;
  readonly local: UpstreamProcess;
}

/** The plan's variables as it lists them, but for times that a test would wait for: checks and the open time. */
export const PLAN_VARIABLES: Readonly<Record<string, string>> = {
  KGC_SIDECAR_V2_ENABLED: "true",
  KGC_SIDECAR_HEALTH_CHECK_INTERVAL: "200",
  KGC_SIDECAR_HEALTH_CHECK_TIMEOUT: "100",
  KGC_SIDECAR_HEALTH_CHECK_RETRIES: "3",
  KGC_SIDECAR_CIRCUIT_BREAKER_THRESHOLD: "3",
  KGC_SIDECAR_CIRCUIT_BREAKER_TIMEOUT: "1000",
  KGC_SIDECAR_CIRCUIT_BREAKER_HALF_OPEN_REQUESTS: "3",
  KGC_SIDECAR_FALLBACK_MODE: "local",
  KGC_SIDECAR_FALLBACK_AUTO_RECOVER: "true",
  KGC_SIDECAR_RETRY_MAX_ATTEMPTS: "3",
  KGC_SIDECAR_RETRY_INITIAL_DELAY: "100",
  KGC_SIDECAR_RETRY_MAX_DELAY: "1600",
  KGC_SIDECAR_RETRY_MULTIPLIER: "2",
  KGC_SIDECAR_POOL_MIN_CONNECTIONS: "2",
  KGC_SIDECAR_POOL_MAX_CONNECTIONS: "10",
  KGC_SIDECAR_POOL_IDLE_TIMEOUT: "60000",
};

/** An operation of the plan: its answer is the same wherever it runs. */
export const OPERATION = "/hooks?bytes=64";

/** Starts the three services; they end with the scope. */
export async function usePlanServices(scope: Scope): Promise<PlanServices> {
  const socket = path.join(useFolder(scope), "local.sock");
  const [v1, v2, local] = await Promise.all([
    spawnUpstream(scope, "v1"),
    spawnUpstream(scope, "v2"),
    spawnUpstream(scope, "local", socket),
  ]);
  return { v1, v2, local };
}

/**
 * Starts a sidecar on config/s0-kgc-sidecar.yaml as it is; where things are comes from variables, as does what the plan
 * sets. It ends with the scope, or before by `stop`.
 */
export async function startPlan(
  scope: Scope,
  { v1, v2, local }: PlanServices,
  variables: Readonly<Record<string, string>> = {},
): Promise<Sidecar> {
  const places = {
    V1_URL: v1.url,
    V2_URL: v2.url,
    LOCAL_URL: local.url,
    CROSSFADE_LISTEN_0_ADDRESS: "127.0.0.1:0",
    CROSSFADE_ADMIN_ADDRESS: "127.0.0.1:0",
    CROSSFADE_METRICS_ADDRESS: "127.0.0.1:0",
    CROSSFADE_RUNTIME_STATE_DIR: useFolder(scope),
    CROSSFADE_RUNTIME_THREADS: "2",
  };
  const sidecar = await startSidecar(planConfig(), { env: { ...places, ...PLAN_VARIABLES, ...variables } });
  let stopped: Promise<unknown> | null = null;
  const stop = sidecar.stop.bind(sidecar);
  const once = { ...sidecar, stop: () => (stopped ??= stop()) as ReturnType<Sidecar["stop"]> };
  scope.after(async () => {
    await once.stop();
  });
  await scrapeUntil(once, "v2 to be healthy", isV2Up);
  return once;
}

/** Whether the check of v2 passes. */
export function isV2Up(scrape: Scrape): boolean {
  return scrape.sum("crossfade_health_up", { upstream: "v2" }) === 1;
}

/** The operation, or a POST of it, as a client of the plan on a connection of its own. */
export async function askOperation(
  scope: Scope,
  sidecar: Sidecar,
  clientId: string,
  method: "GET" | "POST" = "GET",
): Promise<Answer & { readonly tookMs: number }> {
  const client = await connectRaw(scope, sidecar.port);
  const askedMs = performance.now();
  const body = method === "POST" ? "{}" : "";
  const answer = await client.exchange(requestText(method, OPERATION, [`x-client-id: ${clientId}`], body));
  client.destroy();
  return { ...answer, tookMs: performance.now() - askedMs };
}

/** Who serves each client. */
export async function armsOf(scope: Scope, sidecar: Sidecar, clientIds: readonly string[]): Promise<Arms> {
  const client = await connectRaw(scope, sidecar.port);
  const arms = new Map<string, string>();
  for (const id of clientIds) {
    const answer = await client.exchange(requestText("GET", OPERATION, [`x-client-id: ${id}`]));
    arms.set(id, header(answer, "x-crossfade-upstream") ?? "");
  }
  client.destroy();
  return arms;
}

/** Runs `crossfade ctl` against a sidecar as an operator would; resolves with what it printed, rejects when it failed. */
export async function ctl(sidecar: Sidecar, ...words: readonly string[]): Promise<string> {
  const child = spawn(process.execPath, [BIN, "ctl", "--admin", sidecar.adminUrl ?? "", ...words], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  let printed = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => {
      printed += text;
    });
  }
  const code = await new Promise<number | null>((resolve) => {
    child.on("close", resolve);
  });
  if (code !== 0) throw new Error(`crossfade ctl ${words.join(" ")}: exit code ${code}\n${printed}`);
  return printed;
}

const BIN = fileURLToPath(new URL("../../bin/crossfade.js", import.meta.url));
const PLAN_FILE = new URL("../../config/s0-kgc-sidecar.yaml", import.meta.url);

function planConfig(): object {
  return parse(fs.readFileSync(PLAN_FILE, "utf8")) as object;
}
