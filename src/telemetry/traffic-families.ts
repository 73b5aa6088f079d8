import {
  DECISION_REASONS,
  EXCHANGE_STATUS,
  RETRY_REASONS,
  ROUTE_WORDS,
  STATUS_SLOTS,
  THREAD_WORDS,
} from "../base/cells.ts";
import { FAILURE_KINDS } from "../base/failure.ts";
import { histogramSamples, nonZero, wordAt } from "./family.ts";
import type { Family, Sample } from "./family.ts";
import { addWords } from "./scrape-view.ts";
import type { ExchangeTotals, RouteTotals, ScrapeView } from "./scrape-view.ts";

/** Metrics of what clients asked for and got. */
export const TRAFFIC_FAMILIES: readonly Family[] = [
  {
    name: "crossfade_requests_total",
    type: "counter",
    help: "Finished exchanges by route, arm, the upstream that served, and status code.",
    labels: ["route", "arm", "upstream", "code"],
    read: (view) => view.exchanges.values().flatMap(codeSamples),
  },
  {
    name: "crossfade_request_duration_seconds",
    type: "histogram",
    help: "Time from a request's head to the end of its answer.",
    labels: ["route", "arm"],
    read: durationSamples,
  },
  {
    name: "crossfade_requests_in_flight",
    type: "gauge",
    help: "Exchanges begun and not yet finished.",
    labels: ["route"],
    read: (view) => view.routes.flatMap(inFlightSamples),
  },
  {
    name: "crossfade_decisions_total",
    type: "counter",
    help: "Picks of an arm, by the arm and why it was picked.",
    labels: ["route", "arm", "reason"],
    read: (view) => nonZero(view.routes.flatMap(decisionSamples)),
  },
  {
    name: "crossfade_retries_total",
    type: "counter",
    help: "Tries that were repeated, by reason.",
    labels: ["route", "reason"],
    read: (view) => nonZero(view.routes.flatMap(retrySamples)),
  },
  {
    name: "crossfade_refused_total",
    type: "counter",
    help: "Requests refused before a route was looked for, malformed ones above all.",
    labels: [],
    read: (view) => threadSample(view, THREAD_WORDS.refusedBeforeRoute),
  },
  {
    name: "crossfade_failures_total",
    type: "counter",
    help: "Failures that no upstream is answerable for, by kind in the failure table.",
    labels: ["kind"],
    read: (view) => nonZero(FAILURE_KINDS.map((kind, index) => failureSample(view, kind, index))),
  },
  {
    name: "crossfade_downstream_connections",
    type: "gauge",
    help: "Open client connections.",
    labels: [],
    read: (view) => threadSample(view, THREAD_WORDS.connectionsOpen),
  },
  {
    name: "crossfade_downstream_connections_accepted_total",
    type: "counter",
    help: "Client connections accepted.",
    labels: [],
    read: (view) => threadSample(view, THREAD_WORDS.connectionsTotal),
  },
  {
    name: "crossfade_upgrades_open",
    type: "gauge",
    help: "Open upgraded connections, WebSockets above all.",
    labels: [],
    read: (view) => threadSample(view, THREAD_WORDS.upgradesOpen),
  },
  {
    name: "crossfade_lane_total",
    type: "counter",
    help: "Exchanges by the engine that served them.",
    labels: ["lane"],
    read: (view) => [
      { labels: { lane: "library" }, value: wordAt(view.threadWords, THREAD_WORDS.laneLibrary) },
      { labels: { lane: "native" }, value: wordAt(view.threadWords, THREAD_WORDS.laneNative) },
      { labels: { lane: "upgrade" }, value: wordAt(view.threadWords, THREAD_WORDS.laneUpgrade) },
    ],
  },
  {
    name: "crossfade_access_records_dropped_total",
    type: "counter",
    help: "Access log records dropped because the writer was behind.",
    labels: [],
    read: (view) => threadSample(view, THREAD_WORDS.accessRecordsDropped),
  },
];

function threadSample(view: ScrapeView, word: number): readonly Sample[] {
  return [{ labels: {}, value: wordAt(view.threadWords, word) }];
}

function failureSample(view: ScrapeView, kind: string, index: number): Sample {
  return { labels: { kind }, value: wordAt(view.threadWords, THREAD_WORDS.failures + index) };
}

function codeSamples({ route, arm, upstream, words }: ExchangeTotals): Sample[] {
  const samples: Sample[] = [];
  const sharedLabels = { route, arm, upstream };
  for (const [slot, status] of STATUS_SLOTS.entries()) {
    const value = wordAt(words, EXCHANGE_STATUS + slot);
    if (value === 0) continue;
    samples.push({ labels: { code: status === 0 ? "_other" : String(status) }, sharedLabels, value });
  }
  return samples;
}

// One arm of a route can have had several upstreams, one after another: their durations are one series.
function durationSamples(view: ScrapeView): Iterable<Sample> {
  const sums = new Map<string, { readonly labels: { route: string; arm: string }; readonly words: Float64Array }>();
  for (const { route, arm, words } of view.exchanges) {
    const key = `${arm} ${route}`;
    const sum = sums.get(key);
    if (sum === undefined) sums.set(key, { labels: { route, arm }, words: words.slice() });
    else addWords(sum.words, words);
  }
  const name = "crossfade_request_duration_seconds";
  return sums
    .values()
    .flatMap(({ labels, words }) => histogramSamples(name, words, labels, view.options.bucketsPerDoubling));
}

// The two words are read while other threads write them, so the difference can be off by the requests of a moment.
function inFlightSamples({ route, live, words }: RouteTotals): Sample[] {
  const value = Math.max(0, wordAt(words, ROUTE_WORDS.started) - wordAt(words, ROUTE_WORDS.finished));
  return live || value > 0 ? [{ labels: { route }, value }] : [];
}

function decisionSamples({ route, words }: RouteTotals): Sample[] {
  return (["baseline", "candidate"] as const).flatMap((arm, armIndex) =>
    DECISION_REASONS.map((reason, reasonIndex) => ({
      labels: { route, arm, reason },
      value: wordAt(words, ROUTE_WORDS.decisions + reasonIndex + 16 * armIndex),
    })),
  );
}

function retrySamples({ route, words }: RouteTotals): Sample[] {
  return RETRY_REASONS.map((reason, index) => ({
    labels: { route, reason },
    value: wordAt(words, ROUTE_WORDS.retries + index),
  }));
}
