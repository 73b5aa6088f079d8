import { createServer, type AddressInfo } from "node:net";
import { join } from "node:path";
import { stringify } from "yaml";

/** What the demo's config is made of. */
export interface ConfigParts {
  /** Holds what the sidecar writes. */
  readonly folder: string;
  readonly route: string;
  readonly salt: string;
  /** Addresses of the two services. */
  readonly v1: string;
  readonly v2: string;
  /** How long the story's phases last, as a multiple of what they say. */
  readonly pace: number;
}

/** The ports that the documentation names. */
const USUAL_PORTS = [8080, 9901, 9464] as const;

/** How long callers take to come back to an upstream whose circuit closed, milliseconds. */
export function slowStartMsAt(pace: number): number {
  return Math.round(1_500 * pace);
}

/** The sidecar's config as YAML: on the usual ports where they are free, with times that fit the story. */
export async function configText({ folder, route, salt, v1, v2, pace }: ConfigParts): Promise<string> {
  const [listen, admin, metrics] = await Promise.all(USUAL_PORTS.map(addressOn));
  const care = { health: healthAt(pace), circuitBreaker: circuitBreakerAt(pace) };
  const config = {
    listen: [{ address: listen }],
    admin: { address: admin },
    metrics: { address: metrics },
    runtime: { threads: 2, stateDir: join(folder, "state"), drain: { lameDuck: "0s", deadline: "3s" } },
    log: { access: "none" },
    upstreams: { v1: { endpoints: [v1], ...care }, v2: { endpoints: [v2], ...care } },
    routes: [
      {
        name: route,
        match: { pathPrefix: "/" },
        split: { baseline: "v1", candidate: "v2", share: "0%", salt, sticky: [{ header: "x-user-id" }] },
        fallback: ["arm"],
      },
    ],
  };
  const text = stringify(config, { aliasDuplicateObjects: false });
  return `# The demo's config. Edit and save: it is in force at once.\n${text}`;
}

/** Never so fast that a machine with much else to do looks like a dead service, nor so slow that nobody would wait for it. */
function healthAt(pace: number): object {
  const intervalMs = Math.round(Math.min(1, Math.max(0.5, pace)) * 1_000);
  return { http: { path: "/healthz" }, interval: `${intervalMs}ms`, unhealthyInterval: `${intervalMs / 5}ms` };
}

/** Open for longer than the story leaves v2 dead: so that it is seen not to be asked although it is up again. */
function circuitBreakerAt(pace: number): object {
  return { openFor: `${Math.round(5_000 * pace)}ms`, slowStart: `${slowStartMsAt(pace)}ms` };
}

/** The usual port when nobody has it, else any free one. */
async function addressOn(port: number): Promise<string> {
  const probe = createServer();
  const { promise, resolve } = Promise.withResolvers<boolean>();
  probe.once("error", () => resolve(false));
  probe.listen(port, "127.0.0.1", () => resolve((probe.address() as AddressInfo).port === port));
  const free = await promise;
  if (free) await new Promise((closed) => probe.close(closed));
  return `127.0.0.1:${free ? port : 0}`;
}
