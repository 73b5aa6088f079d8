import { UPSTREAM_WORDS } from "../base/cells.ts";
import { endpointText } from "../model/endpoint.ts";
import type { Snapshot, UpstreamSpec } from "../model/snapshot.ts";
import type { CircuitReport, HealthReport, OutlierReport } from "../telemetry/resilience-reports.ts";
import type { ScrapeView } from "../telemetry/scrape-view.ts";
import type { CircuitView, EndpointView, UpstreamView } from "./views.ts";

/** The upstreams of a snapshot with what a scrape saw of them. */
export function viewsOfUpstreams(scrape: ScrapeView, { upstreams }: Snapshot): readonly UpstreamView[] {
  const words = new Map(scrape.upstreams.map((totals) => [totals.upstream, totals.words]));
  const reports = reportsByPlace(scrape);
  return upstreams.map((spec) => {
    const gaugeOf = (word: number): number => words.get(spec.name)?.[word] ?? 0;
    const { active, idle, pending } = UPSTREAM_WORDS;
    const whole = reports.wholeCircuits.get(spec.name);
    return {
      name: spec.name,
      endpoints: spec.endpoints.map(endpointText),
      connections: { active: gaugeOf(active), idle: gaugeOf(idle), pending: gaugeOf(pending) },
      circuit: whole === undefined ? null : viewOfCircuit(whole),
      endpointStates: endpointsOf(spec, reports),
    };
  });
}

interface Reports {
  readonly health: ReadonlyMap<string, HealthReport>;
  readonly outliers: ReadonlyMap<string, OutlierReport>;
  /** By upstream. */
  readonly wholeCircuits: ReadonlyMap<string, CircuitReport>;
  /** Those of single endpoints, by place. */
  readonly endpointCircuits: ReadonlyMap<string, CircuitReport>;
}

function reportsByPlace({ health, outliers, circuits }: ScrapeView): Reports {
  const live = circuits.filter(({ now }) => now !== null);
  const whole = live.filter(({ now }) => now?.isWhole === true);
  const single = live.filter(({ now }) => now?.isWhole === false);
  return {
    health: new Map(health.map((report) => [placeOf(report.upstream, report.endpoint), report])),
    outliers: new Map(outliers.map((report) => [placeOf(report.upstream, report.endpoint), report])),
    wholeCircuits: new Map(whole.map((report) => [report.upstream, report])),
    endpointCircuits: new Map(single.map((report) => [placeOf(report.upstream, report.endpoint), report])),
  };
}

function endpointsOf({ name, endpoints }: UpstreamSpec, reports: Reports): readonly EndpointView[] {
  return endpoints.map((spec) => {
    const endpoint = endpointText(spec);
    const place = placeOf(name, endpoint);
    const health = reports.health.get(place)?.now ?? null;
    const outlier = reports.outliers.get(place)?.now ?? null;
    const circuit = reports.endpointCircuits.get(place);
    return {
      endpoint,
      health: health?.health ?? "unchecked",
      healthSince: health === null ? null : new Date(health.sinceWallMs).toISOString(),
      healthReason: health?.reason ?? null,
      ejected: outlier?.ejected ?? false,
      backInMs: Math.round(outlier?.backInMs ?? 0),
      circuit: circuit === undefined ? null : viewOfCircuit(circuit),
    };
  });
}

function viewOfCircuit({ now, transitions }: CircuitReport): CircuitView | null {
  if (now === null) return null;
  const { kind, sinceWallMs, retryInMs, window } = now;
  return {
    state: kind === "half_open" ? "half-open" : kind,
    since: sinceWallMs === null ? null : new Date(sinceWallMs).toISOString(),
    retryInMs: retryInMs === null ? null : Math.round(retryInMs),
    opened: transitions.open,
    window,
  };
}

function placeOf(upstream: string, endpoint: string): string {
  return JSON.stringify([upstream, endpoint]);
}
