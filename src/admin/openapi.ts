import { list, object, ref, SCHEMAS, text } from "./openapi-schemas.ts";

const REASON = text("Why; recorded. At most 512 characters on one line.");
const ROUTES = { ...list(text("A route's name.")), minItems: 1, description: "Left out: all routes." };

const ROUTE_PARAMETER = { name: "route", in: "path", required: true, schema: { type: "string" } };
const UPSTREAM_PARAMETER = { name: "upstream", in: "path", required: true, schema: { type: "string" } };
const ACTOR_PARAMETER = {
  name: "x-crossfade-actor",
  in: "header",
  required: false,
  description: "Who asks; recorded. Default: token, or local when there is no token.",
  schema: { type: "string", maxLength: 64 },
};

const ERROR_MEANINGS: Readonly<Record<string, string>> = {
  "400": "The request is not understood.",
  "401": "No token, or not the right one.",
  "403": "Another host name or web page than the server's own.",
  "404": "No such route or upstream.",
  "409": "It does not fit what is in force: no candidate, no circuit, all routes killed, or overtaken by a rollback.",
  "413": "The body is larger than 64 KiB.",
  "415": "The body is not application/json.",
  "422": "The config was refused; the one before it stays in force.",
  "503": "The disk or the server cannot take it now; nothing was changed.",
};

/** The OpenAPI 3.1 document of the control API; a test compares it with the route table in both directions. */
export const OPENAPI = {
  openapi: "3.1.0",
  info: {
    title: "Crossfade control API",
    version: "1",
    description: "Reads what a sidecar does, moves callers between baseline and candidate, and takes them back.",
    license: { name: "Apache-2.0", identifier: "Apache-2.0" },
  },
  servers: [{ url: "/" }],
  security: [{ bearer: [] }],
  paths: {
    "/": {
      get: {
        operationId: "dashboard",
        summary: "The dashboard, a page that asks for the token itself.",
        security: [],
        responses: { "200": { description: "The page.", content: { "text/html": { schema: { type: "string" } } } } },
      },
    },
    "/api/v1/status": { get: read("getStatus", "What runs, what is in force, and counts.", ref("Status")) },
    "/api/v1/config": { get: read("getConfig", "The config in force; secrets are masked.", ref("Config")) },
    "/api/v1/routes": { get: read("getRoutes", "All routes.", object({ routes: list(ref("Route")) })) },
    "/api/v1/routes/{route}": {
      get: {
        ...read("getRoute", "One route with its rules.", ref("RouteDetail"), ["404"]),
        parameters: [ROUTE_PARAMETER],
      },
    },
    "/api/v1/routes/{route}/split": {
      put: change("putSplit", "Sets the share of callers of the candidate. Durable first, then in force.", {
        parameters: [ROUTE_PARAMETER],
        body: object({ share: text("0% to 100%, in steps of 0.0001 %."), reason: REASON }, ["share"]),
        errors: ["404", "409", "503"],
      }),
    },
    "/api/v1/routes/{route}/rollback": {
      post: change("rollBack", "Takes all callers of a route back to the baseline, at once.", {
        parameters: [ROUTE_PARAMETER],
        body: object({ reason: REASON }, []),
        errors: ["404", "409"],
      }),
    },
    "/api/v1/kill": {
      put: change("kill", "Sends all callers of all or some routes to the baseline, at once, until it is lifted.", {
        body: object({ routes: ROUTES, reason: REASON }, []),
        errors: ["404"],
      }),
      delete: change("unkill", "Lifts the kill of all routes, or of some that were killed by name.", {
        body: object({ routes: ROUTES, reason: REASON }, []),
        errors: ["404", "409", "503"],
      }),
    },
    "/api/v1/upstreams/{upstream}/circuit/reset": {
      post: circuitDeed("resetCircuit", "Closes the circuits of an upstream, at once and without slow start."),
    },
    "/api/v1/upstreams/{upstream}/circuit/trip": {
      post: circuitDeed("tripCircuit", "Opens the circuit of an upstream, as failures would; it goes on by itself."),
    },
    "/api/v1/reload": {
      post: change("reload", "Reads the config file now.", {
        body: object({ reason: REASON }, []),
        errors: ["422", "503"],
      }),
    },
    "/api/v1/events": {
      get: {
        operationId: "getEvents",
        summary: "Changes of state as they happen, as server-sent events.",
        description: "After a gap (too long away, or a restart) the first event is `gap`.",
        parameters: [
          {
            name: "last-event-id",
            in: "header",
            required: false,
            schema: { type: "string" },
            description: "Catch up from here.",
          },
        ],
        responses: {
          "200": {
            description: "An endless stream.",
            content: { "text/event-stream": { schema: { type: "string" } } },
          },
          ...errorsOf(["503"]),
        },
      },
    },
    "/api/v1/audit": {
      get: {
        ...read("getAudit", "The last changes, newest first.", object({ records: list(ref("AuditRecord")) }), ["400"]),
        parameters: [
          {
            name: "limit",
            in: "query",
            required: false,
            schema: { type: "integer", minimum: 1, maximum: 1000, default: 100 },
          },
        ],
      },
    },
    "/api/v1/openapi.json": { get: read("getOpenapi", "This document.", { type: "object" }) },
  },
  components: {
    securitySchemes: {
      bearer: {
        type: "http",
        scheme: "bearer",
        description: "The content of admin.tokenFile. Not needed when none is set.",
      },
    },
    schemas: SCHEMAS,
  },
};

function read(operationId: string, summary: string, schema: object, errors: readonly string[] = []): object {
  return {
    operationId,
    summary,
    responses: {
      "200": { description: "As asked.", content: { "application/json": { schema } } },
      ...errorsOf(errors),
    },
  };
}

function circuitDeed(operationId: string, summary: string): object {
  return {
    ...read(operationId, summary, ref("CircuitChange"), ["400", "404", "409", "413", "415"]),
    parameters: [UPSTREAM_PARAMETER, ACTOR_PARAMETER],
    requestBody: {
      required: false,
      content: { "application/json": { schema: object({ reason: REASON }, []) } },
    },
  };
}

interface ChangeShape {
  readonly parameters?: readonly object[];
  readonly body: object;
  readonly errors: readonly string[];
}

function change(operationId: string, summary: string, { parameters = [], body, errors }: ChangeShape): object {
  return {
    ...read(operationId, summary, ref("Change"), ["400", "413", "415", ...errors]),
    parameters: [...parameters, ACTOR_PARAMETER],
    requestBody: { required: operationId === "putSplit", content: { "application/json": { schema: body } } },
  };
}

function errorsOf(statuses: readonly string[]): Readonly<Record<string, object>> {
  const schema = ref("Error");
  return Object.fromEntries(
    ["401", "403", ...statuses].map((status) => {
      return [status, { description: ERROR_MEANINGS[status], content: { "application/json": { schema } } }];
    }),
  );
}
