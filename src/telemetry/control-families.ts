import { shareInForce } from "../model/decide.ts";
import type { Share } from "../model/decide.ts";
import type { RouteSpec } from "../model/snapshot.ts";
import { PPM } from "../model/split.ts";
import type { Family, Sample } from "./family.ts";
import { THREAD_KINDS, THREAD_STATES } from "./metrics-source.ts";
import type { ScrapeView } from "./scrape-view.ts";

/** Metrics of what is in force, and of the process. */
export const CONTROL_FAMILIES: readonly Family[] = [
  {
    name: "crossfade_split_share",
    type: "gauge",
    help: "Share of callers that the candidate gets now, from 0 to 1; 0 while killed.",
    labels: ["route"],
    read: (view) => perRoute(view, (route) => sharePpm(view, route) / PPM),
  },
  {
    name: "crossfade_killed",
    type: "gauge",
    help: "1 while the kill switch sends all callers of the route to the baseline.",
    labels: ["route"],
    read: (view) => perRoute(view, (route) => (shareOf(view, route).killed ? 1 : 0)),
  },
  {
    name: "crossfade_config_generation",
    type: "gauge",
    help: "Generation of the snapshot in force; 0 before the first.",
    labels: [],
    read: (view) => [{ labels: {}, value: view.snapshot?.generation ?? 0 }],
  },
  {
    name: "crossfade_config_reloads_total",
    type: "counter",
    help: "Reloads of the config by result.",
    labels: ["result"],
    read: ({ reloads }) => [
      { labels: { result: "applied" }, value: reloads.applied },
      { labels: { result: "refused" }, value: reloads.refused },
      { labels: { result: "unchanged" }, value: reloads.unchanged },
    ],
  },
  {
    name: "crossfade_config_last_reload_success",
    type: "gauge",
    help: "1 when the last reload was accepted, 0 when it was refused and the config before it is still in force.",
    labels: [],
    read: (view) => [{ labels: {}, value: view.reloads.lastOk ? 1 : 0 }],
  },
  {
    name: "crossfade_threads",
    type: "gauge",
    help: "Threads by kind and state.",
    labels: ["kind", "state"],
    read: threadSamples,
  },
  {
    name: "crossfade_thread_restarts_total",
    type: "counter",
    help: "Threads that ended by themselves and were replaced.",
    labels: ["kind"],
    read: restartSamples,
  },
  {
    name: "crossfade_build_info",
    type: "gauge",
    help: "Always 1; the labels say which Crossfade runs on which Node.",
    labels: ["version", "node"],
    read: (view) => [{ labels: { version: view.options.version, node: process.version }, value: 1 }],
  },
];

function perRoute(view: ScrapeView, read: (route: RouteSpec) => number): Sample[] {
  return (view.snapshot?.routes ?? []).map((route) => ({ labels: { route: route.name }, value: read(route) }));
}

// What a data thread with this snapshot does: the same rule, read from the same word.
function shareOf(view: ScrapeView, { cells, split }: RouteSpec): Share {
  const killed = split.killed || view.snapshot?.killed === true;
  return shareInForce(Atomics.load(view.controlWords, cells.word), cells.epoch, split.candidatePpm, killed);
}

function sharePpm(view: ScrapeView, route: RouteSpec): number {
  const share = shareOf(view, route);
  return route.split.candidate === null || share.killed ? 0 : share.candidatePpm;
}

function threadSamples(view: ScrapeView): Sample[] {
  return THREAD_KINDS.flatMap((kind) =>
    THREAD_STATES.map((state) => {
      const counts = view.threads.filter((thread) => thread.kind === kind && thread.state === state);
      return { labels: { kind, state }, value: counts.reduce((sum, { count }) => sum + count, 0) };
    }),
  );
}

function restartSamples(view: ScrapeView): Sample[] {
  return THREAD_KINDS.map((kind) => {
    const counts = view.threadRestarts.filter((restarts) => restarts.kind === kind);
    return { labels: { kind }, value: counts.reduce((sum, { count }) => sum + count, 0) };
  });
}
