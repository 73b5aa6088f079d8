import type { Contestant, Place } from "../contestant.ts";
import { configured } from "./configured.ts";

/** Caddy as a proxy that does what the sidecar does with a request. It has no matcher for a hash of a header. */
export const CADDY: Contestant = configured({
  name: "caddy",
  settings:
    "GOMAXPROCS=1, split by the last digit of x-user-id (it cannot split by a hash), keepalive upstream, no compression, " +
    "forwarded headers, Via, request id (uuid) both ways; no access log, no metrics, no traceparent",
  fileName: "caddy.json",
  configOf: (port, place) => JSON.stringify(configFor(port, place)),
  argumentsFor: (file) => ["run", "--config", file],
  environmentFor: (folder) => ({ GOMAXPROCS: "1", XDG_DATA_HOME: folder, XDG_CONFIG_HOME: folder }),
});

function configFor(port: number, { upstream }: Place): object {
  const lastDigitIsZero = [{ header_regexp: { "X-User-Id": { pattern: "0$" } } }];
  const server = {
    listen: [`127.0.0.1:${port}`],
    automatic_https: { disable: true },
    routes: [
      { match: lastDigitIsZero, handle: handlersTo("v2", upstream.v2, port), terminal: true },
      { handle: handlersTo("v1", upstream.v1, port) },
    ],
  };
  return {
    admin: { disabled: true, config: { persist: false } },
    logging: { logs: { default: { level: "ERROR" } } },
    apps: { http: { servers: { in: server } } },
  };
}

function handlersTo(arm: string, upstreamPort: number, port: number): readonly object[] {
  const forwarded = {
    Via: ["1.1 caddy"],
    "X-Forwarded-Port": [String(port)],
    "X-Request-Id": ["{http.request.uuid}"],
  };
  return [
    { handler: "headers", response: { set: { "X-Request-Id": ["{http.request.uuid}"], "X-Upstream": [arm] } } },
    {
      handler: "reverse_proxy",
      upstreams: [{ dial: `127.0.0.1:${upstreamPort}` }],
      headers: { request: { set: forwarded } },
      transport: { protocol: "http", compression: false, keep_alive: { max_idle_conns_per_host: 1024 } },
    },
  ];
}
