import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { parseConfig } from "../../src/config/parse.ts";
import { goodConfig, problemsFrom } from "../support/config-text.ts";

// oxlint-disable-next-line typescript/no-explicit-any
type Plant = readonly [path: string, plant: (config: any) => void];

/** Mistakes that do not touch one another: each is reported at its own path. */
const PLANTS: readonly Plant[] = [
  ["listen[1].address", (c) => c.listen.push({ address: ":1" })],
  ["listen[0].port", (c) => (c.listen[0].port = 1)],
  ["engine", (c) => (c.engine = "nginx")],
  ["admin.address", (c) => (c.admin = { address: "10.0.0.1:1" })],
  ["metrics.bucketsPerDoubling", (c) => (c.metrics = { address: "127.0.0.1:3", bucketsPerDoubling: 3 })],
  ["runtime.threads", (c) => (c.runtime.threads = "many")],
  ["runtime.drain.lameDuck", (c) => (c.runtime.drain = { lameDuck: "1m" })],
  ["runtime.trustedProxies[0]", (c) => (c.runtime.trustedProxies = ["everyone"])],
  ["log.level", (c) => (c.log = { level: "loud" })],
  ["downstream.headerTimeout", (c) => (c.downstream.headerTimeout = "soon")],
  ["downstream.maxHeaders", (c) => (c.downstream.maxHeaders = "${NOT_SET}")],
  ["downstream.maxHedaers", (c) => (c.downstream.maxHedaers = 1)],
  ["overload.heap", (c) => (c.overload = { heap: 0.9 })],
  ["upstreams.v1.health", (c) => (c.upstreams.v1.health = {})],
  ["upstreams.v2.health.http.path", (c) => (c.upstreams.v2.health = { http: {} })],
  ["upstreams.v1.circuitBreaker.slowCallDuration", (c) => (c.upstreams.v1.circuitBreaker = { slowCallRatio: "1%" })],
  ["upstreams.v1.outlierDetection.deviations", (c) => (c.upstreams.v1.outlierDetection = { deviations: "few" })],
  ["upstreams.v1.endpoints[1]", (c) => c.upstreams.v1.endpoints.push(c.upstreams.v1.endpoints[0])],
  ["upstreams.v1.pool.maxPending", (c) => (c.upstreams.v1.pool = { maxPending: -1 })],
  ["upstreams.v2.timeouts", (c) => (c.upstreams.v2.timeouts = "long")],
  ["upstreams.v2.tls", (c) => (c.upstreams.v2.tls = {})],
  ["upstreams._no", (c) => (c.upstreams._no = { endpoints: ["http://h:1"] })],
  ["segments.none", (c) => (c.segments.none = {})],
  ["routes[0].match", (c) => (c.routes[0].match.path = "/x")],
  ["routes[0].match.methods[0]", (c) => (c.routes[0].match.methods = ["get"])],
  ["routes[0].split.share", (c) => (c.routes[0].split.share = "120%")],
  ["routes[0].split.candidate", (c) => (c.routes[0].split.candidate = "v9")],
  ["routes[0].split.sticky[0]", (c) => (c.routes[0].split.sticky = [{}])],
  [
    "routes[0].split.onMissingKey.setCookie.name",
    (c) => (c.routes[0].split.onMissingKey = { setCookie: { name: "a b" } }),
  ],
  [
    "routes[0].split.overrides[1].segment",
    (c) => c.routes[0].split.overrides.push({ segment: "nobody", to: "baseline" }),
  ],
  ["routes[0].priority", (c) => (c.routes[0].priority = 1)],
  ["routes[0].hedge.delay", (c) => (c.routes[0].hedge = {})],
  ["routes[0].retry.on[0]", (c) => (c.routes[0].retry = { on: ["everything"] })],
  ["routes[0].fallback[1]", (c) => (c.routes[0].fallback = [{ static: {} }, "arm"])],
  [
    "routes[0].fallbackOn.statuses[0]",
    ({ routes: [route] }) => Object.assign(route, { fallback: route.fallback ?? [], fallbackOn: { statuses: [20] } }),
  ],
  ["routes[0].shadow", (c) => (c.routes[0].shadow = {})],
  ["routes[1].name", (c) => c.routes.push({ name: "api", split: { baseline: "v1" } })],
  ["rotues", (c) => (c.rotues = [])],
];

function base(): ReturnType<typeof goodConfig> {
  return { ...goodConfig(), runtime: {}, downstream: {} };
}

test("the config that mistakes are planted in is right", () => {
  assert.ok(parseConfig(JSON.stringify(base()), { format: "json", env: {} }).ok);
});

