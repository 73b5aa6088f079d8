import { isIP } from "node:net";
import type { EndpointSpec, UpstreamSpec } from "../model/snapshot.ts";

/** TLS options of an upstream, for whoever dials it; verification is always on. */
export function tlsOptions(spec: UpstreamSpec, endpoint: EndpointSpec): Record<string, string> {
  const options: Record<string, string> = {};
  const name = serverNameOf(spec, endpoint);
  if (name !== "") options["servername"] = name;
  if (spec.tls?.ca) options["ca"] = spec.tls.ca;
  if (spec.tls?.cert) options["cert"] = spec.tls.cert;
  if (spec.tls?.key) options["key"] = spec.tls.key;
  return options;
}

/** The name to ask for and to verify; empty for an address without a configured name. */
export function serverNameOf(spec: UpstreamSpec, endpoint: EndpointSpec): string {
  return spec.tls?.serverName ?? (isIP(endpoint.host) === 0 ? endpoint.host : "");
}
