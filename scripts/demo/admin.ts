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
  /** The share in force and whether the route is killed. */
  inForce(): Promise<{ readonly candidatePpm: number; readonly killed: boolean }>;
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

/** Hands for one route of the sidecar whose admin API is at `url`. */
export function adminOf(url: string, route: string): Admin {
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