test("however many mistakes are planted, exactly they are reported, all at once", () => {
  fc.assert(
    fc.property(fc.subarray([...PLANTS], { minLength: 1 }), (plants) => {
      const config = base();
      for (const [, plant] of plants) plant(config);
      const paths = problemsFrom(config).map(({ path }) => path);
      assert.deepEqual(paths.sort(), plants.map(([path]) => path).sort());
    }),
    { numRuns: 200 },
  );
});

test("no text makes the parser throw", () => {
  const bits = [
    "a",
    ":",
    " ",
    "\n",
    "-",
    "[",
    "]",
    "{",
    "}",
    "&a",
    "*a",
    "<<",
    "'",
    '"',
    "#",
    "|",
    ">",
    "${",
    "routes",
    "!",
    "%",
    "\t",
    "?",
  ];
  const yamlish = fc.array(fc.constantFrom(...bits), { maxLength: 40 }).map((parts) => parts.join(""));
  fc.assert(
    fc.property(
      fc.oneof(fc.string(), yamlish),
      fc.constantFrom("yaml" as const, "json" as const, "auto" as const),
      (text, format) => {
        const result = parseConfig(text, { format, env: {} });
        assert.equal(result.ok, false);
      },
    ),
    { numRuns: 2_000 },
  );
});

test("no value in any place makes the parser throw, and what is refused is refused with a path and a reason", () => {
  const anything = fc.jsonValue({ maxDepth: 2 });
  const places: readonly ((config: ReturnType<typeof goodConfig>, value: unknown) => void)[] = [
    (c, v) => (c.listen = v),
    (c, v) => (c.listen[0] = v),
    (c, v) => (c.admin = v),
    (c, v) => (c.runtime = v),
    (c, v) => (c.runtime.drain = v),
    (c, v) => (c.upstreams = v),
    (c, v) => (c.upstreams.v1 = v),
    (c, v) => (c.upstreams.v1.endpoints = v),
    (c, v) => (c.upstreams.v1.tls = v),
    (c, v) => (c.upstreams.v1.health = v),
    (c, v) => (c.upstreams.v1.health = { http: v }),
    (c, v) => (c.upstreams.v1.health = { http: { path: "/", expectStatus: v, headers: v } }),
    (c, v) => (c.upstreams.v1.health = { tcp: v, interval: v, timeout: v }),
    (c, v) => (c.upstreams.v1.circuitBreaker = v),
    (c, v) => (c.upstreams.v1.circuitBreaker = { slowCallRatio: v, maxOpenFor: v }),
    (c, v) => (c.upstreams.v1.outlierDetection = v),
    (c, v) => (c.overload = v),
    (c, v) => (c.segments = v),
    (c, v) => (c.segments.beta = v),
    (c, v) => (c.routes = v),
    (c, v) => (c.routes[0] = v),
    (c, v) => (c.routes[0].match = v),
    (c, v) => (c.routes[0].split = v),
    (c, v) => (c.routes[0].retry = v),
    (c, v) => (c.routes[0].retry = { on: v, statuses: v, backoff: v }),
    (c, v) => (c.routes[0].hedge = v),
    (c, v) => (c.routes[0].fallback = v),
    (c, v) => (c.routes[0].fallback = [v, v]),
    (c, v) => (c.routes[0].fallback = [{ stale: v }, { static: v }, { upstream: v }]),
    (c, v) =>
      (c.routes[0].fallback = [{ stale: { maxEntryBytes: v } }, { static: { status: v, headers: v, body: v } }]),
    (c, v) => (c.routes[0].fallbackOn = v),
    (c, v) => (c.routes[0].fallbackOn = { on: v, statuses: v }),
    (c, v) => (c.routes[0].split.sticky = v),
    (c, v) => (c.routes[0].split.onMissingKey = v),
    (c, v) => (c.routes[0].split.overrides = v),
    (c, v) => (c.routes[0].split.overrides[0] = v),
  ];
  const env = {
    CROSSFADE_ROUTES_API_SPLIT_STICKY_0_HEADER: "x-a",
    KGC_SIDECAR_POOL_MIN_CONNECTIONS: "1",
    KGC_SIDECAR_V2_ENABLED: "false",
    KGC_SIDECAR_HEALTH_CHECK_RETRIES: "3",
    KGC_SIDECAR_CIRCUIT_BREAKER_TIMEOUT: "30000",
    KGC_SIDECAR_FALLBACK_MODE: "local",
    KGC_SIDECAR_FALLBACK_AUTO_RECOVER: "false",
    KGC_SIDECAR_RETRY_MAX_DELAY: "1600",
  };
  fc.assert(
    fc.property(fc.constantFrom(...places), anything, fc.boolean(), (put, value, withEnv) => {
      const config = base();
      put(config, value);
      const result = parseConfig(JSON.stringify(config), { format: "json", env: withEnv ? env : {} });
      for (const { path, message } of result.ok ? [] : result.problems) assert.ok(path !== "" && message.length > 5);
    }),
    { numRuns: 2_000 },
  );
});
