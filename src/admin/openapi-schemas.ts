/** The schemas of `openapi.ts`; the types of `views.ts` and of the audit record as JSON Schema. */
export const SCHEMAS = {
  Error: object(
    {
      error: object(
        {
          code: text("Stable name of the error, such as unknown_route."),
          message: text("What is wrong and what is allowed."),
          problems: list(text("One problem: path, value, what is allowed.")),
        },
        ["code", "message"],
      ),
    },
    ["error"],
  ),
  Change: object(
    {
      outcome: choice(["applied", "unchanged"], "unchanged: what was asked is in force already."),
      generation: count("The generation in force after the change."),
      durable: choice(
        ["now", "later", "never"],
        "now: on disk. later: in force, being written in the background. never: there is no state folder.",
      ),
      killed: { type: "boolean", description: "All routes are killed." },
      killedRoutes: list(text("A route that is killed by itself.")),
      warnings: list(text("A remark on the config.")),
      route: ref("RouteDetail"),
    },
    ["outcome", "generation", "durable", "killed", "killedRoutes", "warnings"],
  ),
  CircuitChange: object({
    outcome: choice(["applied"], "It is done."),
    generation: count("The generation in force; circuits do not change it."),
    upstream: ref("Upstream"),
  }),
  Cause: object(
    {
      by: choice(["start", "file", "signal", "admin", "rollout"], "Where the change came from."),
      actor: text("Who asked."),
      reason: text("Why, in the words of who asked."),
      action: text("What was asked, such as split api 25%."),
    },
    ["by", "actor", "reason", "action"],
  ),
  Status: object({
    version: text("Version of Crossfade."),
    pid: count("Process id."),
    startedAt: moment("Start of the process."),
    uptimeMs: count("Milliseconds since the start."),
    generation: count("Generation in force."),
    cause: ref("Cause"),
    ready: { type: "boolean", description: "Traffic is taken." },
    draining: { type: "boolean", description: "The process is ending." },
    killed: { type: "boolean", description: "All routes are killed." },
    routes: list(ref("Route")),
    upstreams: list(ref("Upstream")),
    overloadStage: {
      type: "integer",
      minimum: 0,
      maximum: 3,
      description: "Of the worst data thread: 1 sheds shadows, 2 low priority routes, 3 also normal ones.",
    },
    threads: list(
      object({ kind: text("control, data or lab."), state: text("What it does."), count: count("How many.") }),
    ),
    lastReload: object({
      ok: { type: "boolean", description: "It was not refused." },
      at: moment("When."),
      problems: list(text("Why it was refused.")),
    }),
    reloads: object({ applied: count("Accepted."), refused: count("Refused."), unchanged: count("Nothing new.") }),
    restartNeeded: list(text("A changed setting that only a restart brings into force.")),
    overlayIsBehind: { type: "boolean", description: "A change is in force that is not on disk yet." },
  }),
  Route: object(routeFields()),
  RouteDetail: object({
    ...routeFields(),
    match: { type: "object", description: "Which requests the route takes; null = any." },
    sticky: list({ type: "object", description: "Where a sticky key may come from." }),
    onMissingKey: choice(["random", "baseline", "set-cookie"], "What happens to a caller without a key."),
    salt: text("Salt of the buckets."),
    overrides: list({ type: "object", description: "Sends a caller to an arm whatever the bucket says." }),
    versionHeader: text("Response header that says which upstream served."),
  }),
  Upstream: object({
    name: text("Name in the config."),
    endpoints: list(text("Such as http://127.0.0.1:9001.")),
    connections: object({
      active: count("Carry a request."),
      idle: count("Wait for one."),
      pending: count("Requests that wait for a connection."),
    }),
    circuit: orNull(ref("Circuit"), "That of the upstream as a whole; null = it has none."),
    endpointStates: list(ref("Endpoint")),
  }),
  Endpoint: object({
    endpoint: text("Such as http://127.0.0.1:9001."),
    health: choice(["unchecked", "unknown", "healthy", "unhealthy"], "What the checks say."),
    healthSince: orNull(moment("Since when."), "null = nobody checks it."),
    healthReason: orNull(text("Why the last check failed."), "null = it passed."),
    ejected: { type: "boolean", description: "Out, because it did worse than the others." },
    backInMs: count("Milliseconds until an ejected one comes back."),
    circuit: orNull(ref("Circuit"), "null = it has none of its own."),
  }),
  Circuit: object({
    state: choice(["closed", "open", "half-open"], "Its state."),
    since: orNull(moment("Since when."), "null = it never was in another state."),
    retryInMs: orNull(
      count("Milliseconds until it lets requests through to see."),
      "null = not open, or not by itself.",
    ),
    opened: count("How often it opened since the process started."),
    window: object({
      requests: count("Requests in its window."),
      failures: count("Failures among them."),
      slow: count("Slow ones among them."),
    }),
  }),
  Config: object({
    generation: count("Generation in force."),
    config: { type: "object", description: "The accepted config in the words of the file, every default written out." },
    overlay: { type: "object", description: "What was changed at run time." },
  }),
  AuditRecord: object({
    seq: count("1 for the first; grows by one."),
    at: moment("When."),
    actor: text("Who asked."),
    action: text("What was asked."),
    reason: text("Why."),
    before: { description: "What differed, before." },
    after: { description: "What differed, after." },
    generation: count("The generation that the change made."),
    cause: text("Where the change came from."),
    prev: text("hash of the record before."),
    hash: text("SHA-256 of this record without this field, as JSON with sorted keys."),
  }),
} as const;

