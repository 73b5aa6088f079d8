import type { Config } from "../config/config.ts";
import { sectionDigests } from "../config/compile.ts";
import type { Problem } from "../config/parse.ts";
import { reconcileOverlay } from "../model/overlay.ts";
import type { KillEntry, Overlay, RouteOverlay } from "../model/overlay.ts";
import type { Cause, ListenerSpec, RouteSpec, Snapshot } from "../model/snapshot.ts";
import type { GoodReading } from "./config-reading.ts";
import { openListeners, withListenerFiles } from "./restart-needed.ts";

/** What can be proposed. `routes: null` = all of them. */
export type Edit =
  | { readonly kind: "config"; readonly reading: GoodReading }
  | { readonly kind: "split"; readonly route: string; readonly candidatePpm: number }
  | { readonly kind: "rollback"; readonly route: string }
  | { readonly kind: "kill"; readonly routes: readonly string[] | null }
  | { readonly kind: "unkill"; readonly routes: readonly string[] | null };

/** What the next snapshot is compiled from. */
export interface Intent {
  /** Hash of the reading that the config came from. */
  readonly hash: string;
  readonly config: Config;
  /** The listeners that are open; `config` may ask for others, which need a restart. */
  readonly listeners: readonly ListenerSpec[];
  /** Content of the files that the config names, by path as written. */
  readonly files: ReadonlyMap<string, string>;
  /** Digest of each route's split section as written in the file: what a split by hand is based on. */
  readonly digests: ReadonlyMap<string, string>;
  readonly overlay: Overlay;
}

/** Why a proposal was refused; the closed set of codes that the admin API shows. */
export type RefusalCode =
  | "invalid_config"
  | "unknown_route"
  | "no_candidate"
  | "killed_globally"
  | "superseded"
  | "not_durable"
  | "closed";

/** A proposal that changed nothing. */
export interface Refusal {
  readonly ok: false;
  readonly code: RefusalCode;
  readonly problems: readonly Problem[];
}

/** What an edit makes of an intent. `ended`: routes whose split by hand ended with an edit of their section. */
export type EditResult =
  | { readonly ok: true; readonly changed: true; readonly intent: Intent; readonly ended: readonly string[] }
  | { readonly ok: true; readonly changed: false }
  | Refusal;

/** Builds a refusal with one problem; `value` is printed in quotes, "" = there is none. */
export function refusal(code: RefusalCode, path: string, value: string, message: string): Refusal {
  return { ok: false, code, problems: [{ path, value: value === "" ? "" : JSON.stringify(value), message }] };
}

/** Applies an edit to the intent behind `snapshot`; pure. `atMs`: wall clock, for the overlay's entries. */
export function applyEdit(intent: Intent, snapshot: Snapshot, edit: Edit, cause: Cause, atMs: number): EditResult {
  switch (edit.kind) {
    case "config":
      return replaceConfig(intent, edit.reading);
    case "split":
      return setSplit(intent, snapshot, edit.route, { candidatePpm: edit.candidatePpm, cause: "split" }, cause, atMs);
    case "rollback":
      return setSplit(intent, snapshot, edit.route, { candidatePpm: 0, cause: "rollback" }, cause, atMs);
    case "kill":
      return setKill(intent, snapshot, edit.routes, { actor: cause.actor, reason: cause.reason, atMs });
    case "unkill":
      return liftKill(intent, snapshot, edit.routes);
  }
}

const UNCHANGED = { ok: true, changed: false } as const;

const EMPTY_ROUTE: RouteOverlay = { split: null, killed: null };

function replaceConfig(intent: Intent, reading: GoodReading): EditResult {
  if (reading.hash === intent.hash) return UNCHANGED;
  const { hash, config, files } = reading;
  const digests = sectionDigests(config);
  const { overlay, ended } = reconcileOverlay(intent.overlay, digests);
  const listeners = openListeners(intent.listeners, config.listeners);
  const allFiles = withListenerFiles(files, listeners, intent.files);
  return { ok: true, changed: true, intent: { hash, config, listeners, files: allFiles, digests, overlay }, ended };
}

interface SplitWish {
  readonly candidatePpm: number;
  readonly cause: "split" | "rollback";
}

