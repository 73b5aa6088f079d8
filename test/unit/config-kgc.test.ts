import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { KGC_ALIASES } from "../../src/config/kgc.ts";
import { configFrom, goodConfig, problemsFrom, sentences, warningsFrom } from "../support/config-text.ts";

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
      KGC_SIDECAR_HEALTH_CHECK_INTERVAL: "5s",
      KGC_SIDECAR_HEALTH_CHECK_TIMEOUT: "",
      KGC_SIDECAR_HEALTH_CHECK_RETRIES: "1.5",
      KGC_SIDECAR_CIRCUIT_BREAKER_THRESHOLD: "three",
      KGC_SIDECAR_CIRCUIT_BREAKER_TIMEOUT: "30s",
      KGC_SIDECAR_CIRCUIT_BREAKER_HALF_OPEN_REQUESTS: " 3",
      KGC_SIDECAR_FALLBACK_MODE: "remote",
      KGC_SIDECAR_FALLBACK_AUTO_RECOVER: "1",
      KGC_SIDECAR_RETRY_MAX_ATTEMPTS: "0x3",
      KGC_SIDECAR_RETRY_INITIAL_DELAY: "100.5",
      KGC_SIDECAR_RETRY_MAX_DELAY: "1e3",
      KGC_SIDECAR_RETRY_MULTIPLIER: "two",
    }),
  );
  assert.deepEqual([...told].sort(), [
    'KGC_SIDECAR_CIRCUIT_BREAKER_HALF_OPEN_REQUESTS: " 3" is not a whole number',
    'KGC_SIDECAR_CIRCUIT_BREAKER_THRESHOLD: "three" is not a whole number',
    'KGC_SIDECAR_CIRCUIT_BREAKER_TIMEOUT: "30s" is not a whole number of milliseconds',
    'KGC_SIDECAR_FALLBACK_AUTO_RECOVER: "1" is none of true, false',
    'KGC_SIDECAR_FALLBACK_MODE: "remote" is none of local, none',
    'KGC_SIDECAR_HEALTH_CHECK_INTERVAL: "5s" is not a whole number of milliseconds',
    'KGC_SIDECAR_HEALTH_CHECK_RETRIES: "1.5" is not a whole number',
    'KGC_SIDECAR_POOL_IDLE_TIMEOUT: "60s" is not a whole number of milliseconds',
    'KGC_SIDECAR_POOL_MAX_CONNECTIONS: "-1" is not a whole number',
    'KGC_SIDECAR_POOL_MIN_CONNECTIONS: "few" is not a whole number',
    'KGC_SIDECAR_RETRY_INITIAL_DELAY: "100.5" is not a whole number of milliseconds',
    'KGC_SIDECAR_RETRY_MAX_ATTEMPTS: "0x3" is not a whole number',
    'KGC_SIDECAR_RETRY_MAX_DELAY: "1e3" is not a whole number of milliseconds',
    'KGC_SIDECAR_RETRY_MULTIPLIER: "two" is not a number such as 2 or 1.5',
    'KGC_SIDECAR_V2_ENABLED: "yes" is none of true, false',
    'KGC_SIDECAR_V2_ROLLOUT_PERCENTAGE: "150" is not a percentage; write 0 to 100',
  ]);
});

/** The plan's appendix, with its own numbers. */
const PLAN = {
  KGC_SIDECAR_V2_ENABLED: "true",
  KGC_SIDECAR_HEALTH_CHECK_INTERVAL: "5000",
  KGC_SIDECAR_HEALTH_CHECK_TIMEOUT: "100",
  KGC_SIDECAR_HEALTH_CHECK_RETRIES: "3",
  KGC_SIDECAR_CIRCUIT_BREAKER_THRESHOLD: "3",
  KGC_SIDECAR_CIRCUIT_BREAKER_TIMEOUT: "30000",
  KGC_SIDECAR_CIRCUIT_BREAKER_HALF_OPEN_REQUESTS: "3",
  KGC_SIDECAR_FALLBACK_MODE: "local",
  KGC_SIDECAR_FALLBACK_AUTO_RECOVER: "true",
  KGC_SIDECAR_RETRY_MAX_ATTEMPTS: "3",
  KGC_SIDECAR_RETRY_INITIAL_DELAY: "100",
  KGC_SIDECAR_RETRY_MAX_DELAY: "1600",
  KGC_SIDECAR_RETRY_MULTIPLIER: "2",
  KGC_SIDECAR_POOL_MIN_CONNECTIONS: "2",
  KGC_SIDECAR_POOL_MAX_CONNECTIONS: "10",
  KGC_SIDECAR_POOL_IDLE_TIMEOUT: "60000",
  KGC_SIDECAR_V2_ROLLOUT_PERCENTAGE: "10",
};

/** Something that each variable finds its place in. */
function checkedConfig(): ReturnType<typeof goodConfig> {
  const config = goodConfig();
  config.upstreams.v2.health = { http: { path: "/healthz" } };
  config.routes[0].fallback = ["arm", { static: { body: "local" } }];
  return config;
}

test("every variable of the plan's appendix is known, and no other", () => {
  assert.deepEqual([...KGC_ALIASES.keys()].sort(), Object.keys(PLAN).sort());
  assert.deepEqual(warningsFrom(checkedConfig(), PLAN), []);
  assert.deepEqual(warningsFrom(checkedConfig(), { KGC_SIDECAR_OTHER: "1" }), [
    "KGC_SIDECAR_OTHER matches no setting and is ignored",
  ]);
});

