import { fileURLToPath } from "node:url";
import { subjectOf, type Subject } from "./contestant.ts";
import { findProgram, freePort, startPinned } from "./processes.ts";
import { startSidecar } from "./servers/crossfade.ts";
import { NGINX } from "./servers/nginx.ts";
import { startNginxResponder } from "./upstreams.ts";

/** The caller's key; both proxies split by it. */
export const CALLER = { "x-user-id": "user-42" };

/** Starts the upstream that answers for v1 and v2: node:http, or nginx. */
export async function startUpstream(kind: "node" | "nginx", core: number | null, folder: string): Promise<Subject> {
  if (kind === "nginx") {
    const port = await freePort();
    const running = await startNginxResponder([port], core, folder);
    return subjectOf({ name: "direct", settings: "nginx responder, no proxy" }, port, running);
  }
  const script = fileURLToPath(new URL("responder.ts", import.meta.url));
  const running = await startPinned(core, process.execPath, [script], /^port (\d+)$/m);
  return subjectOf({ name: "direct", settings: "node:http responder, no proxy" }, Number(running.match[1]), running);
}

/**
 * Starts the sidecar from the sources with what a pod would have switched on: one data thread, or everything inline so
 * that one profile sees it all. `nodeArguments` come before the script.
 */
export function startCrossfade(
  upstreamUrl: string,
  core: number | null,
  folder: string,
  threads: 1 | "inline" = 1,
  nodeArguments: readonly string[] = [],
): Promise<Subject> {
  const { origin } = new URL(upstreamUrl);
  return startSidecar({ name: "crossfade", threads, nodeArguments }, { v1: origin, v2: origin, core, folder });
}

/** Starts nginx as a rival that does the same, or null where it is not installed. */
export async function startRival(upstreamUrl: string, core: number | null, folder: string): Promise<Subject | null> {
  if (findProgram("nginx") === null) return null;
  const port = Number(new URL(upstreamUrl).port);
  return NGINX.start({ upstream: { v1: port, v2: port }, core, folder });
}
