import type { Contestant, Place } from "../contestant.ts";
import { configured } from "./configured.ts";

/** HAProxy as a proxy that does what the sidecar does with a request. */
export const HAPROXY: Contestant = configured({
  name: "haproxy",
  settings:
    "nbthread 1, split by xxh32 of x-user-id, http-reuse always, forwarded headers, Via, request id (uuid) both ways, " +
    "its own counters; no log, no traceparent",
  fileName: "haproxy.cfg",
  configOf: configText,
  argumentsFor: (file) => ["-db", "-f", file],
  environmentFor: () => ({}),
});

function configText(port: number, { upstream }: Place): string {
  return `global
  nbthread 1
  maxconn 8192
defaults
  mode http
  http-reuse always
  timeout connect 5s
  timeout client 60s
  timeout server 60s
frontend in
  bind 127.0.0.1:${port} backlog 4096
  http-request set-var(txn.id) uuid()
  http-request set-header X-Forwarded-For %[src]
  http-request set-header X-Forwarded-Proto http
  http-request set-header X-Forwarded-Host %[req.hdr(host)]
  http-request set-header X-Forwarded-Port %[dst_port]
  http-request set-header X-Request-Id %[var(txn.id)]
  http-request set-header Via "1.1 haproxy"
  http-response set-header X-Request-Id %[var(txn.id)]
  http-response set-header X-Upstream %[be_name]
  use_backend v2 if { req.hdr(x-user-id),xxh32,mod(1000) lt 100 }
  default_backend v1
backend v1
  server v1 127.0.0.1:${upstream.v1}
backend v2
  server v2 127.0.0.1:${upstream.v2}
`;
}
