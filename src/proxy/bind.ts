import { BlockList, isIP } from "node:net";
import { blockView } from "../base/cells.ts";
import type { LeasePool } from "../base/lease.ts";
import { isControlHeader } from "../model/outgoing.ts";
import { routeTableFrom } from "../model/route-table.ts";
import type { RouteSpec, Snapshot, SplitSpec } from "../model/snapshot.ts";
import type { BoundArm, BoundSnapshot, LiveUpstream, Plan } from "./plan.ts";

/** What binding needs of the thread. */
export interface BindEnvironment {
  readonly upstreams: LeasePool<LiveUpstream>;
  /** This thread's counter pages. */
  readonly pages: readonly SharedArrayBuffer[];
  /** Makes an upstream that nobody holds yet; `block` is its counter block. */
  readonly makeUpstream: (spec: Snapshot["upstreams"][number], counters: Float64Array) => LiveUpstream;
}

/** Binds a snapshot to this thread: takes leases, resolves names, compiles matches. The caller holds the result once. */
export function bind(snapshot: Snapshot, env: BindEnvironment): BoundSnapshot {
  const blocks = upstreamBlocks(snapshot);
  const live = new Map<string, LiveUpstream>();
  const leases = snapshot.upstreams.map((spec) => {
    const block = blocks.get(spec.name);
    const counters = block === undefined ? new Float64Array(UNUSED_COUNTERS) : blockView(env.pages, block);
    const lease = env.upstreams.take(spec.digest, () => env.makeUpstream(spec, counters));
    live.set(spec.name, lease.value);
    return lease;
  });
  return {
    snapshot,
    table: routeTableFrom(snapshot.routes.map((route) => route.match)),
    plans: snapshot.routes.map((route) => planFrom(route, live, env.pages)),
    leases,
    isTrusted: trustFrom(snapshot.trustedProxies),
    holds: 1,
  };
}

/** An upstream that no route names is never asked; its counters have nowhere to go. */
const UNUSED_COUNTERS = 256;

function planFrom(
  route: RouteSpec,
  live: ReadonlyMap<string, LiveUpstream>,
  pages: readonly SharedArrayBuffer[],
): Plan {
  const { cells, split } = route;
  const arm = (role: "baseline" | "candidate", name: string, block: number, upstreamBlock: number): BoundArm => ({
    arm: role,
    upstream: upstreamNamed(live, name),
    cells: blockView(pages, block),
    upstreamCells: blockView(pages, upstreamBlock),
  });
  return {
    route,
    baseline: arm("baseline", split.baseline, cells.baselineBlock, cells.baselineUpstreamBlock),
    candidate:
      split.candidate === null
        ? null
        : arm("candidate", split.candidate, cells.candidateBlock, cells.candidateUpstreamBlock),
    cells: blockView(pages, cells.routeBlock),
    controlHeaders: controlHeadersOf(split),
    lastPpm: split.candidatePpm,
    lastKilled: split.killed,
  };
}

function upstreamNamed(live: ReadonlyMap<string, LiveUpstream>, name: string): LiveUpstream {
  const upstream = live.get(name);
  if (upstream === undefined) throw new Error(`upstream ${JSON.stringify(name)} is not in the snapshot`);
  return upstream;
}

function upstreamBlocks(snapshot: Snapshot): ReadonlyMap<string, number> {
  const blocks = new Map<string, number>();
  for (const { split, cells } of snapshot.routes) {
    blocks.set(split.baseline, cells.baselineUpstreamBlock);
    if (split.candidate !== null) blocks.set(split.candidate, cells.candidateUpstreamBlock);
  }
  return blocks;
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
