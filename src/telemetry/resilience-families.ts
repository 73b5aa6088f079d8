import { FALLBACK_KINDS, RETRY_SKIPS, ROUTE_WORDS } from "../base/cells.ts";
import { histogramSamples, nonZero, wordAt } from "./family.ts";
import type { Family, Sample } from "./family.ts";
import { CIRCUIT_KINDS } from "./resilience-reports.ts";
import type { CircuitReport, HealthReport, OutlierReport } from "./resilience-reports.ts";
import type { RouteTotals } from "./scrape-view.ts";

/** Metrics of what keeps callers served when an upstream does not: checks, circuits, ejections, fallbacks, shedding. */
export const RESILIENCE_FAMILIES: readonly Family[] = [
  {
    name: "crossfade_health_up",
    type: "gauge",
    help: "1 while an endpoint is healthy by its checks; 0 while it is not, or before its first check.",
    labels: ["upstream", "endpoint"],
    read: ({ health }) => health.flatMap(upSamples),
  },
  {
    name: "crossfade_health_checks_total",
    type: "counter",
    help: "Health checks that came to an end.",
    labels: ["upstream", "endpoint"],
    read: ({ health }) => health.map((report) => ({ labels: placeOf(report), value: report.checks })),
  },
  {
    name: "crossfade_health_check_failures_total",
    type: "counter",
    help: "Health checks that failed, by reason.",
    labels: ["upstream", "endpoint", "reason"],
    read: ({ health }) => nonZero(health.flatMap(checkFailureSamples)),
  },
  {
    name: "crossfade_health_check_duration_seconds",
    type: "histogram",
    help: "Time that a health check took, connection included.",
    labels: ["upstream", "endpoint"],
    read: (view) =>
      view.health.flatMap((report) => {
        const { bucketsPerDoubling } = view.options;
        return histogramSamples(CHECK_DURATION, report.durations, placeOf(report), bucketsPerDoubling);
      }),
  },
  {
    name: "crossfade_circuit_state",
    type: "gauge",
    help: "1 for the state that a circuit is in, 0 for the others.",
    labels: ["upstream", "endpoint", "state"],
    read: ({ circuits }) => circuits.flatMap(stateSamples),
  },
  {
    name: "crossfade_circuit_transitions_total",
    type: "counter",
    help: "Changes of a circuit's state, by the state it came to.",
    labels: ["upstream", "endpoint", "to"],
    read: ({ circuits }) => circuits.flatMap(transitionSamples),
  },
  {
    name: "crossfade_circuit_open_seconds",
    type: "histogram",
    help: "How long a circuit was not closed, counted when it closes again.",
    labels: ["upstream", "endpoint"],
    read: (view) =>
      view.circuits.flatMap((report) => {
        const { bucketsPerDoubling } = view.options;
        return histogramSamples(OPEN_TIME, report.openTimes, placeOf(report), bucketsPerDoubling);
      }),
  },
  {
    name: "crossfade_outlier_ejected",
    type: "gauge",
    help: "1 while an endpoint is out because it did worse than the others.",
    labels: ["upstream", "endpoint"],
    read: ({ outliers }) => outliers.flatMap(ejectedSamples),
  },
  {
    name: "crossfade_outlier_ejections_total",
    type: "counter",
    help: "How often an endpoint was taken out because it did worse than the others.",
    labels: ["upstream", "endpoint"],
    read: ({ outliers }) => outliers.map((report) => ({ labels: placeOf(report), value: report.ejections })),
  },
  {
    name: "crossfade_fallbacks_total",
    type: "counter",
    help: "Exchanges that a fallback answered, by the kind of the fallback; none: no fallback could.",
    labels: ["route", "kind"],
    read: ({ routes }) => nonZero(routes.flatMap(fallbackSamples)),
  },
  {
    name: "crossfade_retries_skipped_total",
    type: "counter",
    help: "Tries that the retry rules would have repeated, and why they were not.",
    labels: ["route", "reason"],
    read: ({ routes }) => nonZero(routes.flatMap(retrySkipSamples)),
  },
  {
    name: "crossfade_hedges_total",
    type: "counter",
    help: "Second requests beside one that took long: started, and won when theirs was the answer.",
    labels: ["route", "result"],
    read: ({ routes }) => nonZero(routes.flatMap(hedgeSamples)),
  },
  {
    name: "crossfade_shed_total",
    type: "counter",
    help: "Requests turned away under overload.",
    labels: ["route"],
    read: ({ routes }) =>
      nonZero(routes.map(({ route, words }) => ({ labels: { route }, value: wordAt(words, ROUTE_WORDS.shed) }))),
  },
  {
    name: "crossfade_overload_stage",
    type: "gauge",
    help: "Stage of overload of the worst data thread: 1 sheds shadows, 2 low priority routes, 3 also normal ones.",
    labels: [],
    read: ({ overloadStage }) => [{ labels: {}, value: overloadStage }],
  },
];

const CHECK_DURATION = "crossfade_health_check_duration_seconds";
const OPEN_TIME = "crossfade_circuit_open_seconds";

type Place = Pick<HealthReport, "upstream" | "endpoint">;

function placeOf({ upstream, endpoint }: Place): { upstream: string; endpoint: string } {
  return { upstream, endpoint };
}

function upSamples(report: HealthReport): Sample[] {
  if (report.now === null || report.now.health === "unchecked") return [];
  return [{ labels: placeOf(report), value: report.now.health === "healthy" ? 1 : 0 }];
}

function checkFailureSamples(report: HealthReport): Sample[] {
  return Object.entries(report.failures).map(([reason, value]) => ({ labels: { ...placeOf(report), reason }, value }));
}

function stateSamples(report: CircuitReport): Sample[] {
  const { now } = report;
  if (now === null) return [];
  return CIRCUIT_KINDS.map((state) => ({
    labels: { ...placeOf(report), state },
    value: now.kind === state ? 1 : 0,
  }));
}

function transitionSamples(report: CircuitReport): Sample[] {
  return CIRCUIT_KINDS.map((to) => ({ labels: { ...placeOf(report), to }, value: report.transitions[to] }));
}

function ejectedSamples(report: OutlierReport): Sample[] {
  return report.now === null ? [] : [{ labels: placeOf(report), value: report.now.ejected ? 1 : 0 }];
}

function fallbackSamples({ route, words }: RouteTotals): Sample[] {
  return FALLBACK_KINDS.map((kind, index) => ({
    labels: { route, kind },
    value: wordAt(words, ROUTE_WORDS.fallbacks + index),
  }));
}

function retrySkipSamples({ route, words }: RouteTotals): Sample[] {
  return RETRY_SKIPS.map((reason, index) => ({
    labels: { route, reason },
    value: wordAt(words, ROUTE_WORDS.retrySkips + index),
  }));
}

function hedgeSamples({ route, words }: RouteTotals): Sample[] {
  return [
    { labels: { route, result: "started" }, value: wordAt(words, ROUTE_WORDS.hedged) },
    { labels: { route, result: "won" }, value: wordAt(words, ROUTE_WORDS.hedgesWon) },
  ];
}
