import fs from "node:fs";
import path from "node:path";
import { subjectOf, type Contestant, type Place } from "../contestant.ts";
import { findProgram, freePort, startPinned, type Running } from "../processes.ts";

/** nginx as a proxy that does what the sidecar does with a request. */
export const NGINX: Contestant = {
  name: "nginx",
  settings:
    "1 worker, split_clients by x-user-id, keepalive upstream, forwarded headers, Via, request id both ways; " +
    "answers are not written to temporary files; no metrics, no traceparent",
  program: "nginx",
  start: async (place) => {
    const port = await freePort();
    const running = await startNginx(place.core, place.folder, "proxy", proxyBlocks(port, place));
    return subjectOf(NGINX, port, running);
  },
};

/** Starts nginx with one worker and these blocks inside `http`. */
export async function startNginx(core: number | null, folder: string, name: string, http: string): Promise<Running> {
  const nginx = findProgram("nginx");
  if (nginx === null) throw new Error("nginx is not installed");
  const own = fs.mkdtempSync(path.join(folder, `nginx-${name}-`));
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(
    (kind) => `${kind}_temp_path ${own}/${kind};`,
  );
  // Started by root its worker would be nobody, who may not look into our folder.
  const user = process.getuid?.() === 0 ? "user root; " : "";
  const file = path.join(own, "nginx.conf");
  fs.writeFileSync(
    file,
    `${user}daemon off; worker_processes 1; pid ${own}/pid; error_log stderr notice;
events { worker_connections 8192; }
http {
  access_log off; sendfile on; keepalive_requests 1000000000; server_tokens off;
  ${temporary.join(" ")}
  ${http}
}
`,
  );
  return startPinned(core, nginx, ["-c", file, "-e", "stderr"], /start worker process \d+/);
}

function proxyBlocks(port: number, { upstream }: Place): string {
  return `
  split_clients $http_x_user_id $arm { 10% v2; * v1; }
  upstream v1 { server 127.0.0.1:${upstream.v1}; keepalive 1024; keepalive_requests 1000000000; }
  upstream v2 { server 127.0.0.1:${upstream.v2}; keepalive 1024; keepalive_requests 1000000000; }
  server {
    listen 127.0.0.1:${port} backlog=4096;
    location / {
      proxy_pass http://$arm;
      proxy_http_version 1.1;
      proxy_max_temp_file_size 0;
      proxy_set_header Connection "";
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-For $remote_addr;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_set_header X-Forwarded-Host $http_host;
      proxy_set_header X-Forwarded-Port $server_port;
      proxy_set_header X-Request-Id $request_id;
      proxy_set_header Via "1.1 nginx";
      add_header X-Request-Id $request_id;
      add_header X-Upstream $arm;
    }
  }`;
}
