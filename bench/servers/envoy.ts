import type { Contestant, Place } from "../contestant.ts";
import { configured } from "./configured.ts";

/** Envoy as a proxy that does what the sidecar does with a request. */
export const ENVOY: Contestant = configured({
  name: "envoy",
  settings:
    "concurrency 1, weighted_clusters with use_hash_policy by x-user-id, forwarded headers, Via, request id both ways, " +
    "its own counters; no access log, no admin, no traceparent",
  fileName: "envoy.json",
  configOf: (port, place) => JSON.stringify(configFor(port, place)),
  argumentsFor: (file) => ["-c", file, "--concurrency", "1", "--disable-hot-restart", "-l", "error"],
  environmentFor: () => ({}),
});

function configFor(port: number, { upstream }: Place): object {
  const filter = typed("envoy.filters.network.http_connection_manager", CONNECTION_MANAGER, {
    stat_prefix: "in",
    codec_type: "HTTP1",
    // Of a loopback client it would forward its own address instead; the route sets the field from the connection.
    use_remote_address: true,
    skip_xff_append: true,
    append_x_forwarded_port: true,
    via: "1.1 envoy",
    always_set_request_id_in_response: true,
    http_filters: [typed("envoy.filters.http.router", ROUTER, { suppress_envoy_headers: true })],
    route_config: { virtual_hosts: [virtualHost()] },
  });
  const listener = { address: addressOf(port), filter_chains: [{ filters: [filter] }] };
  return {
    static_resources: {
      listeners: [listener],
      clusters: [clusterOf("v1", upstream.v1), clusterOf("v2", upstream.v2)],
    },
  };
}

function virtualHost(): object {
  const route = {
    hash_policy: [{ header: { header_name: "x-user-id" } }],
    weighted_clusters: { use_hash_policy: true, clusters: [weighted("v1", 90), weighted("v2", 10)] },
  };
  return {
    name: "all",
    domains: ["*"],
    request_headers_to_add: [
      overwriting("x-forwarded-for", "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%"),
      overwriting("x-forwarded-host", "%REQ(:AUTHORITY)%"),
    ],
    routes: [{ match: { prefix: "/" }, route }],
  };
}

function weighted(name: string, weight: number): object {
  return { name, weight, response_headers_to_add: [overwriting("x-upstream", name)] };
}

function overwriting(key: string, value: string): object {
  return { header: { key, value }, append_action: "OVERWRITE_IF_EXISTS_OR_ADD" };
}

function clusterOf(name: string, port: number): object {
  const endpoints = [{ lb_endpoints: [{ endpoint: { address: addressOf(port) } }] }];
  return { name, type: "STATIC", connect_timeout: "5s", load_assignment: { cluster_name: name, endpoints } };
}

function addressOf(port: number): object {
  return { socket_address: { address: "127.0.0.1", port_value: port } };
}

function typed(name: string, type: string, config: object): object {
  return { name, typed_config: { "@type": `type.googleapis.com/envoy.extensions.filters.${type}`, ...config } };
}

const CONNECTION_MANAGER = "network.http_connection_manager.v3.HttpConnectionManager";
const ROUTER = "http.router.v3.Router";
