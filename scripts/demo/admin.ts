import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";

/** The demo's hands: the admin API directly, and `crossfade ctl` as a person would type it. */
export interface Admin {
  /** `PUT routes/ROUTE/split`. */
  split(share: string): Promise<void>;
  /** Runs `crossfade ctl`; rejects when it does not exit with 0. */
  ctl(...args: readonly string[]): Promise<CtlRun>;
  /** Wall clock of the route's last change by hand as the sidecar recorded it, milliseconds. */
  changedAtMs(): Promise<number>;
  /** How the candidate is doing in the sidecar's eyes. */
  candidate(): Promise<CandidateReading>;
  /** Tries at an upstream that failed, by the metrics. */
  failedTries(upstream: string): Promise<number>;
  /** The share in force and whether the route is killed. */
  inForce(): Promise<{ readonly candidatePpm: number; readonly killed: boolean }>;
}

/** An upstream as `GET status` shows it, and what goes with it. Times are wall clock, milliseconds. */
export interface CandidateReading {
  /** `healthy`, `unhealthy` or `unknown`. */
  readonly health: string;
  readonly healthSinceMs: number;
  /** Why the last check failed that did; null: none did. */
  readonly healthReason: string | null;
  readonly circuit: "closed" | "open" | "half-open";
  /** 0: it never was in another state. */
  readonly circuitSinceMs: number;
  /** How often the circuit opened so far. */
  readonly opened: number;
  /** Connections that carry a request. */
  readonly busy: number;
  /** Requests of the route that the other arm answered so far. */
  readonly fallbacks: number;
  /** Of the snapshot in force: each change adds one. */
  readonly generation: number;
}

/** A `crossfade ctl` that succeeded. */
export interface CtlRun {
  /** As a person would type it. */
  readonly typed: string;
  /** What it printed, by line. */
  readonly lines: readonly string[];
  readonly ms: number;
}

const CROSSFADE = fileURLToPath(new URL("../../bin/crossfade.js", import.meta.url));
const USUAL_ADMIN = "http://127.0.0.1:9901";

/** Hands for one route of the sidecar, whose candidate is `v2`. */
export function adminOf({ admin: url, metrics }: AdminAddresses, route: string): Admin {
  const api = async (method: string, path: string, body?: object): Promise<unknown> => {
    const headers = { "content-type": "application/json", "x-crossfade-actor": "demo" };
    const init = body === undefined ? { method } : { method, headers, body: JSON.stringify(body) };
    const answer = await fetch(`${url}/api/v1/${path}`, init);
    if (!answer.ok) throw new Error(`${method} ${path} was answered ${answer.status}: ${await answer.text()}`);
    return answer.json();
  };
  return {
    async split(share) {
      await api("PUT", `routes/${route}/split`, { share, reason: "demo" });
    },
    candidate: async () => readingOf((await api("GET", "status")) as StatusAnswer, route),
    async failedTries(upstream) {
      const text = await (await fetch(`${metrics}/metrics`)).text();
      return sumOfSamples(text, `crossfade_upstream_failures_total{upstream="${upstream}",`);
    },
    ctl: (...args) => runCtl(url, args),
    async changedAtMs() {
      const { overlay } = (await api("GET", "config")) as OverlayAnswer;
      const atMs = overlay.routes[route]?.split?.atMs;
      if (atMs === undefined) throw new Error(`route ${route} was not changed by hand`);
      return atMs;
    },
    inForce: async () => (await api("GET", `routes/${route}`)) as { candidatePpm: number; killed: boolean },
  };
}

/** Where the sidecar can be asked. */
export interface AdminAddresses {
  readonly admin: string;
  readonly metrics: string;
}

interface StatusAnswer {
  readonly generation: number;
  readonly routes: readonly { readonly name: string; readonly fallbacks: { readonly arm: number } }[];
  readonly upstreams: readonly UpstreamAnswer[];
}

interface UpstreamAnswer {
  readonly name: string;
  readonly connections: { readonly active: number };
  readonly circuit: {
    readonly state: CandidateReading["circuit"];
    readonly since: string | null;
    readonly opened: number;
  };
  readonly endpointStates: readonly {
    readonly health: string;
    readonly healthSince: string;
    readonly healthReason: string | null;
  }[];
}

function readingOf({ generation, routes, upstreams }: StatusAnswer, route: string): CandidateReading {
  const candidate = upstreams.find(({ name }) => name === "v2");
  const endpoint = candidate?.endpointStates[0];
  if (candidate === undefined || endpoint === undefined) throw new Error("the sidecar knows no v2");
  const { circuit, connections } = candidate;
  return {
    health: endpoint.health,
    healthSinceMs: Date.parse(endpoint.healthSince),
    healthReason: endpoint.healthReason,
    circuit: circuit.state,
    circuitSinceMs: circuit.since === null ? 0 : Date.parse(circuit.since),
    opened: circuit.opened,
    busy: connections.active,
    fallbacks: routes.find(({ name }) => name === route)?.fallbacks.arm ?? 0,
    generation,
  };
}

/** The sum of the samples in a page of metrics that begin like this. */
export function sumOfSamples(page: string, start: string): number {
  const samples = page.split("\n").filter((line) => line.startsWith(start));
  return samples.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(" ") + 1)), 0);
}

interface OverlayAnswer {
  readonly overlay: {
    readonly routes: Readonly<Record<string, { readonly split?: { readonly atMs: number } | null }>>;
  };
}

/** The command as a person would type it; the admin address only where it is not the usual one. */
export function typedCommand(url: string, args: readonly string[]): string {
  const where = url === USUAL_ADMIN ? [] : ["--admin", url];
  const words = [...where, ...args].map((word) => (/^[\w.:/%-]+$/.test(word) ? word : `'${word}'`));
  return `npx crossfade ctl ${words.join(" ")}`;
}

function runCtl(url: string, args: readonly string[]): Promise<CtlRun> {
  const startedMs = performance.now();
  const { promise, resolve, reject } = Promise.withResolvers<CtlRun>();
  execFile(process.execPath, [CROSSFADE, "ctl", "--admin", url, ...args], (error, stdout, stderr) => {
    if (error !== null) {
      reject(new Error(`crossfade ctl ${args.join(" ")} failed: ${stderr || error.message}`));
      return;
    }
    const lines = stdout.trimEnd().split("\n");
    resolve({ typed: typedCommand(url, args), lines, ms: performance.now() - startedMs });
  });
  return promise;
}
