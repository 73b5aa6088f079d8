import { UPSTREAM_WORDS } from "../base/cells.ts";
import { FAILURE_KINDS } from "../base/failure.ts";
import { histogramSamples, nonZero, wordAt } from "./family.ts";
import type { Family, Sample } from "./family.ts";
import type { UpstreamTotals } from "./scrape-view.ts";

/** Metrics of the services that we call. */
export const UPSTREAM_FAMILIES: readonly Family[] = [
  {
    name: "crossfade_upstream_duration_seconds",
    type: "histogram",
    help: "Time from a request sent to the first byte of the upstream's answer.",
    labels: ["upstream"],
    read: (view) =>
      view.upstreams
        .values()
        .flatMap(({ upstream, words }) =>
          histogramSamples("crossfade_upstream_duration_seconds", words, { upstream }, view.options.bucketsPerDoubling),
        ),
  },
  {
    name: "crossfade_upstream_failures_total",
    type: "counter",
    help: "Failed tries by upstream and kind in the failure table.",
    labels: ["upstream", "kind"],
    read: (view) => nonZero(view.upstreams.flatMap(failureSamples)),
  },
  {
    name: "crossfade_pool_connections",
    type: "gauge",
    help: "Connections to the upstream: active ones carry a request, idle ones wait for one.",
    labels: ["upstream", "state"],
    read: (view) => [...gauge(view.upstreams, "active"), ...gauge(view.upstreams, "idle")],
  },
  {
    name: "crossfade_pool_pending",
    type: "gauge",
    help: "Requests that wait for a connection to the upstream.",
    labels: ["upstream"],
    read: (view) => gauge(view.upstreams, "pending"),
  },
  {
    name: "crossfade_pool_reused_total",
    type: "counter",
    help: "Tries that went out on a connection that had served before.",
    labels: ["upstream"],
    read: (view) => view.upstreams.map((totals) => counter(totals, UPSTREAM_WORDS.reused)),
  },
  {
    name: "crossfade_pool_opened_total",
    type: "counter",
    help: "Connections opened to the upstream.",
    labels: ["upstream"],
    read: (view) => view.upstreams.map((totals) => counter(totals, UPSTREAM_WORDS.opened)),
  },
  {
    name: "crossfade_pool_overflow_total",
    type: "counter",
    help: "Requests turned away by the pool: the queue was full, the wait in it too long, or too many were under way.",
    labels: ["upstream", "reason"],
    read: (view) =>
      view.upstreams.flatMap((totals) => [
        counter(totals, UPSTREAM_WORDS.overflowed, { reason: "overflow" }),
        counter(totals, UPSTREAM_WORDS.acquireTimedOut, { reason: "acquire-timeout" }),
        counter(totals, UPSTREAM_WORDS.overloaded, { reason: "too-many-in-flight" }),
      ]),
  },
];

function counter({ upstream, words }: UpstreamTotals, word: number, more: Record<string, string> = {}): Sample {
  return { labels: { upstream, ...more }, value: wordAt(words, word) };
}

// The pool of a removed upstream is shown for as long as it drains.
function gauge(upstreams: readonly UpstreamTotals[], word: "active" | "idle" | "pending"): Sample[] {
  return upstreams.flatMap((totals) => {
    const value = Math.max(0, wordAt(totals.words, UPSTREAM_WORDS[word]));
    if (!totals.live && value === 0) return [];
    const labels = word === "pending" ? {} : { state: word };
    return [{ labels: { upstream: totals.upstream, ...labels }, value }];
  });
}

function failureSamples({ upstream, words }: UpstreamTotals): Sample[] {
  return FAILURE_KINDS.map((kind, index) => ({
    labels: { upstream, kind },
    value: wordAt(words, UPSTREAM_WORDS.failures + index),
  }));
}
