import type { RouteView, StatusView } from "../admin/views.ts";
import type { AuditRecord } from "../journal/audit-record.ts";
import { upstreamRows } from "./ctl-upstreams.ts";
import { aligned, durationText } from "./text-table.ts";

/** The status as a page of text: what is in force, one row per route, what needs attention. */
export function statusText(status: StatusView): string {
  const state = status.draining ? "draining" : status.ready ? "taking traffic" : "not ready";
  const { by, action, actor } = status.cause;
  const lines = [
    `crossfade ${status.version}  pid ${status.pid}  up ${durationText(status.uptimeMs)}  ${state}`,
    `generation ${status.generation}: ${action === "" ? by : action} by ${actor}${status.killed ? "  ALL ROUTES KILLED" : ""}`,
    "",
    ...routeRows(status.routes),
    "",
    ...upstreamRows(status.upstreams),
    ...attentionRows(status),
  ];
  return `${lines.join("\n")}\n`;
}

/** Routes as a table. */
export function routesText(routes: readonly RouteView[]): string {
  return `${routeRows(routes).join("\n")}\n`;
}

/** Audit records, newest first, one line each. */
export function auditText(records: readonly AuditRecord[]): string {
  if (records.length === 0) return "no changes yet\n";
  const rows = records.map((record) => [
    record.at,
    `#${record.seq}`,
    `gen ${record.generation}`,
    record.actor,
    record.action,
    record.reason,
  ]);
  return `${aligned(rows).join("\n")}\n`;
}

/** What a change did, in one line. */
export function changeText(change: ChangeAnswer): string {
  const durable = DURABLE_TEXTS[change.durable] ?? change.durable;
  const lines = [`${change.outcome}: generation ${change.generation}, ${durable}`];
  if (change.route !== undefined) lines.push(...routeRows([change.route]));
  for (const warning of change.warnings) lines.push(`warning: ${warning}`);
  return `${lines.join("\n")}\n`;
}

/** The answer to a change. */
export interface ChangeAnswer {
  readonly outcome: string;
  readonly generation: number;
  readonly durable: string;
  readonly warnings: readonly string[];
  readonly route?: RouteView;
}

const DURABLE_TEXTS: Readonly<Record<string, string>> = {
  now: "on disk",
  later: "in force now, being written to disk",
  never: "in memory only: it will not outlive a restart",
};

const BAR_CELLS = 20;

function routeRows(routes: readonly RouteView[]): readonly string[] {
  const header = ["ROUTE", "BASELINE → CANDIDATE", "SHARE", "", "DECIDED", "5XX", "STATE"];
  return aligned([header, ...routes.map(routeRow)]);
}

function routeRow(route: RouteView): readonly string[] {
  const { baseline, candidate } = route.decided;
  return [
    route.name,
    route.candidate === null ? route.baseline : `${route.baseline} → ${route.candidate}`,
    route.candidate === null ? "-" : route.share,
    route.candidate === null ? "" : shareBar(route.killed ? 0 : route.candidatePpm),
    `${baseline} / ${candidate}`,
    `${route.answers.baseline["5xx"]} / ${route.answers.candidate["5xx"]}`,
    [route.killed ? "KILLED" : SOURCE_TEXTS[route.source], ...rescueTexts(route)].join(", "),
  ];
}

/** What became of requests that did not go the plain way; only what happened at all. */
function rescueTexts({ retries, fallbacks, shed }: RouteView): readonly string[] {
  const { none, ...answered } = fallbacks;
  const served = Object.values(answered).reduce((sum, count) => sum + count, 0);
  const counts: readonly (readonly [number, string])[] = [
    [retries, "retries"],
    [served, "fallbacks"],
    [none, "without fallback"],
    [shed, "shed"],
  ];
  return counts.filter(([count]) => count > 0).map(([count, what]) => `${count} ${what}`);
}

const SOURCE_TEXTS: Readonly<Record<RouteView["source"], string>> = {
  file: "as configured",
  split: "set by hand",
  rollback: "rolled back",
};

const OVERLOAD_TEXTS: Readonly<Record<number, string>> = {
  1: "no shadows",
  2: "low priority routes get 503",
  3: "only high priority routes are served",
};

/** A share above zero shows at least one cell, one below all leaves at least one. */
function shareBar(ppm: number): string {
  const exact = (ppm / 1_000_000) * BAR_CELLS;
  const cells = ppm === 0 ? 0 : ppm === 1_000_000 ? BAR_CELLS : Math.min(BAR_CELLS - 1, Math.max(1, Math.round(exact)));
  return `[${"█".repeat(cells)}${"░".repeat(BAR_CELLS - cells)}]`;
}

function attentionRows({ lastReload, restartNeeded, overlayIsBehind, overloadStage }: StatusView): readonly string[] {
  const lines: string[] = [];
  if (overloadStage > 0) lines.push("", `OVERLOAD stage ${overloadStage}: ${OVERLOAD_TEXTS[overloadStage]}`);
  if (!lastReload.ok) {
    lines.push("", `the reload of ${lastReload.at} was refused; the config before it is in force:`);
    for (const problem of lastReload.problems) lines.push(`  ${problem}`);
  }
  if (restartNeeded.length > 0) lines.push("", `only a restart brings into force: ${restartNeeded.join(", ")}`);
  if (overlayIsBehind) lines.push("", "a change is in force that could not be written to disk yet");
  return lines;
}
