import { textFromAddress } from "./address.ts";
import type { Config, OverrideConfig, RouteConfig, SegmentConfig } from "./config.ts";
import { masked, maskedHeaders } from "./issue.ts";
import type { Problem } from "./parse.ts";
import { recoveryText } from "./print-recovery.ts";
import { upstreamText } from "./print-upstream.ts";
import { defined } from "./tree-edit.ts";
import { textFromDuration, textFromShare, textFromSize } from "./units.ts";

const WIDEST_PATH = 48;

/** Problems for a terminal: one per line, paths aligned, a count at the end; ends with a line break. */
export function formatProblems(problems: readonly Problem[]): string {
  const widths = problems.map(({ path }) => path.length + 1).filter((width) => width <= WIDEST_PATH);
  const width = Math.max(0, ...widths);
  const lines = problems.map(({ path, value, message }) => {
    const sentence = value === "" ? message : `${value} ${message}`;
    return path === "" ? `  ${sentence}` : `  ${`${path}:`.padEnd(width)} ${sentence}`;
  });
  lines.push(problems.length === 1 ? "1 problem" : `${problems.length} problems`);
  return `${lines.join("\n")}\n`;
}

/**
 * The config in force in the words of the file, every default written out; JSON-able, and a valid config again unless
 * something was masked. Values of headers and cookies that look like secrets are masked; files are named, not shown.
 */
export function effectiveConfig(config: Config): Record<string, unknown> {
  const { admin, metrics } = config;
  return {
    listen: config.listeners.map(listenText),
    engine: config.engine,
    ...(admin === null ? {} : { admin: defined({ address: textFromAddress(admin), tokenFile: admin.tokenFile }) }),
    ...(metrics === null
      ? {}
      : { metrics: { address: textFromAddress(metrics), bucketsPerDoubling: metrics.bucketsPerDoubling } }),
    runtime: runtimeText(config.runtime),
    log: { level: config.log.level, access: accessText(config.log.access) },
    downstream: downstreamText(config.downstream),
    overload: {
      eventLoopLag: textFromDuration(config.overload.eventLoopLagMs),
      heap: textFromShare(config.overload.heapPpm),
      maxInFlight: config.overload.maxInFlight,
    },
    upstreams: Object.fromEntries(config.upstreams.map((upstream) => [upstream.name, upstreamText(upstream)])),
    segments: Object.fromEntries(config.segments.map((segment) => [segment.name, segmentText(segment)])),
    routes: config.routes.map(routeText),
  };
}

function listenText(listener: Config["listeners"][number]): Record<string, unknown> {
  const { tls } = listener;
  const files = tls === null ? null : defined({ cert: tls.certFile, key: tls.keyFile, clientCa: tls.clientCaFile });
  return defined({ address: textFromAddress(listener), tls: files });
}

function runtimeText(runtime: Config["runtime"]): Record<string, unknown> {
  return defined({
    threads: runtime.threads === 0 ? "auto" : runtime.threads,
    stateDir: runtime.stateDir,
    trustedProxies: runtime.trustedProxies,
    viaName: runtime.viaName,
    drain: {
      lameDuck: textFromDuration(runtime.drain.lameDuckMs),
      deadline: textFromDuration(runtime.drain.deadlineMs),
    },
  });
}

function accessText(access: Config["log"]["access"]): string {
  return access.mode === "share" ? textFromShare(access.ppm) : access.mode;
}

function downstreamText(downstream: Config["downstream"]): Record<string, unknown> {
  return {
    headerTimeout: textFromDuration(downstream.headerTimeoutMs),
    bodyIdleTimeout: textFromDuration(downstream.bodyIdleTimeoutMs),
    keepAliveTimeout: textFromDuration(downstream.keepAliveTimeoutMs),
    maxHeaderBytes: textFromSize(downstream.maxHeaderBytes),
    maxHeaders: downstream.maxHeaders,
    maxConnections: downstream.maxConnections,
    tunnelIdleTimeout: textFromDuration(downstream.tunnelIdleTimeoutMs),
  };
}

function segmentText(segment: SegmentConfig): Record<string, unknown> {
  const headers = Object.entries(segment.headers).map(([name, values]) => [
    name,
    values.map((value) => masked(["headers", name], value)),
  ]);
  return { keys: segment.keys, headers: Object.fromEntries(headers) };
}

function routeText(route: RouteConfig): Record<string, unknown> {
  const { match, split } = route;
  return {
    name: route.name,
    match: defined({ ...match, headers: match.headers === null ? null : maskedHeaders(match.headers) }),
    split: defined({
      baseline: split.baseline,
      candidate: split.candidate,
      share: textFromShare(split.candidatePpm),
      hash: "murmur3",
      sticky: split.sticky.map((source) =>
        source.kind === "client-ip" ? { clientIp: true } : { [source.kind]: source.name },
      ),
      onMissingKey: missingKeyText(split.onMissingKey),
      salt: split.salt,
      overrides: split.overrides.map(overrideText),
    }),
    ...recoveryText(route),
    headers: { version: route.versionHeader },
  };
}

function missingKeyText(rule: RouteConfig["split"]["onMissingKey"]): unknown {
  if (rule.kind !== "set-cookie") return rule.kind;
  return { setCookie: { name: rule.name, maxAge: textFromDuration(rule.maxAgeMs) } };
}

function overrideText(rule: OverrideConfig): Record<string, unknown> {
  const { when, to } = rule;
  if (when.kind === "segment") return { segment: when.name, to };
  return { [when.kind]: { [when.name]: masked([when.kind, when.name], when.value) }, to };
}
