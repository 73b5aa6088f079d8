/** Wiring of a whole sidecar: config, store, threads, servers. `cli/run.ts` gives it a process around it. */
import { availableParallelism } from "node:os";
import { CONTROL_WORDS } from "./base/cells.ts";
import type { StateEvent, StateEventSink } from "./base/state-event.ts";
import { liveViews } from "./admin/live-views.ts";
import { openAdminServer, type AdminServer } from "./admin/server.ts";
import type { Config } from "./config/config.ts";
import { referencedFiles } from "./config/compile.ts";
import { formatProblems } from "./config/print.ts";
import { parseConfig, type Problem } from "./config/parse.ts";
import { checkBodyFiles } from "./config/static-answer.ts";
import { CellTable } from "./control/cell-table.ts";
import { checkCertificates } from "./control/cert-files.ts";
import { readConfig, resolveBeside, type ConfigReading } from "./control/config-reading.ts";
import { ConfigSource } from "./control/config-source.ts";
import { drainTraffic } from "./control/drain.ts";
import { openLabThread, type LabThread } from "./control/lab-supervisor.ts";
import { openSnapshotStore, type ProposeResult, type SnapshotStore } from "./control/snapshot-store.ts";
import { healthReports } from "./control/health-reports.ts";
import { openWatchers, type Watchers } from "./control/watchers.ts";
import { circuitByHand } from "./control/circuit-by-hand.ts";
import { openThreadPool } from "./control/thread-pool.ts";
import type { TrafficPlane } from "./control/traffic-plane.ts";
import { openAuditLog, type AuditLog } from "./journal/audit-log.ts";
import { openOverlayFile } from "./journal/overlay-file.ts";
import { openStateFolder } from "./journal/state-folder.ts";
import type { Cause } from "./model/snapshot.ts";
import { createAccessWriter } from "./telemetry/access-writer.ts";
import { createLogger, stateEventLogger } from "./telemetry/log.ts";
import { createMetrics } from "./telemetry/metrics.ts";
import { startMetricsServer, type MetricsServer } from "./telemetry/metrics-server.ts";
import type { MetricsSource } from "./telemetry/metrics-source.ts";
import { sourceOfRoute, takeScrapeView } from "./telemetry/scrape-view.ts";
import { systemClock } from "./system-clock.ts";
import { VERSION } from "./version.ts";

/** A running sidecar. */
export interface Sidecar {
  /** Addresses with their real ports. */
  readonly listen: readonly string[];
  readonly admin: string | null;
  readonly metrics: string | null;
  /** Reads the config again now; for SIGHUP. */
  reload(cause: Cause): Promise<ProposeResult>;
  /** Ends the traffic, then everything else; resolves when nothing is left. */
  stop(): Promise<void>;
}

/** The config was refused; `message` holds every problem, ready to print. */
export class ConfigRefused extends Error {
  constructor(problems: readonly Problem[]) {
    super(formatProblems(problems).trimEnd());
  }
}

/** Reads a config file and everything it names, with this process's environment. */
export function readConfigFile(path: string, env: NodeJS.ProcessEnv): Promise<ConfigReading> {
  return readConfig({
    path,
    parse: (text) => parseConfig(text, { format: "auto", env }),
    referencedFiles,
    checkFiles: (config, files) => [...checkCertificates(config, files), ...checkBodyFiles(config, files)],
  });
}

/** Starts a sidecar; rejects with ConfigRefused, or with an Error that says which address or folder cannot be had. */
export async function startSidecar(configPath: string, env: NodeJS.ProcessEnv): Promise<Sidecar> {
  const reading = await readConfigFile(configPath, env);
  if (!reading.ok) throw new ConfigRefused(reading.problems);
  const log = createLogger({ level: reading.config.log.level });
  const listeners: StateEventSink[] = [stateEventLogger(log)];
  const onEvent = (event: StateEvent): void => {
    for (const listener of listeners) listener(event);
  };
  for (const warning of reading.warnings) log.warn({ config: configPath }, warning);
  const parts = await openParts(configPath, env, reading, onEvent);
  const { state, store, plane } = parts;
  const servers = await openServers(configPath, parts, onEvent);
  if (servers.admin !== null) listeners.push((event) => servers.admin?.publish(event));
  await parts.source.start();
  state.ready = true;
  const addresses = addressesOf(store.config, plane, servers);
  log
    .child({}, { level: "info" })
    .info(
      { ...addresses, generation: store.current.generation, version: VERSION, pid: process.pid },
      "crossfade ready",
    );
  return {
    ...addresses,
    reload: (cause) => parts.source.reloadNow(cause),
    stop: () => stop(parts, servers, onEvent),
  };
}

