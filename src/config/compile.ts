import { deepFreeze } from "../base/deep-freeze.ts";
import type { Overlay, RouteOverlay } from "../model/overlay.ts";
import type {
  FallbackStep,
  OverrideSpec,
  RouteSpec,
  Snapshot,
  TlsMaterial,
  UpstreamSpec,
  UpstreamTlsSpec,
} from "../model/snapshot.ts";
import type { Config, FallbackConfig, OverrideConfig, RouteConfig, SegmentConfig, UpstreamConfig } from "./config.ts";
import { digestOf } from "./digest.ts";
import { textFromPath } from "./issue.ts";
import type { Problem } from "./parse.ts";
import { staticAnswer } from "./static-answer.ts";

/** A snapshot before the store numbers it and gives out cells; deep-frozen. */
export type SnapshotDraft = Omit<Snapshot, "generation" | "cause" | "routes" | "upstreams"> & {
  readonly upstreams: readonly Omit<UpstreamSpec, "cells">[];
  readonly routes: readonly Omit<RouteSpec, "cells">[];
};

/** A draft, or why there is none. */
export type CompileResult =
  | { readonly ok: true; readonly draft: SnapshotDraft }
  | { readonly ok: false; readonly problems: readonly Problem[] };

/** Paths, as written, of the files whose text goes into the snapshot: TLS certificates, keys and authorities. */
export function referencedFiles(config: Config): readonly string[] {
  return [...new Set(filesIn(config).map(([, path]) => path))];
}

/** Route name → digest of its split section as written: what `basedOn` of an overlay entry is compared with. */
export function sectionDigests(config: Config): ReadonlyMap<string, string> {
  return new Map(config.routes.map((route) => [route.name, route.splitDigest]));
}

/**
 * Resolves a config to what the threads serve from. Overlay shares win while they are based on the section as it is;
 * kills win always. `files`: texts of `referencedFiles`, by path as written.
 */
export function compile(config: Config, overlay: Overlay, files: ReadonlyMap<string, string>): CompileResult {
  const problems = missingFiles(config, files);
  if (problems.length > 0) return { ok: false, problems };
  const segments = new Map(config.segments.map((segment) => [segment.name, segment]));
  const draft: SnapshotDraft = {
    upstreams: config.upstreams.map((upstream) => upstreamSpec(upstream, files)),
    routes: config.routes.map((route) =>
      withOverlay(route, resolved(route, segments, files), overlayOf(overlay, route.name)),
    ),
    downstream: config.downstream,
    overload: config.overload,
    trustedProxies: config.runtime.trustedProxies,
    viaName: config.runtime.viaName,
    accessLog: config.log.access,
    killed: overlay.killed !== null,
    tls: config.listeners.map(({ tls }) => (tls === null ? null : tlsMaterial(tls, files))),
  };
  return { ok: true, draft: deepFreeze(draft) };
}

/** Where each file is named, and its path. */
function filesIn(config: Config): (readonly [string, string])[] {
  const named: [string, string | null][] = [];
  for (const [index, { tls }] of config.listeners.entries()) {
    if (tls === null) continue;
    const place = `listen[${index}].tls`;
    named.push([`${place}.cert`, tls.certFile], [`${place}.key`, tls.keyFile], [`${place}.clientCa`, tls.clientCaFile]);
  }
  for (const { name, tls } of config.upstreams) {
    if (tls === null) continue;
    const place = textFromPath(["upstreams", name, "tls"]);
    named.push([`${place}.cert`, tls.certFile], [`${place}.key`, tls.keyFile], [`${place}.ca`, tls.caFile]);
  }
  for (const [index, { fallback }] of config.routes.entries()) {
    for (const [rung, step] of fallback.entries()) {
      if (step.kind === "static") named.push([`routes[${index}].fallback[${rung}].static.bodyFile`, step.bodyFile]);
    }
  }
  return named.flatMap(([place, path]) => (path === null ? [] : [[place, path] as const]));
}

function missingFiles(config: Config, files: ReadonlyMap<string, string>): Problem[] {
  const missing = filesIn(config).filter(([, path]) => !files.has(path));
  return missing.map(([path, file]) => ({ path, value: JSON.stringify(file), message: "was not read" }));
}

