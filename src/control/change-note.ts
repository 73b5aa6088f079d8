import { textFromShare } from "../config/units.ts";
import type { RouteSpec, Snapshot } from "../model/snapshot.ts";
import type { Intent } from "./edit.ts";

/** One side of a change as the audit log keeps it: only what differs from the other side. */
export interface ChangeSide {
  /** Hash of the config; present when the config changed. */
  readonly config?: string;
  /** All routes killed; present when that changed. */
  readonly killed?: boolean;
  /** Routes whose share, arms or kill changed; null = the route did not exist. */
  readonly routes?: Readonly<Record<string, RouteNote | null>>;
}

/** A route in a change. */
export interface RouteNote {
  readonly baseline: string;
  readonly candidate: string | null;
  readonly share: string;
  readonly killed: boolean;
}

/** What a change did, for people: both sides, reduced to the difference. */
export function changeBetween(
  before: { readonly intent: Intent; readonly snapshot: Snapshot },
  after: { readonly intent: Intent; readonly snapshot: Snapshot },
): { readonly before: ChangeSide; readonly after: ChangeSide } {
  const names = changedRoutes(before.snapshot, after.snapshot);
  const configChanged = before.intent.hash !== after.intent.hash;
  const killChanged = before.snapshot.killed !== after.snapshot.killed;
  const sideOf = ({ intent, snapshot }: typeof before): ChangeSide => ({
    ...(configChanged && { config: intent.hash }),
    ...(killChanged && { killed: snapshot.killed }),
    ...(names.length > 0 && { routes: notesOf(snapshot, names) }),
  });
  return { before: sideOf(before), after: sideOf(after) };
}

function changedRoutes(before: Snapshot, after: Snapshot): readonly string[] {
  const old = new Map(before.routes.map((route) => [route.name, route]));
  const gone = new Set(old.keys());
  const changed: string[] = [];
  for (const route of after.routes) {
    gone.delete(route.name);
    const was = old.get(route.name);
    if (was === undefined || JSON.stringify(noteOf(was)) !== JSON.stringify(noteOf(route))) changed.push(route.name);
  }
  return [...changed, ...gone];
}

function notesOf(snapshot: Snapshot, names: readonly string[]): Record<string, RouteNote | null> {
  const byName = new Map(snapshot.routes.map((route) => [route.name, route]));
  return Object.fromEntries(
    names.map((name) => {
      const route = byName.get(name);
      return [name, route === undefined ? null : noteOf(route)];
    }),
  );
}

function noteOf({ split }: RouteSpec): RouteNote {
  const { baseline, candidate, candidatePpm, killed } = split;
  return { baseline, candidate, share: textFromShare(candidatePpm), killed };
}