interface Parts {
  /** What readiness says; changes twice in a life. */
  readonly state: { ready: boolean; draining: boolean };
  readonly store: SnapshotStore;
  readonly source: ConfigSource<ProposeResult>;
  readonly cells: CellTable;
  readonly watchers: Watchers;
  readonly plane: TrafficPlane;
  readonly lab: LabThread | null;
  readonly auditLog: AuditLog;
  readonly startedAtMs: number;
}

interface Servers {
  readonly admin: AdminServer | null;
  readonly metrics: MetricsServer | null;
}

type GoodReading = Extract<ConfigReading, { readonly ok: true }>;

async function openParts(
  path: string,
  env: NodeJS.ProcessEnv,
  reading: GoodReading,
  onEvent: StateEventSink,
): Promise<Parts> {
  const { config } = reading;
  const stateDir = config.runtime.stateDir === null ? null : resolveBeside(path, config.runtime.stateDir);
  if (stateDir !== null) await openStateFolder(stateDir);
  const auditLog = await openAuditLog(stateDir, onEvent);
  const overlayFile = openOverlayFile(stateDir, onEvent);
  const cells = new CellTable(CONTROL_WORDS, dataThreads(config));
  const cause: Cause = { by: "start", actor: "process", reason: "the process started", action: "start" };
  const opened = await openSnapshotStore(reading, cause, { clock: systemClock, cells, overlayFile, auditLog, onEvent });
  if (!opened.ok) throw new ConfigRefused(opened.problems);
  const { store } = opened;
  const watchers = openWatchers({ cells, clock: systemClock, random: Math.random, onEvent });
  watchers.apply(store.current);
  store.subscribe((snapshot) => watchers.apply(snapshot));
  const lab = config.runtime.threads === "inline" ? null : openLab(config, onEvent);
  const plane = await openPlane(config, { store, cells, watchers, lab }, onEvent);
  store.subscribe((snapshot) => plane.publish(snapshot));
  const source = new ConfigSource<ProposeResult>({
    first: reading,
    read: () => readConfigFile(path, env),
    onReading: (next, why) => store.reload(why, next),
    onEvent,
  });
  const state = { ready: false, draining: false };
  return { state, store, source, cells, watchers, plane, lab, auditLog, startedAtMs: systemClock.wallMs() };
}

/** Threads that carry traffic: the control thread itself counts as one. */
function dataThreads({ runtime: { threads } }: Config): number {
  if (threads === "inline") return 1;
  return threads === 0 ? availableParallelism() : threads;
}

function openLab({ log: { level } }: Config, onEvent: StateEventSink): LabThread {
  const firstWriter = createAccessWriter(createLogger({ level }));
  return openLabThread({ entry: entry("lab-thread"), level, firstWriter, onEvent });
}

async function openPlane(
  config: Config,
  { store, cells, watchers, lab }: Pick<Parts, "store" | "cells" | "watchers" | "lab">,
  onEvent: StateEventSink,
): Promise<TrafficPlane> {
  const { engine, listeners } = config;
  const snapshot = store.current;
  const { threads } = config.runtime;
  if (threads === "inline" || lab === null) {
    // With threads, the control thread never loads the road and its engines.
    const { openInlinePlane } = await import("./control/inline-plane.ts");
    const accessWriter = createAccessWriter(createLogger({ level: config.log.level }));
    return openInlinePlane({
      listeners,
      engine,
      snapshot,
      cells,
      clock: systemClock,
      random: Math.random,
      accessWriter,
    });
  }
  const count = cells.threads;
  const onThreadLost = (): void => watchers.circuits.onThreadLost();
  const dataThread = entry("data-thread");
  return openThreadPool({ entry: dataThread, count, listeners, engine, snapshot, cells, lab, onEvent, onThreadLost });
}

