import { BlockList, isIP } from "node:net";
import { blockView } from "../base/cells.ts";
import type { Lease, LeasePool } from "../base/lease.ts";
import { isControlHeader } from "../model/outgoing.ts";
import { routeTableFrom } from "../model/route-table.ts";
import type { RouteSpec, Snapshot, SplitSpec, UpstreamSpec } from "../model/snapshot.ts";
import { gateFor, type GateTable } from "./gate.ts";
import type { BoundArm, LiveUpstream } from "./bound-arm.ts";
import type { BoundSnapshot, Plan } from "./plan.ts";
import { recoveryPlanFrom, type StaleStep } from "./recovery-plan.ts";
import { StaleStore } from "./stale-store.ts";

/** What binding needs of the thread. */
export interface BindEnvironment {
  readonly upstreams: LeasePool<LiveUpstream>;
  /** This thread's counter pages. */
  readonly pages: readonly SharedArrayBuffer[];
  /** Makes an upstream that nobody holds yet; `block` is its counter block. */
  readonly makeUpstream: (spec: Snapshot["upstreams"][number], counters: Float64Array) => LiveUpstream;
  /** Last good answers, by route and settings. */
  readonly staleStores: LeasePool<StaleStore>;
  readonly gates: GateTable;
}

/** Binds a snapshot to this thread: takes leases, resolves names, compiles matches. The caller holds the result once. */
export function bind(snapshot: Snapshot, env: BindEnvironment): BoundSnapshot {
  const services = new Map<string, Service>();
  const leases: Lease<unknown>[] = snapshot.upstreams.map((spec) => {
    const counters = blockView(env.pages, spec.cells.block);
    const lease = env.upstreams.take(spec.digest, () => env.makeUpstream(spec, counters));
    services.set(spec.name, { spec, live: lease.value, counters });
    return lease;
  });
  return {
    snapshot,
    table: routeTableFrom(snapshot.routes.map((route) => route.match)),
    plans: snapshot.routes.map((route) => planFrom(route, services, env, leases)),
    leases,
    isTrusted: trustFrom(snapshot.trustedProxies),
    holds: 1,
  };
}

/** An upstream of a snapshot with what this thread has of it. */
interface Service {
  readonly spec: UpstreamSpec;
  readonly live: LiveUpstream;
  readonly counters: Float64Array;
}

function planFrom(
  route: RouteSpec,
  services: ReadonlyMap<string, Service>,
  env: BindEnvironment,
  leases: Lease<unknown>[],
): Plan {
  const { cells, split } = route;
  const arm = (role: BoundArm["arm"], name: string, block: number): BoundArm => {
    const { spec, live, counters } = serviceNamed(services, name);
    const gate = gateFor(role, spec, live.circuit, env.gates);
    return { arm: role, upstream: live, gate, cells: blockView(env.pages, block), upstreamCells: counters };
  };
  const storeOf = (step: StaleStep): StaleStore => {
    const { versionHeader } = route;
    const maxBytes = step.maxBytes / env.gates.threads;
    // Equal keys from other sources are other callers.
    const { sticky, onMissingKey } = split;
    const key = JSON.stringify([route.name, versionHeader, sticky, onMissingKey, step]);
    const lease = env.staleStores.take(key, () => new StaleStore({ ...step, versionHeader, maxBytes }));
    leases.push(lease);
    return lease.value;
  };
  return {
    route,
    recovery: recoveryPlanFrom(route, {
      armOf: (name, block) => arm("fallback", name, block),
      storeOf,
      cellsOf: (block) => blockView(env.pages, block),
    }),
    baseline: arm("baseline", split.baseline, cells.baselineBlock),
    candidate: split.candidate === null ? null : arm("candidate", split.candidate, cells.candidateBlock),
    cells: blockView(env.pages, cells.routeBlock),
    controlHeaders: controlHeadersOf(split),
    lastPpm: split.candidatePpm,
    lastKilled: split.killed,
  };
}

function serviceNamed(services: ReadonlyMap<string, Service>, name: string): Service {
  const service = services.get(name);
  if (service === undefined) throw new Error(`upstream ${JSON.stringify(name)} is not in the snapshot`);
  return service;
}

function controlHeadersOf(split: SplitSpec): ReadonlySet<string> {
  const names = new Set<string>();
  for (const { when } of split.overrides) {
    if (when.kind === "header" && isControlHeader(when.name)) names.add(when.name.toLowerCase());
  }
  for (const source of split.sticky) {
    if (source.kind === "header" && isControlHeader(source.name)) names.add(source.name.toLowerCase());
  }
  return names;
}

function trustFrom(ranges: readonly string[]): (address: string) => boolean {
  if (ranges.length === 0) return () => false;
  const list = new BlockList();
  for (const range of ranges) {
    const [address = "", bits] = range.split("/");
    const family = isIP(address) === 6 ? "ipv6" : "ipv4";
    if (bits === undefined) list.addAddress(address, family);
    else list.addSubnet(address, Number(bits), family);
  }
  return (address) => {
    const version = isIP(address);
    return version !== 0 && list.check(address, version === 6 ? "ipv6" : "ipv4");
  };
}
