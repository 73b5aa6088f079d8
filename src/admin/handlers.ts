import type { IncomingMessage } from "node:http";
import { shareFromText } from "../config/units.ts";
import type { CircuitDeed } from "../control/circuit-by-hand.ts";
import type { Edit, Refusal, RefusalCode } from "../control/edit.ts";
import { problemText } from "../control/problem-text.ts";
import type { ProposeResult } from "../control/snapshot-store.ts";
import { DASHBOARD_HEADERS, DASHBOARD_PAGE } from "./dashboard-page.ts";
import { OPENAPI } from "./openapi.ts";
import { AdminError, ok } from "./reply.ts";
import type { AdminReply } from "./reply.ts";
import { badField, readJsonBody, reasonOf, routesOf } from "./request-body.ts";
import type { RouteRow } from "./router.ts";
import type { AdminActions, AdminViews } from "./views.ts";

/** What a handler may use. */
export interface HandlerContext {
  readonly views: AdminViews;
  readonly actions: AdminActions;
}

/** A request that was let in and found its row. */
export interface AdminRequest {
  readonly params: Readonly<Record<string, string>>;
  readonly query: URLSearchParams;
  readonly actor: string;
  /** For the body. */
  readonly message: IncomingMessage;
}

/** A row of the control API: where, what it is called in OpenAPI, and what it does. */
export interface AdminRow extends RouteRow {
  readonly operationId: string;
  readonly handle: (request: AdminRequest, context: HandlerContext) => AdminReply | Promise<AdminReply>;
}

/** The control API. `openapi.ts` describes these rows and no others. */
export const ADMIN_ROWS: readonly AdminRow[] = [
  { method: "GET", path: "/", operationId: "dashboard", handle: showDashboard },
  { method: "GET", path: "/api/v1/status", operationId: "getStatus", handle: (_, { views }) => ok(views.status()) },
  { method: "GET", path: "/api/v1/config", operationId: "getConfig", handle: (_, { views }) => ok(views.config()) },
  {
    method: "GET",
    path: "/api/v1/routes",
    operationId: "getRoutes",
    handle: (_, { views }) => ok({ routes: views.status().routes }),
  },
  { method: "GET", path: "/api/v1/routes/{route}", operationId: "getRoute", handle: showRoute },
  { method: "PUT", path: "/api/v1/routes/{route}/split", operationId: "putSplit", handle: changeSplit },
  { method: "POST", path: "/api/v1/routes/{route}/rollback", operationId: "rollBack", handle: rollBack },
  { method: "PUT", path: "/api/v1/kill", operationId: "kill", handle: kill },
  { method: "DELETE", path: "/api/v1/kill", operationId: "unkill", handle: unkill },
  {
    method: "POST",
    path: "/api/v1/upstreams/{upstream}/circuit/reset",
    operationId: "resetCircuit",
    handle: (request, context) => changeCircuit(request, context, "reset"),
  },
  {
    method: "POST",
    path: "/api/v1/upstreams/{upstream}/circuit/trip",
    operationId: "tripCircuit",
    handle: (request, context) => changeCircuit(request, context, "trip"),
  },
  { method: "POST", path: "/api/v1/reload", operationId: "reload", handle: reload },
  { method: "GET", path: "/api/v1/events", operationId: "getEvents", handle: () => ({ kind: "events" }) },
  { method: "GET", path: "/api/v1/audit", operationId: "getAudit", handle: showAudit },
  { method: "GET", path: "/api/v1/openapi.json", operationId: "getOpenapi", handle: () => ok(OPENAPI) },
];

/** The most records that one call of the audit gives. */
export const MAX_AUDIT_LIMIT = 1000;

const STATUS_BY_REFUSAL: Readonly<Record<RefusalCode, number>> = {
  invalid_config: 422,
  unknown_route: 404,
  no_candidate: 409,
  killed_globally: 409,
  superseded: 409,
  not_durable: 503,
  closed: 503,
};

function showDashboard(): AdminReply {
  return { kind: "page", html: DASHBOARD_PAGE, headers: DASHBOARD_HEADERS };
}

function showRoute({ params }: AdminRequest, { views }: HandlerContext): AdminReply {
  const name = params["route"] as string;
  const route = views.route(name);
  if (route === null) throw new AdminError(404, "unknown_route", `${JSON.stringify(name)} is not a route.`);
  return ok(route);
}

