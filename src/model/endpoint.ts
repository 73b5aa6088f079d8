import type { EndpointSpec } from "./snapshot.ts";

/** An endpoint as people write it, and as metrics label it: `http://host:port`, or `http+unix:///path/of.sock`. */
export function endpointText({ scheme, host, port, socketPath }: EndpointSpec): string {
  if (socketPath !== null) return `${scheme}+unix://${socketPath}`;
  return `${scheme}://${host.includes(":") ? `[${host}]` : host}:${port}`;
}
