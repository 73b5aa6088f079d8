import assert from "node:assert/strict";
import { test } from "node:test";
import { envWord } from "../../src/config/env-names.ts";
import { configFrom, goodConfig, problemsFrom, sentences, warningsFrom } from "../support/config-text.ts";

const WORDS = [
  ["headerTimeout", "HEADER_TIMEOUT"],
  ["x-tenant", "X_TENANT"],
  ["kato-v1", "KATO_V1"],
  ["clientCa", "CLIENT_CA"],
  ["v2.1", "V2_1"],
] as const;

for (const [name, word] of WORDS) test(`${name} is ${word} in a variable`, () => assert.equal(envWord(name), word));

test("a variable sets any setting that has one value, given in the file or not", () => {
  const config = configFrom(goodConfig(), {
    CROSSFADE_LISTEN_0_ADDRESS: "127.0.0.1:1",
    CROSSFADE_LISTEN_1_ADDRESS: "127.0.0.1:2",
    CROSSFADE_ADMIN_ADDRESS: "127.0.0.1:3",
    CROSSFADE_METRICS_ADDRESS: "127.0.0.1:4",
    CROSSFADE_METRICS_BUCKETS_PER_DOUBLING: "4",
    CROSSFADE_RUNTIME_THREADS: "2",
    CROSSFADE_ENGINE: "native",
    CROSSFADE_RUNTIME_DRAIN_DEADLINE: "40s",
    CROSSFADE_RUNTIME_TRUSTED_PROXIES_0: "10.0.0.0/8",
    CROSSFADE_LOG_ACCESS: "all",
    CROSSFADE_DOWNSTREAM_MAX_HEADERS: "64",
    CROSSFADE_UPSTREAMS_V1_ENDPOINTS_0: "http://other:1",
    CROSSFADE_UPSTREAMS_V1_TIMEOUTS_CONNECT: "2s",
    CROSSFADE_UPSTREAMS_V1_POOL_PIPELINING: "8",
    CROSSFADE_SEGMENTS_BETA_KEYS_1: "u2",
    CROSSFADE_ROUTES_API_SPLIT_SHARE: "25%",
    CROSSFADE_ROUTES_API_SPLIT_STICKY_0_CLIENT_IP: "true",
    CROSSFADE_ROUTES_API_SPLIT_ON_MISSING_KEY_SET_COOKIE_NAME: "cf",
    CROSSFADE_ROUTES_API_MATCH_PATH_PREFIX: "/v2/",
  });
  assert.deepEqual(
    config.listeners.map(({ port }) => port),
    [1, 2],
  );
  assert.deepEqual([config.admin?.port, config.metrics?.port, config.metrics?.bucketsPerDoubling], [3, 4, 4]);
  assert.deepEqual([config.runtime.threads, config.runtime.drain.deadlineMs], [2, 40_000]);
  assert.deepEqual(config.runtime.trustedProxies, ["10.0.0.0/8"]);
  assert.deepEqual([config.log.access.mode, config.downstream.maxHeaders], ["all", 64]);
  assert.deepEqual(
    [config.upstreams[0]?.endpoints[0]?.host, config.upstreams[0]?.timeouts.connectTimeoutMs],
    ["other", 2_000],
  );
  assert.deepEqual([config.engine, config.upstreams[0]?.pool.pipelining], ["native", 8]);
  assert.deepEqual(config.segments[0]?.keys, ["u1", "u2"]);
  const [route] = config.routes;
  assert.deepEqual([route?.split.candidatePpm, route?.match.pathPrefix], [250_000, "/v2/"]);
  assert.deepEqual(route?.split.sticky, [{ kind: "client-ip" }]);
  assert.deepEqual(route.split.onMissingKey, { kind: "set-cookie", name: "cf", maxAgeMs: 2_592_000_000 });
});

test("a variable sets what is in the sections for bad days too, and makes them where there are none", () => {
  const source = goodConfig();
  source.routes[0].fallback = ["arm", { static: { headers: { "X-Mode": "a" } } }];
  const config = configFrom(source, {
    CROSSFADE_OVERLOAD_MAX_IN_FLIGHT: "500",
    CROSSFADE_UPSTREAMS_V1_HEALTH_HTTP_PATH: "/healthz",
    CROSSFADE_UPSTREAMS_V1_HEALTH_HTTP_EXPECT_STATUS_0: "204",
    CROSSFADE_UPSTREAMS_V1_HEALTH_BELIEVE_EXPLICIT: "false",
    CROSSFADE_UPSTREAMS_V2_CIRCUIT_BREAKER_ERROR_RATIO: "20%",
    CROSSFADE_UPSTREAMS_V2_POOL_MAX_IN_FLIGHT: "9",
    CROSSFADE_ROUTES_API_PRIORITY: "low",
    CROSSFADE_ROUTES_API_RETRY_BACKOFF_MULTIPLIER: "1.5",
    CROSSFADE_ROUTES_API_RETRY_ON_0: "5xx",
    CROSSFADE_ROUTES_API_FALLBACK_0_STALE_MAX_AGE: "1m",
    CROSSFADE_ROUTES_API_FALLBACK_1_STATIC_HEADERS_X_MODE: "b",
    CROSSFADE_ROUTES_API_FALLBACK_ON_STATUSES_0: "404",
  });
  assert.equal(config.overload.maxInFlight, 500);
  const [v1, v2] = config.upstreams;
  assert.deepEqual(v1?.health?.check.kind === "http" && v1.health.check.expectStatus, [[204, 204]]);
  assert.deepEqual([v1?.health?.believeExplicit, v2?.circuitBreaker?.errorPpm], [false, 200_000]);
  assert.equal(v2?.pool.maxInFlight, 9);
  const [route] = config.routes;
  assert.deepEqual([route?.priority, route?.retry?.backoff.multiplierMilli, route?.retry?.on], ["low", 1_500, ["5xx"]]);
  assert.equal(route?.fallback[0]?.kind, "stale");
  assert.deepEqual(route.fallback[1]?.kind === "static" && route.fallback[1].headers, ["x-mode", "b"]);
  assert.deepEqual(route.fallbackOn.statuses, [404]);
});

