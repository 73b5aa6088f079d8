import { once } from "node:events";
import fs from "node:fs";
import http from "node:http";
import path from "node:path";
import type { StateEvent } from "../../src/base/state-event.ts";
import { CircuitWatch } from "../../src/control/circuit-watch.ts";
import { circuitByHand } from "../../src/control/circuit-by-hand.ts";
import { liveViews } from "../../src/admin/live-views.ts";
import { openAdminServer } from "../../src/admin/server.ts";
import type { AdminServer, AdminServerOptions } from "../../src/admin/server.ts";
import type { ProposeResult } from "../../src/control/snapshot-store.ts";
import { memoryAuditLog } from "../../src/journal/audit-log.ts";
import type { AuditLog } from "../../src/journal/audit-log.ts";
import type { Cause } from "../../src/model/snapshot.ts";
import type { HealthReport, OutlierReport } from "../../src/telemetry/resilience-reports.ts";
import { sourceOfRoute, takeScrapeView } from "../../src/telemetry/scrape-view.ts";
import { configText, openBench, readingOf, useFolder } from "./control-plane.ts";
import type { StoreBench } from "./control-plane.ts";
import type { Scope } from "./scope.ts";
import { changed } from "./until.ts";

/** The token of a bench that has one. */
export const TOKEN = "0123456789abcdef-the-token";

/** A control API on a real socket over a real store. */
export interface AdminBench extends StoreBench {
  readonly server: AdminServer;
  readonly port: number;
  readonly auditLog: AuditLog;
  readonly tokenFile: string | null;
  /** What `POST reload` will find in the config file. */
  text: string;
  /** Its circuits; it looks when told. */
  readonly watch: CircuitWatch;
  /** What the status shows of checks and ejections. */
  readonly reported: { health: readonly HealthReport[]; outliers: readonly OutlierReport[] };
  /** Readiness as the status shows it. */
  readonly state: { ready: boolean; draining: boolean };
  ask(method: string, target: string, options?: AskOptions): Promise<Answer>;
}

/** What goes with a request; `token: null` = none is sent. */
export interface AskOptions {
  readonly token?: string | null;
  readonly headers?: http.OutgoingHttpHeaders;
  /** An object is sent as JSON, a text as it is. */
  readonly body?: object | string;
}

/** An answer, whole. */
export interface Answer {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly text: string;
  /** The body as JSON; fails when it is none. */
  readonly json: Readonly<Record<string, unknown>>;
}

/** Opens a control API on a config; with a token unless told. */
export async function openAdminBench(
  scope: Scope,
  options: { readonly text?: string; readonly token?: boolean; readonly over?: Partial<AdminServerOptions> } = {},
): Promise<AdminBench> {
  const { text = configText([{ name: "api" }, { name: "web", candidate: null }]), token = true, over = {} } = options;
  const auditLog = memoryAuditLog();
  const sinks: ((event: StateEvent) => void)[] = [];
  const events: StateEvent[] = [];
  const onEvent = (event: StateEvent): void => {
    events.push(event);
    for (const sink of sinks) sink(event);
    changed();
  };
  const bench = await openBench(scope, text, { auditLog, onEvent });
  const { store, clock, cells } = bench;
  const state = { ready: true, draining: false };
  const tokenFile = token ? path.join(useFolder(scope), "token") : null;
  if (tokenFile !== null) fs.writeFileSync(tokenFile, `${TOKEN}\n`);
  const watch = new CircuitWatch({ gates: cells.gates, threads: cells.threads, clock, onEvent, every: () => () => {} });
  watch.apply(store.current);
  store.subscribe((snapshot) => watch.apply(snapshot));
  const reported: AdminBench["reported"] = { health: [], outliers: [] };
  const source = {
    series: () => cells.series(),
    regions: () => cells.regions(),
    snapshot: () => store.current,
    reloads: () => store.reloadCounts,
    threads: () => [{ kind: "control" as const, state: "running" as const, count: 1 }],
    threadRestarts: () => [],
    health: () => reported.health,
    circuits: () => watch.reports(),
    outliers: () => reported.outliers,
    controlWords: cells.words,
  };
  const views = liveViews({
    store,
    auditLog,
    clock,
    startedAtMs: clock.wallMs(),
    version: "1.2.3",
    scrape: () => takeScrapeView(source, { version: "1.2.3", bucketsPerDoubling: 1 }),
    scrapeRoute: (route) => takeScrapeView(sourceOfRoute(source, route), { version: "1.2.3", bucketsPerDoubling: 1 }),
    isReady: () => state.ready,
    isDraining: () => state.draining,
  });
  const actions = {
    propose: store.propose.bind(store),
    reload: (cause: Cause): Promise<ProposeResult> => store.reload(cause, readingOf(result.text)),
    circuit: circuitByHand({ watch, snapshot: () => store.current, auditLog, clock, onEvent }),
  };
  const address = { host: "127.0.0.1", port: 0, tokenFile };
  const server = await openAdminServer({ ...address, views, actions, clock, onEvent, ...over });
  sinks.push((event) => server.publish(event));
  scope.after(() => server.close());
  const port = Number(new URL(server.url).port);
  const result: AdminBench = {
    ...bench,
    events,
    server,
    port,
    auditLog,
    tokenFile,
    text,
    watch,
    reported,
    state,
    ask: (method, target, asked = {}) =>
      ask(port, method, target, {
        ...asked,
        token: asked.token === undefined && token ? TOKEN : (asked.token ?? null),
      }),
  };
  return result;
}

/** Sends one request on a connection of its own and reads the whole answer. */
export async function ask(port: number, method: string, target: string, options: AskOptions = {}): Promise<Answer> {
  const response = await begin(port, method, target, options);
  let text = "";
  response.setEncoding("utf8");
  for await (const chunk of response) text += chunk as string;
  return {
    status: response.statusCode ?? 0,
    headers: response.headers,
    text,
    get json() {
      return JSON.parse(text) as Readonly<Record<string, unknown>>;
    },
  };
}

/** Sends one request and gives the answer back as soon as its head is there. */
export async function begin(
  port: number,
  method: string,
  target: string,
  { token = null, headers = {}, body }: AskOptions = {},
): Promise<http.IncomingMessage> {
  const text = typeof body === "object" ? JSON.stringify(body) : body;
  const request = http.request({
    host: "127.0.0.1",
    port,
    method,
    path: target,
    agent: false,
    headers: {
      ...(token !== null && { authorization: `Bearer ${token}` }),
      ...(typeof body === "object" && { "content-type": "application/json" }),
      ...(text !== undefined && { "content-length": Buffer.byteLength(text) }),
      ...headers,
    },
  });
  request.end(text);
  const [response] = (await once(request, "response")) as [http.IncomingMessage];
  return response;
}
