import type { EndpointSpec, HealthSpec, UpstreamSpec } from "../model/snapshot.ts";
import type { ProbeResult } from "../policy/health.ts";

/** Whom to ask, and how. */
export interface ProbeTarget {
  readonly upstream: UpstreamSpec;
  /** The address to ask, the port of the health section included. */
  readonly endpoint: EndpointSpec;
  readonly health: HealthSpec;
}

/** What an endpoint may say without being asked. */
export interface ProbeHooks {
  /** Something may have changed: ask again soon. */
  onHint(): void;
  /** It takes no traffic from here on. */
  onDenied(result: ProbeResult): void;
}

/** Asks one endpoint, over and over, on a connection that it keeps. Nothing of it keeps the process alive. */
export interface Probe {
  /** Asks once, within the timeout of the target. Never rejects; not to be called again before it has resolved. */
  run(): Promise<ProbeResult>;
  /** Gives up a run that is under way, and drops the connection. */
  close(): void;
}

/** Makes a probe; nothing is sent before its first run. */
export type OpenProbe = (target: ProbeTarget, hooks: ProbeHooks) => Promise<Probe>;

/**
 * Makes the probe that a target asks for. Each kind is loaded by the first that needs it: the gRPC library alone takes
 * 30 MB of memory.
 */
export async function openProbe(target: ProbeTarget, hooks: ProbeHooks): Promise<Probe> {
  const { check } = target.health;
  switch (check.kind) {
    case "http":
      return (await import("./probe-http.ts")).openHttpProbe(target, check);
    case "grpc":
      return (await import("./probe-grpc.ts")).openGrpcProbe(target, check, hooks);
    case "tcp":
      return (await import("./probe-tcp.ts")).openTcpProbe(target);
  }
}

/** The address that a health check of an endpoint goes to. */
export function probedEndpoint(endpoint: EndpointSpec, { port }: HealthSpec): EndpointSpec {
  return port === null ? endpoint : { ...endpoint, port, socketPath: null };
}

/** Host, and port unless it is the scheme's own, as a Host field or an `:authority` has them. */
export function authorityOf({ scheme, host, port, socketPath }: EndpointSpec): string {
  const name = host.includes(":") ? `[${host}]` : host;
  const ownPort = scheme === "https" ? 443 : 80;
  return socketPath !== null || port === ownPort ? name : `${name}:${port}`;
}
