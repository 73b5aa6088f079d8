import type { Config, RouteConfig, UpstreamConfig } from "./config.ts";
import type { MatchSpec } from "../model/snapshot.ts";

/** What is allowed but probably not meant: names that nobody uses, rules that do nothing, routes that are never reached. */
export function warningsFor(config: Config): readonly string[] {
  return [
    ...unusedUpstreams(config),
    ...config.upstreams.flatMap(idleRules),
    ...unusedSegments(config),
    ...unreachable(config.routes),
  ];
}

function unusedUpstreams(config: Config): string[] {
  const used = new Set(config.routes.flatMap(upstreamsOf));
  return config.upstreams
    .filter(({ name }) => !used.has(name))
    .map(({ name }) => `upstreams.${name} is used by no route`);
}

function upstreamsOf({ split, fallback }: RouteConfig): (string | null)[] {
  const rungs = fallback.map((step) => (step.kind === "upstream" ? step.upstream : null));
  return [split.baseline, split.candidate, ...rungs];
}

function idleRules({ name, endpoints, circuitBreaker, outlierDetection }: UpstreamConfig): string[] {
  const warnings: string[] = [];
  if (outlierDetection !== null && endpoints.length === 1) {
    warnings.push(`upstreams.${name}.outlierDetection does nothing: there is one endpoint, and one always stays in`);
  }
  if (circuitBreaker !== null && circuitBreaker.slowCallMs > 0 && circuitBreaker.slowCallPpm === 0) {
    warnings.push(`upstreams.${name}.circuitBreaker.slowCallDuration does nothing: slowCallRatio is 0%`);
  }
  return warnings;
}

function unusedSegments(config: Config): string[] {
  const used = new Set<string>();
  for (const { split } of config.routes) {
    for (const { when } of split.overrides) if (when.kind === "segment") used.add(when.name);
  }
  return config.segments
    .filter(({ name }) => !used.has(name))
    .map(({ name }) => `segments.${name} is used by no route`);
}

function unreachable(routes: readonly RouteConfig[]): string[] {
  const index = routes.findIndex(({ match }) => takesEverything(match));
  const rest = index === -1 ? 0 : routes.length - 1 - index;
  if (rest === 0) return [];
  const name = routes[index]?.name ?? "";
  return [`route "${name}" takes every request: the ${rest} after it ${rest === 1 ? "is" : "are"} never reached`];
}

function takesEverything(match: MatchSpec): boolean {
  const { path, pathPrefix, pathRegex, host, methods, headers } = match;
  return (
    (pathPrefix ?? "/") === "/" &&
    path === null &&
    pathRegex === null &&
    host === null &&
    methods === null &&
    headers === null
  );
}