function showAudit({ query }: AdminRequest, { views }: HandlerContext): AdminReply {
  const limit = query.get("limit") ?? "100";
  if (!/^\d{1,4}$/.test(limit) || Number(limit) < 1 || Number(limit) > MAX_AUDIT_LIMIT) {
    throw badField("limit", limit, `is not a number from 1 to ${MAX_AUDIT_LIMIT}`);
  }
  return ok({ records: views.audit(Number(limit)) });
}

async function changeSplit({ params, actor, message }: AdminRequest, context: HandlerContext): Promise<AdminReply> {
  const route = params["route"] as string;
  const body = await readJsonBody(message, ["share", "reason"]);
  const { share } = body;
  if (typeof share !== "string") throw badField("share", share, 'is not a share; write a text such as "25%"');
  const read = shareFromText(share);
  if (!read.ok) throw badField("share", share, read.message);
  const edit: Edit = { kind: "split", route, candidatePpm: read.value };
  return propose(context, { actor, reason: reasonOf(body), action: `split ${route} ${share}` }, edit);
}

async function rollBack({ params, actor, message }: AdminRequest, context: HandlerContext): Promise<AdminReply> {
  const route = params["route"] as string;
  const reason = reasonOf(await readJsonBody(message, ["reason"]));
  return propose(context, { actor, reason, action: `rollback ${route}` }, { kind: "rollback", route });
}

async function kill({ actor, message }: AdminRequest, context: HandlerContext): Promise<AdminReply> {
  const body = await readJsonBody(message, ["routes", "reason"]);
  const routes = routesOf(body);
  return propose(
    context,
    { actor, reason: reasonOf(body), action: actionOf("kill", routes) },
    { kind: "kill", routes },
  );
}

async function unkill({ actor, message }: AdminRequest, context: HandlerContext): Promise<AdminReply> {
  const body = await readJsonBody(message, ["routes", "reason"]);
  const routes = routesOf(body);
  const wish = { actor, reason: reasonOf(body), action: actionOf("unkill", routes) };
  return propose(context, wish, { kind: "unkill", routes });
}

async function changeCircuit(
  { params, actor, message }: AdminRequest,
  { actions, views }: HandlerContext,
  deed: CircuitDeed,
): Promise<AdminReply> {
  const name = params["upstream"] as string;
  const reason = reasonOf(await readJsonBody(message, ["reason"]));
  const result = await actions.circuit({ by: "admin", actor, reason, action: `circuit ${name} ${deed}` }, name, deed);
  if (!result.ok) throw new AdminError(result.code === "no_circuit" ? 409 : 404, result.code, result.message);
  const upstream = views.status().upstreams.find((view) => view.name === name);
  return ok({ outcome: "applied", generation: result.generation, upstream });
}

async function reload({ actor, message }: AdminRequest, { actions }: HandlerContext): Promise<AdminReply> {
  const reason = reasonOf(await readJsonBody(message, ["reason"]));
  return replyFromResult(await actions.reload({ by: "admin", actor, reason, action: "reload" }));
}

interface Wish {
  readonly actor: string;
  readonly reason: string;
  readonly action: string;
}

async function propose({ actions, views }: HandlerContext, wish: Wish, edit: Edit): Promise<AdminReply> {
  const result = await actions.propose({ by: "admin", ...wish }, edit);
  const route = edit.kind === "split" || edit.kind === "rollback" ? views.route(edit.route) : null;
  return replyFromResult(result, route === null ? {} : { route });
}

function replyFromResult(result: ProposeResult, more: Readonly<Record<string, unknown>> = {}): AdminReply {
  if (!result.ok) throw errorFromRefusal(result);
  const { outcome, durable, warnings, snapshot } = result;
  const killedRoutes = snapshot.routes.filter((route) => route.split.killed).map((route) => route.name);
  return ok({
    outcome,
    generation: snapshot.generation,
    durable,
    killed: snapshot.killed,
    killedRoutes,
    warnings,
    ...more,
  });
}

function errorFromRefusal({ code, problems }: Refusal): AdminError {
  const sentences = problems.map(problemText);
  const message = sentences.join("; ");
  return new AdminError(STATUS_BY_REFUSAL[code], code, message, { details: { problems: sentences } });
}

function actionOf(verb: "kill" | "unkill", routes: readonly string[] | null): string {
  return routes === null ? verb : `${verb} ${routes.join(" ")}`;
}