async function openServers(path: string, parts: Parts, onEvent: StateEventSink): Promise<Servers> {
  const { plane, source, state, store } = parts;
  const { config } = store;
  const metricsSource = metricsSourceOf(parts);
  const options = { version: VERSION, bucketsPerDoubling: config.metrics?.bucketsPerDoubling ?? 1 };
  let admin: AdminServer | null = null;
  let metrics: MetricsServer | null = null;
  if (config.admin !== null) {
    const views = liveViews({
      store,
      auditLog: parts.auditLog,
      clock: systemClock,
      startedAtMs: parts.startedAtMs,
      version: VERSION,
      scrape: () => takeScrapeView(metricsSource, options),
      scrapeRoute: (route) => takeScrapeView(sourceOfRoute(metricsSource, route), options),
      isReady: () => state.ready,
      isDraining: () => state.draining,
    });
    const circuit = circuitByHand({
      watch: parts.watchers.circuits,
      snapshot: () => store.current,
      auditLog: parts.auditLog,
      clock: systemClock,
      onEvent,
    });
    const actions = { propose: store.propose.bind(store), reload: (cause: Cause) => source.reloadNow(cause), circuit };
    const { host, port, tokenFile } = config.admin;
    const token = tokenFile === null ? null : resolveBeside(path, tokenFile);
    admin = await openAdminServer({ host, port, tokenFile: token, views, actions, clock: systemClock, onEvent });
  }
  if (config.metrics !== null) {
    const { host, port } = config.metrics;
    metrics = await startMetricsServer({
      host,
      port,
      metrics: createMetrics(metricsSource, options),
      readiness: () => ({
        ready: state.ready,
        reason: state.draining ? "draining" : state.ready ? "taking traffic" : "starting",
        ...addressesOf(config, plane, { admin, metrics }),
        generation: store.current.generation,
      }),
      alive: () => plane.alive(),
      log: createLogger({ level: config.log.level }),
    });
  }
  return { admin, metrics };
}

function metricsSourceOf({ cells, lab, plane, store, watchers }: Parts): MetricsSource {
  return {
    series: () => cells.series(),
    regions: () => cells.regions(),
    snapshot: () => store.current,
    reloads: () => ({ ...store.reloadCounts, lastOk: store.lastReload.ok }),
    threads: () => [{ kind: "control", state: "running", count: 1 }, ...plane.threads(), ...(lab?.threads() ?? [])],
    threadRestarts: () => [...plane.restarts(), ...(lab?.restarts() ?? [])],
    health: () => healthReports(watchers.prober.readings()),
    circuits: () => watchers.circuits.reports(),
    outliers: () => watchers.outliers.reports(),
    controlWords: cells.words,
  };
}

function addressesOf(
  config: Config,
  plane: TrafficPlane,
  servers: Servers,
): Pick<Sidecar, "listen" | "admin" | "metrics"> {
  const listen = config.listeners.map((listener, i) => {
    const host = listener.host.includes(":") ? `[${listener.host}]` : listener.host;
    return `${listener.tls === null ? "http" : "https"}://${host}:${plane.ports[i] ?? listener.port}`;
  });
  return { listen, admin: servers.admin?.url ?? null, metrics: servers.metrics?.url ?? null };
}

async function stop(parts: Parts, servers: Servers, onEvent: StateEventSink): Promise<void> {
  const { lab, plane, source, state, store, watchers } = parts;
  state.ready = false;
  state.draining = true;
  const { lameDuckMs, deadlineMs } = store.config.runtime.drain;
  await source.close();
  await drainTraffic({ plane, lameDuckMs, deadlineMs, onEvent });
  await watchers.close();
  await store.close();
  await parts.auditLog.close();
  await Promise.all([lab?.stop(), servers.admin?.close(), servers.metrics?.close()]);
}

/** A thread's entry, beside this file: `.ts` from sources, `.js` in dist. */
function entry(name: string): URL {
  return new URL(`./${name}${import.meta.url.endsWith(".ts") ? ".ts" : ".js"}`, import.meta.url);
}
