import {
  ARM_LABELS,
  DECISION_REASONS,
  EXCHANGE_STATUS,
  FALLBACK_KINDS,
  RETRY_REASONS,
  ROUTE_WORDS,
  STATUS_SLOTS,
} from "../base/cells.ts";
import type { ArmLabel, FallbackKind } from "../base/cells.ts";
import { textFromShare } from "../config/units.ts";
import { routeOverlay } from "../control/edit.ts";
import type { Overlay } from "../model/overlay.ts";
import type { RouteSpec, Snapshot } from "../model/snapshot.ts";
import type { ScrapeView } from "../telemetry/scrape-view.ts";
import { STATUS_CLASSES } from "./views.ts";
import type { RouteDetailView, RouteView, StatusClass } from "./views.ts";

/** What the counters of a route add up to. */
export type RouteCounts = Pick<RouteView, "inFlight" | "decided" | "answers" | "retries" | "fallbacks" | "shed">;

/** Counts per route name of everything that a scrape saw. */
export function countsByRoute(scrape: ScrapeView): ReadonlyMap<string, RouteCounts> {
  const counts = new Map<string, RouteCounts>();
  for (const { route, words } of scrape.routes) counts.set(route, { ...NO_COUNTS, ...countsOf(words) });
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
  answers: { baseline: NO_CLASSES, candidate: NO_CLASSES, none: NO_CLASSES, fallback: NO_CLASSES },
  retries: 0,
  fallbacks: fallbacksOf(() => 0),
  shed: 0,
};

function countsOf(words: Float64Array): Omit<RouteCounts, "answers"> {
  // Both words move while they are read: the difference can be off by the requests of a moment.
  const inFlight = Math.max(0, (words[ROUTE_WORDS.started] as number) - (words[ROUTE_WORDS.finished] as number));
  return {
    inFlight,
    decided: { baseline: decisionsOf(words, "baseline"), candidate: decisionsOf(words, "candidate") },
    retries: sumOf(words, ROUTE_WORDS.retries, RETRY_REASONS.length),
    fallbacks: fallbacksOf((index) => words[ROUTE_WORDS.fallbacks + index] as number),
    shed: words[ROUTE_WORDS.shed] as number,
  };
}

function fallbacksOf(count: (index: number) => number): Readonly<Record<FallbackKind, number>> {
  return Object.fromEntries(FALLBACK_KINDS.map((kind, index) => [kind, count(index)])) as Record<FallbackKind, number>;
}

function decisionsOf(words: Float64Array, arm: ArmLabel): number {
  return sumOf(words, ROUTE_WORDS.decisions + 16 * ARM_LABELS.indexOf(arm), DECISION_REASONS.length);
}

function sumOf(words: Float64Array, first: number, count: number): number {
  return words.subarray(first, first + count).reduce((sum, value) => sum + value, 0);
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
