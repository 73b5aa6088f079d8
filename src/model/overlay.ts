/** What people and the judge changed at run time; it outlives a restart. Plain data, as it stands in its file. */
export interface Overlay {
  readonly version: 1;
  /** A kill of every route; null = none. */
  readonly killed: KillEntry | null;
  /** By route name; a route without an entry is as the config says. */
  readonly routes: Readonly<Record<string, RouteOverlay>>;
}

/** Who sent all callers to the baseline, and why. */
export interface KillEntry {
  readonly actor: string;
  readonly reason: string;
  /** Wall clock, milliseconds. */
  readonly atMs: number;
}

/** What was changed on one route. */
export interface RouteOverlay {
  /** A share that replaces the file's; null = none. */
  readonly split: SplitEntry | null;
  /** A kill of this route; null = none. */
  readonly killed: KillEntry | null;
}

/** A share set by hand or by a rollback. It holds until somebody edits the route's split section. */
export interface SplitEntry {
  /** 0..1 000 000. */
  readonly candidatePpm: number;
  /** Digest of the split section that it was made against. */
  readonly basedOn: string;
  readonly cause: "split" | "rollback";
  readonly actor: string;
  readonly reason: string;
  /** Wall clock, milliseconds. */
  readonly atMs: number;
}

/** Nothing was changed. */
export const EMPTY_OVERLAY: Overlay = Object.freeze({ version: 1, killed: null, routes: Object.freeze({}) });

/** An overlay that fits a config, and the routes whose entries ended. */
export interface ReconciledOverlay {
  readonly overlay: Overlay;
  /** Names of routes whose split entry, or whole entry, was dropped; in the overlay's order. */
  readonly ended: readonly string[];
}

/**
 * Drops split entries whose `basedOn` is no longer the digest of that route's split section, and the entries of routes
 * that are gone. Kills stay until unkill while the route exists. `sectionDigests`: route name → digest. Gives the same
 * overlay back when nothing ended.
 */
export function reconcileOverlay(overlay: Overlay, sectionDigests: ReadonlyMap<string, string>): ReconciledOverlay {
  const ended: string[] = [];
  const kept: [string, RouteOverlay][] = [];
  for (const [name, entry] of Object.entries(overlay.routes)) {
    const digest = sectionDigests.get(name);
    const splitHolds = entry.split === null || entry.split.basedOn === digest;
    if (digest === undefined || !splitHolds) ended.push(name);
    if (digest === undefined) continue;
    const rest = splitHolds ? entry : { ...entry, split: null };
    if (rest.split !== null || rest.killed !== null) kept.push([name, rest]);
  }
  if (ended.length === 0) return { overlay, ended };
  return { overlay: { ...overlay, routes: Object.fromEntries(kept) }, ended };
}