function setSplit(
  intent: Intent,
  snapshot: Snapshot,
  name: string,
  wish: SplitWish,
  { actor, reason }: Cause,
  atMs: number,
): EditResult {
  const route = routeNamed(snapshot, name);
  if (route === null) return unknownRoute(snapshot, name);
  if (route.split.candidate === null) {
    return refusal("no_candidate", "route", name, "has no candidate: all of its callers are on the baseline already");
  }
  const entry = routeOverlay(intent.overlay, name);
  // A rollback is recorded even where the share is zero already: only it outlives an edit of another section.
  const same = route.split.candidatePpm === wish.candidatePpm;
  if (same && (wish.cause === "split" || entry.split?.cause === "rollback")) return UNCHANGED;
  const basedOn = intent.digests.get(name) as string;
  return withOverlay(
    intent,
    withRoute(intent.overlay, name, { ...entry, split: { ...wish, basedOn, actor, reason, atMs } }),
  );
}

function setKill(intent: Intent, snapshot: Snapshot, names: readonly string[] | null, kill: KillEntry): EditResult {
  const { overlay } = intent;
  if (names === null) return overlay.killed === null ? withOverlay(intent, { ...overlay, killed: kill }) : UNCHANGED;
  return editRoutes(intent, snapshot, names, (entry) => (entry.killed === null ? { ...entry, killed: kill } : entry));
}

function liftKill(intent: Intent, snapshot: Snapshot, names: readonly string[] | null): EditResult {
  const { overlay } = intent;
  if (names === null) {
    const all = Object.keys(overlay.routes);
    const lifted = all.reduce(
      (next, name) => withRoute(next, name, { ...routeOverlay(next, name), killed: null }),
      overlay,
    );
    const anyKilled = overlay.killed !== null || all.some((name) => routeOverlay(overlay, name).killed !== null);
    return anyKilled ? withOverlay(intent, { ...lifted, killed: null }) : UNCHANGED;
  }
  if (overlay.killed !== null) {
    const message = "cannot be lifted alone while all routes are killed: lift the kill of all routes first";
    return refusal("killed_globally", "routes", names.join(", "), message);
  }
  return editRoutes(intent, snapshot, names, (entry) => (entry.killed === null ? entry : { ...entry, killed: null }));
}

function editRoutes(
  intent: Intent,
  snapshot: Snapshot,
  names: readonly string[],
  editOne: (entry: RouteOverlay) => RouteOverlay,
): EditResult {
  let { overlay } = intent;
  for (const name of names) {
    if (routeNamed(snapshot, name) === null) return unknownRoute(snapshot, name);
    const entry = routeOverlay(overlay, name);
    const edited = editOne(entry);
    if (edited !== entry) overlay = withRoute(overlay, name, edited);
  }
  return overlay === intent.overlay ? UNCHANGED : withOverlay(intent, overlay);
}

function withOverlay(intent: Intent, overlay: Overlay): EditResult {
  return { ok: true, changed: true, intent: { ...intent, overlay }, ended: [] };
}

/** The overlay with one route's entry replaced; an entry that says nothing is left out. */
function withRoute(overlay: Overlay, name: string, entry: RouteOverlay): Overlay {
  const others = Object.entries(overlay.routes).filter(([other]) => other !== name);
  const says = entry.split !== null || entry.killed !== null;
  return { ...overlay, routes: Object.fromEntries(says ? [...others, [name, entry]] : others) };
}

/** A route's entry in the overlay; an empty one when it has none. */
export function routeOverlay(overlay: Overlay, name: string): RouteOverlay {
  return Object.hasOwn(overlay.routes, name) ? (overlay.routes[name] as RouteOverlay) : EMPTY_ROUTE;
}

/** A route of a snapshot by name; null when there is none. */
export function routeNamed(snapshot: Snapshot, name: string): RouteSpec | null {
  return snapshot.routes.find((route) => route.name === name) ?? null;
}

function unknownRoute(snapshot: Snapshot, name: string): Refusal {
  const known = snapshot.routes.map((route) => route.name).slice(0, 20);
  return refusal("unknown_route", "route", name, `is not a route; routes are: ${known.join(", ")}`);
}