type Route = Omit<RouteSpec, "cells">;

/**
 * Routes as the file alone says, by the object that they come from: a change of one share compiles the whole config
 * again, and must not hash thousands of routes that did not change. A route belongs to one config, so do its segments.
 */
const resolvedRoutes = new WeakMap<RouteConfig, Route>();

function resolved(
  route: RouteConfig,
  segments: ReadonlyMap<string, SegmentConfig>,
  files: ReadonlyMap<string, string>,
): Route {
  const known = resolvedRoutes.get(route);
  if (known !== undefined) return known;
  const { name, match, versionHeader, priority, retry, hedge, fallbackOn } = route;
  const fallback = route.fallback.map((step) => fallbackStep(step, files));
  const ways = { priority, retry, hedge, fallback, fallbackOn };
  const { candidatePpm, ...rest } = route.split;
  const fixed = { ...rest, overrides: rest.overrides.map((rule) => overrideSpec(rule, segments)) };
  const digest = digestOf({ name, match, versionHeader, split: fixed, ...ways });
  const split = { ...fixed, candidatePpm, killed: false };
  const made = deepFreeze({ name, match, split, versionHeader, ...ways, digest });
  if (!readsFile(route)) resolvedRoutes.set(route, made);
  return made;
}

/** A route with a file in it is made of more than its own object. */
function readsFile(route: RouteConfig): boolean {
  return route.fallback.some((step) => step.kind === "static" && step.bodyFile !== null);
}

function fallbackStep(step: FallbackConfig, files: ReadonlyMap<string, string>): FallbackStep {
  return step.kind === "static" ? staticAnswer(step, files) : step;
}

function withOverlay(route: RouteConfig, base: Route, entry: RouteOverlay | null): Route {
  if (entry === null) return base;
  const killed = entry.killed !== null;
  const holds = entry.split !== null && entry.split.basedOn === route.splitDigest && base.split.candidate !== null;
  const candidatePpm = holds && entry.split !== null ? entry.split.candidatePpm : base.split.candidatePpm;
  return { ...base, split: { ...base.split, candidatePpm, killed } };
}

function overlayOf(overlay: Overlay, name: string): RouteOverlay | null {
  return Object.hasOwn(overlay.routes, name) ? (overlay.routes[name] ?? null) : null;
}

function overrideSpec(rule: OverrideConfig, segments: ReadonlyMap<string, SegmentConfig>): OverrideSpec {
  const { when, to } = rule;
  if (when.kind !== "segment") return { when, to };
  const segment = segments.get(when.name);
  if (segment === undefined) throw new RangeError(`segment "${when.name}" is in no checked config; use parseConfig`);
  return { when: { kind: "segment", ...segment }, to };
}

function upstreamSpec(upstream: UpstreamConfig, files: ReadonlyMap<string, string>): Omit<UpstreamSpec, "cells"> {
  const { protocol, tls: paths, health, outlierDetection, ...settings } = upstream;
  const tls = paths === null ? null : upstreamTls(paths, files);
  // Health and outlier rules belong to the control thread: an edit of them must not cost the connections.
  return { ...settings, tls, health, outlierDetection, digest: digestOf({ ...settings, protocol, tls }) };
}

function upstreamTls(paths: NonNullable<UpstreamConfig["tls"]>, files: ReadonlyMap<string, string>): UpstreamTlsSpec {
  const textOf = (path: string | null): string | null => (path === null ? null : (files.get(path) ?? null));
  const { caFile, certFile, keyFile, serverName } = paths;
  return { ca: textOf(caFile), cert: textOf(certFile), key: textOf(keyFile), serverName };
}

function tlsMaterial(
  tls: NonNullable<Config["listeners"][number]["tls"]>,
  files: ReadonlyMap<string, string>,
): TlsMaterial {
  const { certFile, keyFile, clientCaFile } = tls;
  return {
    cert: files.get(certFile) ?? "",
    key: files.get(keyFile) ?? "",
    clientCa: clientCaFile === null ? null : (files.get(clientCaFile) ?? null),
  };
}