test("names with hyphens, dots and capitals are found, also when one is the beginning of another", () => {
  const config = goodConfig();
  config.routes[0].name = "kato-v1.api";
  config.routes.push({
    name: "kato",
    match: { headers: { "x-tenant": "a" } },
    split: { baseline: "v1", candidate: "v2", share: "1%" },
  });
  const { routes } = configFrom(config, {
    CROSSFADE_ROUTES_KATO_V1_API_SPLIT_SHARE: "7%",
    CROSSFADE_ROUTES_KATO_SPLIT_SHARE: "9%",
    CROSSFADE_ROUTES_KATO_MATCH_HEADERS_X_TENANT: "b",
  });
  assert.deepEqual(
    routes.map(({ split }) => split.candidatePpm),
    [70_000, 90_000],
  );
  assert.deepEqual(routes[1]?.match.headers, { "x-tenant": "b" });
});

test("a variable that two names in the file give is refused", () => {
  const config = goodConfig();
  config.upstreams["v-1"] = { endpoints: ["http://h:1"] };
  config.upstreams["v.1"] = { endpoints: ["http://h:2"] };
  const told = sentences(problemsFrom(config, { CROSSFADE_UPSTREAMS_V_1_PROTOCOL: "http1" }));
  assert.deepEqual(told, [
    "CROSSFADE_UPSTREAMS_V_1_PROTOCOL: is ambiguous: two names in the file give the same variable; rename one",
  ]);
});

test("a wrong value out of the environment is told with its place and its variable", () => {
  const told = sentences(problemsFrom(goodConfig(), { CROSSFADE_ROUTES_API_SPLIT_SHARE: "120%" }));
  assert.deepEqual(told, ['routes[0].split.share: "120%" is above 100% (from CROSSFADE_ROUTES_API_SPLIT_SHARE)']);
});

test("a variable that matches no setting is warned of; an empty one counts as not set", () => {
  const warnings = warningsFrom(goodConfig(), {
    CROSSFADE_ROUTES_API_SPLIT_SHAER: "1%",
    CROSSFADE_ROUTES_NOBODY_SPLIT_SHARE: "1%",
    CROSSFADE_ROUTES_API_SPLIT: "x",
    CROSSFADE_LISTEN_7_ADDRESS: "127.0.0.1:1",
    CROSSFADE_LISTEN_0_ADDRESS: "",
    CROSSFADE_NOTHING: "",
    PATH: "/bin",
  });
  const names = ["LISTEN_7_ADDRESS", "ROUTES_API_SPLIT", "ROUTES_API_SPLIT_SHAER", "ROUTES_NOBODY_SPLIT_SHARE"];
  assert.deepEqual(
    warnings,
    names.map((name) => `CROSSFADE_${name} matches no setting and is ignored`),
  );
});

test("what Kubernetes sets for services of our name is passed over in silence, and so are variables that the file names", () => {
  const config = goodConfig();
  config.routes[0].split.salt = "${CROSSFADE_SALT}";
  const warnings = warningsFrom(config, {
    CROSSFADE_SALT: "s",
    CROSSFADE_SERVICE_HOST: "10.0.0.1",
    CROSSFADE_SERVICE_PORT: "8080",
    CROSSFADE_SERVICE_PORT_HTTP: "8080",
    CROSSFADE_PORT: "tcp://10.0.0.1:8080",
    CROSSFADE_PORT_8080_TCP: "tcp://10.0.0.1:8080",
    CROSSFADE_PORT_8080_TCP_ADDR: "10.0.0.1",
    CROSSFADE_PORT_8080_TCP_PORT: "8080",
    CROSSFADE_PORT_8080_TCP_PROTO: "tcp",
    CROSSFADE_ADMIN_SERVICE_HOST: "10.0.0.2",
    CROSSFADE_ADMIN_PORT: "tcp://10.0.0.2:9901",
    KGC_SIDECAR_SERVICE_HOST: "10.0.0.3",
    KGC_SIDECAR_PORT_50051_TCP: "tcp://10.0.0.3:50051",
  });
  assert.deepEqual(warnings, []);
});

test("the environment of a file that is no map at all is not laid over anything", () => {
  const told = sentences(problemsFrom("[1, 2]", { CROSSFADE_LISTEN_0_ADDRESS: "127.0.0.1:1" }));
  assert.deepEqual(told, ["config: a list must be a map"]);
});
