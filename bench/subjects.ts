import fs from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { findProgram, freePort, startPinned, type Running } from "./processes.ts";

/** Something to measure: where to ask, and whose CPU to count. */
export interface Subject {
  readonly name: string;
  readonly url: string;
  readonly processId: number;
  /** What is switched on in it. */
  readonly settings: string;
  stop(): Promise<void>;
}

/** The caller's key; both proxies split by it. */
export const CALLER = { "x-user-id": "user-42" };

const from = (file: string): string => fileURLToPath(new URL(file, import.meta.url));

/** Starts the upstream that answers for v1 and v2: node:http, or nginx. */
export async function startUpstream(kind: "node" | "nginx", core: number | null, folder: string): Promise<Subject> {
  if (kind === "node") {
    const running = await startPinned(core, process.execPath, [from("responder.ts")], /^port (\d+)$/m);
    return subject("direct", Number(running.match[1]), "node:http responder, no proxy", running);
  }
  const port = await freePort();
  const answer = `return 200 '{"id":4711,"name":"a small answer","tags":["bench","fixed"],"items":[1,2,3,4,5,6],"ok":true}';`;
  const server = `server { listen 127.0.0.1:${port} backlog=1024; location / { default_type application/json; ${answer} } }`;
  const running = await startNginx(core, folder, "upstream", server);
  return subject("direct", port, "nginx responder, no proxy", running);
}

/**
 * Starts the sidecar from the sources with what a pod would have switched on: one data thread, or everything inline so
 * that one profile sees it all. `nodeArguments` come before the script.
 */
export async function startCrossfade(
  upstreamUrl: string,
  core: number | null,
  folder: string,
  threads: 1 | "inline" = 1,
  nodeArguments: readonly string[] = [],
): Promise<Subject> {
  const config = {
    listen: [{ address: "127.0.0.1:0" }],
    metrics: { address: "127.0.0.1:0" },
    runtime: { threads, drain: { lameDuck: "0s", deadline: "2s" } },
    log: { level: "info", access: "errors" },
    upstreams: { v1: { endpoints: [upstreamUrl] }, v2: { endpoints: [upstreamUrl] } },
    routes: [
      {
        name: "api",
        match: { pathPrefix: "/" },
        split: { baseline: "v1", candidate: "v2", share: "10%", sticky: [{ header: "x-user-id" }] },
      },
    ],
  };
  const file = path.join(folder, "crossfade.json");
  fs.writeFileSync(file, JSON.stringify(config, null, 2));
  const args = [...nodeArguments, from("../src/main.ts"), "run", "--config", file];
  const running = await startPinned(
    core,
    process.execPath,
    args,
    /"listen":\["http:\/\/127\.0\.0\.1:(\d+)"\].*crossfade ready/,
  );
  const settings =
    "1 data thread, sticky by header, metrics on, access log errors, forwarded headers, Via, ids, traceparent";
  return subject("crossfade", Number(running.match[1]), settings, running);
}

/** Starts nginx as a rival that does the same, or null where it is not installed. */
export async function startRival(upstreamUrl: string, core: number | null, folder: string): Promise<Subject | null> {
  if (findProgram("nginx") === null) return null;
  const port = await freePort();
  const upstream = new URL(upstreamUrl).host;
  const http = `
  split_clients $http_x_user_id $arm { 10% v2; * v1; }
  upstream v1 { server ${upstream}; keepalive 128; keepalive_requests 1000000; }
  upstream v2 { server ${upstream}; keepalive 128; keepalive_requests 1000000; }
  server {
    listen 127.0.0.1:${port} backlog=1024;
    location / {
      proxy_pass http://$arm;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-For $remote_addr;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_set_header X-Forwarded-Host $http_host;
      proxy_set_header X-Forwarded-Port $server_port;
      proxy_set_header X-Request-Id $request_id;
      proxy_set_header Via "1.1 rival";
      add_header X-Request-Id $request_id;
      add_header X-Upstream $arm;
    }
  }`;
  const running = await startNginx(core, folder, "rival", http);
  const settings =
    "1 worker, split_clients by header, keepalive upstream, forwarded headers, Via, request id; no metrics, no traceparent";
  return subject("nginx", port, settings, running);
}

async function startNginx(core: number | null, folder: string, name: string, http: string): Promise<Running> {
  const nginx = findProgram("nginx");
  if (nginx === null) throw new Error("nginx is not installed");
  const file = path.join(folder, `${name}.conf`);
  const head = `daemon off; worker_processes 1; pid ${folder}/${name}.pid; error_log stderr notice; events { worker_connections 4096; }`;
  const common = `access_log off; keepalive_requests 1000000; client_body_temp_path ${folder}/${name}-body; proxy_temp_path ${folder}/${name}-proxy;
  fastcgi_temp_path ${folder}/f; uwsgi_temp_path ${folder}/u; scgi_temp_path ${folder}/s;`;
  fs.writeFileSync(file, `${head}\nhttp {\n  ${common}\n  ${http}\n}\n`);
  return startPinned(core, nginx, ["-c", file, "-e", "stderr"], /start worker process \d+/);
}

function subject(name: string, port: number, settings: string, running: Running): Subject {
  return { name, url: `http://127.0.0.1:${port}/`, processId: running.pid, settings, stop: () => running.stop() };
}
