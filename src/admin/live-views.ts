import type { Clock } from "../base/clock.ts";
import { effectiveConfig } from "../config/print.ts";
import { routeNamed } from "../control/edit.ts";
import { problemText } from "../control/problem-text.ts";
import type { SnapshotStore } from "../control/snapshot-store.ts";
import type { AuditLog } from "../journal/audit-log.ts";
import type { ScrapeView } from "../telemetry/scrape-view.ts";
import { countsByRoute, detailOfRoute, viewOfRoute } from "./route-view.ts";
import { viewsOfUpstreams } from "./upstream-view.ts";
import type { AdminViews, RouteDetailView, StatusView } from "./views.ts";

/** Where the views of a running process come from. */
export interface ViewSources {
  readonly store: Pick<
    SnapshotStore,
    "current" | "config" | "overlay" | "lastReload" | "reloadCounts" | "restartNeeded" | "overlayIsBehind"
  >;
  readonly auditLog: Pick<AuditLog, "read">;
  readonly clock: Clock;
  /** Wall clock of the start, milliseconds. */
  readonly startedAtMs: number;
  readonly version: string;
  /** All counters as they are now. */
  readonly scrape: () => ScrapeView;
  /** The counters of one route, without a look at the others. */
  readonly scrapeRoute: (route: string) => ScrapeView;
  readonly isReady: () => boolean;
  readonly isDraining: () => boolean;
}

/** The views of a running process; each call reads what is in force at that moment. */
export function liveViews(sources: ViewSources): AdminViews {
  const { store, auditLog } = sources;
  return {
    status: () => statusOf(sources),
    config: () => ({
      generation: store.current.generation,
      config: effectiveConfig(store.config),
      overlay: store.overlay,
    }),
    route: (name) => routeOf(sources, name),
    audit: (limit) => auditLog.read(limit),
  };
}

function statusOf({ store, clock, startedAtMs, version, scrape, isReady, isDraining }: ViewSources): StatusView {
  const snapshot = store.current;
  const seen = scrape();
  const counts = countsByRoute(seen);
  const { ok, atMs, problems } = store.lastReload;
  const { applied, refused, unchanged } = store.reloadCounts;
  return {
    version,
    pid: process.pid,
    startedAt: new Date(startedAtMs).toISOString(),
    uptimeMs: Math.max(0, Math.round(clock.wallMs() - startedAtMs)),
    generation: snapshot.generation,
    cause: snapshot.cause,
    ready: isReady(),
    draining: isDraining(),
    killed: snapshot.killed,
    routes: snapshot.routes.map((route) => viewOfRoute(route, snapshot, store.overlay, counts.get(route.name))),
    upstreams: viewsOfUpstreams(seen, snapshot),
    overloadStage: seen.overloadStage,
    threads: seen.threads,
    lastReload: { ok, at: new Date(atMs).toISOString(), problems: problems.map(problemText) },
    reloads: { applied, refused, unchanged },
    restartNeeded: store.restartNeeded,
    overlayIsBehind: store.overlayIsBehind,
  };
}

function routeOf({ store, scrapeRoute }: ViewSources, name: string): RouteDetailView | null {
  const snapshot = store.current;
  const route = routeNamed(snapshot, name);
  if (route === null) return null;
  return detailOfRoute(route, viewOfRoute(route, snapshot, store.overlay, countsByRoute(scrapeRoute(name)).get(name)));
}
