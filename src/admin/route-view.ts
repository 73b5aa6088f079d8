import { ARM_LABELS, DECISION_REASONS, EXCHANGE_STATUS, ROUTE_WORDS, STATUS_SLOTS } from "../base/cells.ts";
import type { ArmLabel } from "../base/cells.ts";
import { textFromShare } from "../config/units.ts";
import { routeOverlay } from "../control/edit.ts";
import type { Overlay } from "../model/overlay.ts";
import type { RouteSpec, Snapshot } from "../model/snapshot.ts";
import type { ScrapeView } from "../telemetry/scrape-view.ts";
import { STATUS_CLASSES } from "./views.ts";
import type { RouteDetailView, RouteView, StatusClass } from "./views.ts";

/** What the counters of a route add up to. */
export type RouteCounts = Pick<RouteView, "inFlight" | "decided" | "answers">;

/** Counts per route name of everything that a scrape saw. */
export function countsByRoute(scrape: ScrapeView): ReadonlyMap<string, RouteCounts> {
  const counts = new Map<string, RouteCounts>();
  for (const { route, words } of scrape.routes) counts.set(route, { ...NO_COUNTS, ...decidedOf(words) });
  for (const { route, arm, words } of scrape.exchanges) {
    const known = counts.get(route) ?? NO_COUNTS;
    const answers = { ...known.answers, [arm]: addClasses(known.answers[arm], words) };
    counts.set(route, { ...known, answers });
  }
  return counts;
}

/** A route as it is in force. */
export function viewOfRoute(
  route: RouteSpec,
  snapshot: Snapshot,
  overlay: Overlay,
  counts: RouteCounts | undefined,
): RouteView {
  const { baseline, candidate, candidatePpm, killed } = route.split;
  return {
    name: route.name,
    baseline,
    candidate,
    share: textFromShare(candidatePpm),
    candidatePpm,
    killed: killed || snapshot.killed,
    source: routeOverlay(overlay, route.name).split?.cause ?? "file",
    ...(counts ?? NO_COUNTS),
  };
}

/** A route with its rules. */
export function detailOfRoute(route: RouteSpec, view: RouteView): RouteDetailView {
  const { sticky, onMissingKey, salt, overrides } = route.split;
  return {
    ...view,
    match: route.match,
    sticky,
    onMissingKey: onMissingKey.kind,
    salt,
    overrides,
    versionHeader: route.versionHeader,
  };
}

const NO_CLASSES = Object.fromEntries(STATUS_CLASSES.map((name) => [name, 0])) as Readonly<Record<StatusClass, number>>;

const NO_COUNTS: RouteCounts = {
  inFlight: 0,
  decided: { baseline: 0, candidate: 0 },
  answers: { baseline: NO_CLASSES, candidate: NO_CLASSES, none: NO_CLASSES },
};

function decidedOf(words: Float64Array): Pick<RouteCounts, "inFlight" | "decided"> {
  // Both words move while they are read: the difference can be off by the requests of a moment.
  const inFlight = Math.max(0, (words[ROUTE_WORDS.started] as number) - (words[ROUTE_WORDS.finished] as number));
  return {
    inFlight,
    decided: { baseline: decisionsOf(words, "baseline"), candidate: decisionsOf(words, "candidate") },
  };
}

function decisionsOf(words: Float64Array, arm: ArmLabel): number {
  const first = ROUTE_WORDS.decisions + 16 * ARM_LABELS.indexOf(arm);
  return words.subarray(first, first + DECISION_REASONS.length).reduce((sum, count) => sum + count, 0);
}

function addClasses(sums: Readonly<Record<StatusClass, number>>, words: Float64Array): Record<StatusClass, number> {
  const classes = { ...sums };
  for (const [slot, status] of STATUS_SLOTS.entries()) {
    classes[classOf(status)] += words[EXCHANGE_STATUS + slot] as number;
  }
  return classes;
}

function classOf(status: number): StatusClass {
  return status < 100 || status > 599 ? "other" : (`${Math.floor(status / 100)}xx` as StatusClass);
}