test("config/s0-kgc-sidecar.yaml is what the plan's own numbers give", () => {
  const file = readFileSync(new URL("../../config/s0-kgc-sidecar.yaml", import.meta.url), "utf8");
  const parts = (env: Readonly<Record<string, string>>): unknown => {
    const { upstreams, routes } = configFrom(file, env);
    const arms = upstreams.filter(({ name }) => name !== "local");
    return { arms, retry: routes[0]?.retry, fallback: routes[0]?.fallback, share: routes[0]?.split.candidatePpm };
  };
  assert.deepEqual(parts(PLAN), parts({}));
  assert.deepEqual(warningsFrom(file, PLAN), []);
});

test("the health check aliases reach every upstream that is checked, and make no check of their own", () => {
  const { upstreams } = configFrom(checkedConfig(), { ...PLAN, KGC_SIDECAR_HEALTH_CHECK_RETRIES: "7" });
  const [v1, v2] = upstreams;
  assert.equal(v1?.health, null);
  assert.deepEqual([v2?.health?.intervalMs, v2?.health?.timeoutMs, v2?.health?.unhealthyThreshold], [5_000, 100, 7]);
  assert.deepEqual(warningsFrom(goodConfig(), { KGC_SIDECAR_HEALTH_CHECK_TIMEOUT: "100" }), [
    "KGC_SIDECAR_HEALTH_CHECK_TIMEOUT is ignored: no upstream is checked; add a section such as health: { http: { path: /healthz } }",
  ]);
});

test("the circuit breaker aliases reach every upstream, with or without a section", () => {
  const source = goodConfig();
  source.upstreams.v1.circuitBreaker = { consecutiveFailures: 9, maxOpenFor: "1m" };
  const { upstreams } = configFrom(source, {
    KGC_SIDECAR_FALLBACK_AUTO_RECOVER: "false",
    KGC_SIDECAR_CIRCUIT_BREAKER_THRESHOLD: "5",
    KGC_SIDECAR_CIRCUIT_BREAKER_TIMEOUT: "90000",
    KGC_SIDECAR_CIRCUIT_BREAKER_HALF_OPEN_REQUESTS: "2",
  });
  const circuits = upstreams.map(({ circuitBreaker }) => [
    circuitBreaker?.consecutiveFailures,
    circuitBreaker?.openMs,
    circuitBreaker?.maxOpenMs,
    circuitBreaker?.halfOpenRequests,
    circuitBreaker?.halfOpenSuccesses,
    circuitBreaker?.autoRecover,
  ]);
  assert.deepEqual(circuits, [
    [5, 90_000, 90_000, 2, 2, false],
    [5, 90_000, 300_000, 2, 2, false],
  ]);
});

test("automatic recovery is a matter of circuits that there are", () => {
  const env = { KGC_SIDECAR_FALLBACK_AUTO_RECOVER: "false" };
  assert.deepEqual(
    configFrom(goodConfig(), env).upstreams.map(({ circuitBreaker }) => circuitBreaker),
    [null, null],
  );
  assert.deepEqual(warningsFrom(goodConfig(), env), [
    "KGC_SIDECAR_FALLBACK_AUTO_RECOVER is ignored: no upstream has a circuit breaker; add circuitBreaker: {}",
  ]);
});

test("KGC_SIDECAR_FALLBACK_MODE=none takes every fallback away, also where the file says when it is asked", () => {
  const source = checkedConfig();
  source.routes[0].fallbackOn = ["timeout"];
  const env = { KGC_SIDECAR_FALLBACK_MODE: "none" };
  assert.deepEqual(configFrom(source, env).routes[0]?.fallback, []);
  assert.deepEqual(warningsFrom(source, env), []);
});

test("KGC_SIDECAR_FALLBACK_MODE=local leaves fallbacks as they are, and names the routes without a local one", () => {
  const source = checkedConfig();
  source.routes.push({ name: "rest", split: { baseline: "v1", candidate: "v2" }, fallback: ["arm"] });
  const env = { KGC_SIDECAR_FALLBACK_MODE: "local" };
  assert.deepEqual(
    configFrom(source, env).routes.map(({ fallback }) => fallback.length),
    [2, 1],
  );
  assert.deepEqual(warningsFrom(source, env), [
    "KGC_SIDECAR_FALLBACK_MODE makes no fallback: these routes have no static and no upstream step to fall back on: rest",
  ]);
});

test("the retry aliases reach every route, with or without a section", () => {
  const source = goodConfig();
  source.routes[0].retry = { on: ["5xx"], backoff: { initial: "25ms" } };
  source.routes.push({ name: "rest", split: { baseline: "v1" } });
  const { routes } = configFrom(source, PLAN);
  const backoff = { initialMs: 100, maxMs: 1_600, multiplierMilli: 2_000 };
  assert.deepEqual(
    routes.map(({ retry }) => [retry?.attempts, retry?.on, retry?.backoff]),
    [
      [3, ["5xx"], backoff],
      [3, ["connect-failure", "refused-stream"], backoff],
    ],
  );
});

test("a value that is well-formed but out of range is told with its place and its variable", () => {
  const told = sentences(problemsFrom(goodConfig(), { KGC_SIDECAR_RETRY_MAX_ATTEMPTS: "11" }));
  assert.deepEqual(told, [
    'routes[0].retry.attempts: "11" is above 10; allowed: 1 to 10 (from KGC_SIDECAR_RETRY_MAX_ATTEMPTS)',
  ]);
});
