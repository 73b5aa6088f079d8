import type { ListenerSpec, MatchSpec, MissingKeyRule, StickySource } from "../model/snapshot.ts";
import type { Config, OverrideConfig, RouteConfig, SegmentConfig, SplitConfig } from "./config.ts";
import { digestOf } from "./digest.ts";
import type { CheckedFile } from "./schema.ts";
import { conditionsOf, fallbackOf, hedgeOf, retryOf } from "./shape-recovery.ts";
import { upstreamOf } from "./shape-upstream.ts";
import { fieldOf, listOf, lowerKeys } from "./tree-edit.ts";

/** Brings a checked file into the shape that the rest of the program uses. `tree` is the same file as read. */
export function shapeConfig(file: CheckedFile, tree: unknown): Config {
  const { admin, metrics, runtime, log } = file;
  const routeTrees = listOf(fieldOf(tree, "routes"));
  return {
    listeners: file.listen.map(listenerOf),
    engine: file.engine,
    admin: admin === undefined ? null : { ...admin.address, tokenFile: admin.tokenFile ?? null },
    metrics: metrics === undefined ? null : { ...metrics.address, bucketsPerDoubling: metrics.bucketsPerDoubling },
    runtime: {
      threads: runtime.threads,
      stateDir: runtime.stateDir ?? null,
      trustedProxies: runtime.trustedProxies,
      viaName: runtime.viaName,
      drain: { lameDuckMs: runtime.drain.lameDuck, deadlineMs: runtime.drain.deadline },
    },
    log,
    downstream: downstreamOf(file.downstream),
    overload: overloadOf(file.overload),
    upstreams: Object.entries(file.upstreams).map(([name, upstream]) => upstreamOf(name, upstream)),
    segments: Object.entries(file.segments).map(([name, segment]) => segmentOf(name, segment)),
    routes: file.routes.map((route, index) => routeOf(route, fieldOf(routeTrees[index], "split"))),
  };
}

function listenerOf(listener: CheckedFile["listen"][number]): ListenerSpec {
  const { address, tls } = listener;
  if (tls === undefined) return { ...address, tls: null };
  return { ...address, tls: { certFile: tls.cert, keyFile: tls.key, clientCaFile: tls.clientCa ?? null } };
}

function downstreamOf(downstream: CheckedFile["downstream"]): Config["downstream"] {
  return {
    headerTimeoutMs: downstream.headerTimeout,
    bodyIdleTimeoutMs: downstream.bodyIdleTimeout,
    keepAliveTimeoutMs: downstream.keepAliveTimeout,
    maxHeaderBytes: downstream.maxHeaderBytes,
    maxHeaders: downstream.maxHeaders,
    maxConnections: downstream.maxConnections,
    tunnelIdleTimeoutMs: downstream.tunnelIdleTimeout,
  };
}

function overloadOf({ eventLoopLag, heap, maxInFlight }: CheckedFile["overload"]): Config["overload"] {
  return { eventLoopLagMs: eventLoopLag, heapPpm: heap, maxInFlight };
}

function segmentOf(name: string, segment: CheckedFile["segments"][string]): SegmentConfig {
  return { name, keys: segment.keys, headers: lowerKeys(segment.headers) };
}

function routeOf(route: CheckedFile["routes"][number], splitTree: unknown): RouteConfig {
  return {
    name: route.name,
    match: matchOf(route.match),
    split: splitOf(route.split, route.name),
    versionHeader: route.headers.version,
    priority: route.priority,
    retry: route.retry === undefined ? null : retryOf(route.retry),
    hedge: hedgeOf(route),
    fallback: route.fallback.map(fallbackOf),
    fallbackOn: conditionsOf(route.fallbackOn),
    splitDigest: digestOf(splitTree),
  };
}

function matchOf(match: CheckedFile["routes"][number]["match"]): MatchSpec {
  return {
    path: match.path ?? null,
    pathPrefix: match.pathPrefix ?? null,
    pathRegex: match.pathRegex ?? null,
    host: match.host ?? null,
    methods: match.methods ?? null,
    headers: match.headers === undefined ? null : lowerKeys(match.headers),
  };
}

type CheckedSplit = CheckedFile["routes"][number]["split"];

function splitOf(split: CheckedSplit, routeName: string): SplitConfig {
  return {
    baseline: split.baseline,
    candidate: split.candidate ?? null,
    candidatePpm: split.share,
    sticky: split.sticky.map(stickyOf),
    onMissingKey: missingKeyOf(split.onMissingKey),
    salt: split.salt ?? routeName,
    overrides: split.overrides.map(overrideOf),
  };
}

function stickyOf(source: CheckedSplit["sticky"][number]): StickySource {
  if (source.header !== undefined) return { kind: "header", name: source.header };
  if (source.cookie !== undefined) return { kind: "cookie", name: source.cookie };
  return source.query === undefined ? { kind: "client-ip" } : { kind: "query", name: source.query };
}

function missingKeyOf(rule: CheckedSplit["onMissingKey"]): MissingKeyRule {
  if (typeof rule === "string") return { kind: rule };
  return { kind: "set-cookie", name: rule.setCookie.name, maxAgeMs: rule.setCookie.maxAge };
}

function overrideOf(rule: CheckedSplit["overrides"][number]): OverrideConfig {
  return { when: conditionOf(rule), to: rule.to };
}

function conditionOf(rule: CheckedSplit["overrides"][number]): OverrideConfig["when"] {
  const [header] = Object.entries(rule.header ?? {});
  if (header !== undefined) return { kind: "header", name: header[0].toLowerCase(), value: header[1] };
  const [cookie] = Object.entries(rule.cookie ?? {});
  if (cookie !== undefined) return { kind: "cookie", name: cookie[0], value: cookie[1] };
  return { kind: "segment", name: rule.segment ?? "" };
}
