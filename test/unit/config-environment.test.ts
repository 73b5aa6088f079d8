import assert from "node:assert/strict";
import { test } from "node:test";
import { envWord } from "../../src/config/env-names.ts";
import { KGC_ALIASES, KGC_LATER } from "../../src/config/kgc.ts";
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

function twoRoutes(): unknown {
  const config = goodConfig();
  config.routes.push({ name: "rest", split: { baseline: "v1" } });
  return config;
}

function sharesWith(env: Readonly<Record<string, string>>): readonly number[] {
  return configFrom(twoRoutes(), env).routes.map(({ split }) => split.candidatePpm);
}

test("KGC_SIDECAR_V2_ROLLOUT_PERCENTAGE sets the share of every route that has a candidate", () => {
  assert.deepEqual(sharesWith({ KGC_SIDECAR_V2_ROLLOUT_PERCENTAGE: "50" }), [500_000, 0]);
  assert.deepEqual(sharesWith({ KGC_SIDECAR_V2_ROLLOUT_PERCENTAGE: "0" }), [0, 0]);
  assert.deepEqual(
    sharesWith({ KGC_SIDECAR_V2_ROLLOUT_PERCENTAGE: "2.5", KGC_SIDECAR_V2_ENABLED: "true" }),
    [25_000, 0],
  );
});

test("our own variables beat the aliases, but nothing beats KGC_SIDECAR_V2_ENABLED=false", () => {
  const env = { KGC_SIDECAR_V2_ROLLOUT_PERCENTAGE: "50", CROSSFADE_ROUTES_API_SPLIT_SHARE: "75%" };
  assert.deepEqual(sharesWith(env), [750_000, 0]);
  assert.deepEqual(sharesWith({ ...env, KGC_SIDECAR_V2_ENABLED: "false" }), [0, 0]);
});

test("the pool aliases set the pool of every upstream", () => {
  const { upstreams } = configFrom(goodConfig(), {
    KGC_SIDECAR_POOL_MIN_CONNECTIONS: "3",
    KGC_SIDECAR_POOL_MAX_CONNECTIONS: "10",
    KGC_SIDECAR_POOL_IDLE_TIMEOUT: "60000",
  });
  const pools = upstreams.map(({ pool }) => [pool.minConnections, pool.maxConnections, pool.idleTimeoutMs]);
  assert.deepEqual(pools, [
    [3, 10, 60_000],
    [3, 10, 60_000],
  ]);
});

test("wrong values of the aliases are told by the variable's name", () => {
  const told = sentences(
    problemsFrom(goodConfig(), {
      KGC_SIDECAR_V2_ENABLED: "yes",
      KGC_SIDECAR_V2_ROLLOUT_PERCENTAGE: "150",
      KGC_SIDECAR_POOL_MIN_CONNECTIONS: "few",
      KGC_SIDECAR_POOL_MAX_CONNECTIONS: "-1",
      KGC_SIDECAR_POOL_IDLE_TIMEOUT: "60s",
    }),
  );
  assert.deepEqual([...told].sort(), [
    'KGC_SIDECAR_POOL_IDLE_TIMEOUT: "60s" is not a whole number of milliseconds',
    'KGC_SIDECAR_POOL_MAX_CONNECTIONS: "-1" is not a whole number',
    'KGC_SIDECAR_POOL_MIN_CONNECTIONS: "few" is not a whole number',
    'KGC_SIDECAR_V2_ENABLED: "yes" is none of true, false',
    'KGC_SIDECAR_V2_ROLLOUT_PERCENTAGE: "150" is not a percentage; write 0 to 100',
  ]);
});

test("aliases of features that do not exist yet are warned of, once each", () => {
  const env = Object.fromEntries([...KGC_LATER.keys()].map((name) => [name, "1"]));
  const warnings = warningsFrom(goodConfig(), { ...env, KGC_SIDECAR_OTHER: "1" });
  const expected = [...KGC_LATER].map(
    ([name, what]) => `${name} is ignored: ${what} are not available in this version (0.1) yet`,
  );
  assert.deepEqual([...warnings].sort(), [...expected, "KGC_SIDECAR_OTHER matches no setting and is ignored"].sort());
});

test("every variable of the plan's appendix is known", () => {
  assert.equal(KGC_ALIASES.size + KGC_LATER.size, 17);
});

test("the environment of a file that is no map at all is not laid over anything", () => {
  const told = sentences(problemsFrom("[1, 2]", { CROSSFADE_LISTEN_0_ADDRESS: "127.0.0.1:1" }));
  assert.deepEqual(told, ["config: a list must be a map"]);
});
