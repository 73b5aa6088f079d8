import fs from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { LARGE_BYTES, LARGE_PATH, SMALL_ANSWER } from "./answers.ts";
import type { UpstreamPorts } from "./contestant.ts";
import { freePort, startPinned, type Running } from "./processes.ts";
import { startNginx } from "./servers/nginx.ts";

/** Which program answers behind the proxies of the comparison. */
export type UpstreamKind = "nginx" | "bundled";

/** v1 and v2 of the comparison, one process: a small answer, a sink for bodies, a large answer. */
export interface UpstreamPair {
  readonly ports: UpstreamPorts;
  readonly settings: string;
  stop(): Promise<void>;
}

/** Starts v1 and v2. */
export async function startUpstreamPair(
  kind: UpstreamKind,
  core: number | null,
  folder: string,
): Promise<UpstreamPair> {
  if (kind === "nginx") {
    const ports = { v1: await freePort(), v2: await freePort() };
    const running = await startNginxResponder([ports.v1, ports.v2], core, folder);
    return { ports, settings: "nginx, 1 worker", stop: running.stop };
  }
  const script = fileURLToPath(new URL("responder-raw.ts", import.meta.url));
  const running = await startPinned(core, process.execPath, [script], /^ports (\{.*\})$/m);
  const ports = JSON.parse(running.match[1] ?? "") as UpstreamPorts;
  return { ports, settings: "responder-raw.ts, bytes in and out without an HTTP parser", stop: running.stop };
}

/** Starts nginx as an upstream on these ports. */
export function startNginxResponder(ports: readonly number[], core: number | null, folder: string): Promise<Running> {
  const largeFile = path.join(folder, "large.bin");
  fs.writeFileSync(largeFile, Buffer.alloc(LARGE_BYTES, "crossfade "));
  const listens = ports.map((port) => `listen 127.0.0.1:${port} backlog=4096;`).join(" ");
  // A body that comes with a request is read and thrown away before the answer's connection is used again.
  const http = `server {
    ${listens}
    location / { default_type application/json; return 200 '${SMALL_ANSWER}'; }
    location = ${LARGE_PATH} { alias ${largeFile}; }
  }`;
  return startNginx(core, folder, "upstream", http);
}