/** A reference to one of `SCHEMAS`. */
export function ref(name: string): object {
  return { $ref: `#/components/schemas/${name}` };
}

/** An object in which every field of `required` (default: all) is present. */
export function object(properties: Readonly<Record<string, object>>, required = Object.keys(properties)): object {
  return { type: "object", properties, required };
}

/** A text. */
export function text(description: string): object {
  return { type: "string", description };
}

/** A list. */
export function list(items: object): object {
  return { type: "array", items };
}

function count(description: string): object {
  return { type: "integer", minimum: 0, description };
}

function moment(description: string): object {
  return { type: "string", format: "date-time", description };
}

function orNull(schema: object, description: string): object {
  return { anyOf: [schema, { type: "null" }], description };
}

function choice(values: readonly string[], description: string): object {
  return { type: "string", enum: values, description };
}

function routeFields(): Readonly<Record<string, object>> {
  const classes = object(
    Object.fromEntries(["1xx", "2xx", "3xx", "4xx", "5xx", "other"].map((name) => [name, count(name)])),
  );
  return {
    name: text("Name in the config."),
    baseline: text("Upstream of the baseline."),
    candidate: { type: ["string", "null"], description: "Upstream of the candidate; null = there is none." },
    share: text("Share of callers that the candidate is meant to have, such as 25%. A kill does not change it."),
    candidatePpm: { type: "integer", minimum: 0, maximum: 1_000_000, description: "The share in parts per million." },
    killed: { type: "boolean", description: "Killed, by itself or with all others: callers go to the baseline." },
    source: choice(["file", "split", "rollback"], "Where the share comes from."),
    inFlight: count("Exchanges begun and not yet finished."),
    decided: object({
      baseline: count("Decisions for the baseline."),
      candidate: count("Decisions for the candidate."),
    }),
    answers: object({ baseline: classes, candidate: classes, none: classes, fallback: classes }),
    retries: count("Tries that were repeated."),
    fallbacks: object({
      arm: count("Answered by the other arm."),
      stale: count("Answered by an older answer."),
      static: count("Answered by a fixed answer."),
      upstream: count("Answered by another upstream."),
      none: count("No fallback could answer."),
    }),
    shed: count("Requests turned away under overload."),
  };
}
