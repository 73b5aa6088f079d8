import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { test } from "node:test";
import { Ajv } from "ajv";
import { compile } from "../../src/config/compile.ts";
import type { Config } from "../../src/config/config.ts";
import { configJsonSchema } from "../../src/config/schema.ts";
import { readSource } from "../../src/config/source-tree.ts";
import { EMPTY_OVERLAY } from "../../src/model/overlay.ts";
import { configFrom, warningsFrom } from "../support/config-text.ts";

const folder = new URL("../../config/", import.meta.url);
const names = readdirSync(folder).filter((name) => name.endsWith(".yaml"));
const validate = new Ajv({ allowUnionTypes: true, strictTypes: false }).compile(configJsonSchema());

function textOf(name: string): string {
  return readFileSync(new URL(name, folder), "utf8");
}

function planOf(name: string, env: Readonly<Record<string, string>> = {}): Config {
  return configFrom(textOf(name), env);
}

test("there is a quick start and a config for each plan", () => {
  assert.deepEqual(names, [
    "quickstart.yaml",
    "s0-kgc-sidecar.yaml",
    "s1-kato.yaml",
    "s2-git-operations.yaml",
    "s3-strangler.yaml",
    "s4-progressive-services.yaml",
  ]);
});

for (const name of names) {
  test(`config/${name} is accepted without a warning, compiles, and names its schema for editors`, () => {
    assert.ok(textOf(name).startsWith("# yaml-language-server: $schema=./crossfade.schema.json\n"));
    assert.ok(compile(planOf(name), EMPTY_OVERLAY, new Map()).ok);
    assert.deepEqual(warningsFrom(textOf(name)), []);
  });

  test(`config/${name} keeps the JSON Schema`, () => {
    const { tree } = readSource(textOf(name), "yaml", {});
    assert.ok(validate(JSON.parse(JSON.stringify(tree))), JSON.stringify(validate.errors));
  });

  test(`config/${name} can be run anywhere: its addresses come from the environment when they are given`, () => {
    const config = planOf(name, {
      CROSSFADE_LISTEN_0_ADDRESS: "127.0.0.1:0",
      CROSSFADE_ADMIN_ADDRESS: "127.0.0.1:0",
      CROSSFADE_METRICS_ADDRESS: "127.0.0.1:0",
      V1_URL: "http://127.0.0.1:19001",
    });
    assert.deepEqual([config.listeners[0]?.port, config.admin?.port, config.metrics?.port], [0, 0, 0]);
    if (name !== "quickstart.yaml") assert.equal(config.upstreams[0]?.endpoints[0]?.port, 19001);
  });
}

test("plan S0: pool of 2 to 10 connections, 60 s idle, first step 10 %, and back by one variable", () => {
  const { pool } = planOf("s0-kgc-sidecar.yaml").upstreams[1] as Config["upstreams"][number];
  assert.deepEqual([pool.minConnections, pool.maxConnections, pool.idleTimeoutMs], [2, 10, 60_000]);
  assert.equal(planOf("s0-kgc-sidecar.yaml").routes[0]?.split.candidatePpm, 100_000);
  const off = planOf("s0-kgc-sidecar.yaml", {
    KGC_SIDECAR_V2_ENABLED: "false",
    KGC_SIDECAR_V2_ROLLOUT_PERCENTAGE: "50",
  });
  assert.equal(off.routes[0]?.split.candidatePpm, 0);
});

test("plan S0: health every 5 s within 100 ms, circuits that open at 3 for 30 s, 3 tries from 100 ms to 1.6 s", () => {
  const { upstreams, routes } = planOf("s0-kgc-sidecar.yaml");
  const { health, circuitBreaker } = upstreams[1] as Config["upstreams"][number];
  assert.deepEqual([health?.intervalMs, health?.timeoutMs, health?.unhealthyThreshold], [5_000, 100, 3]);
  const { consecutiveFailures, openMs, halfOpenRequests } = circuitBreaker ?? {};
  assert.deepEqual([consecutiveFailures, openMs, halfOpenRequests], [3, 30_000, 3]);
  const [kgc] = routes;
  assert.deepEqual(
    [kgc?.retry?.attempts, kgc?.retry?.backoff],
    [3, { initialMs: 100, maxMs: 1_600, multiplierMilli: 2_000 }],
  );
  assert.deepEqual(
    kgc?.fallback.map(({ kind }) => kind),
    ["arm", "upstream", "static"],
  );
  assert.equal(upstreams[2]?.endpoints[0]?.socketPath, "/run/kgc/local.sock");
});

test("plan S1: under overload the features go in the plan's order, and share their buckets", () => {
  const routes = planOf("s1-kato.yaml").routes.filter(({ split }) => split.candidate !== null);
  assert.deepEqual(
    routes.map(({ name, priority, split }) => [name, priority, split.salt]),
    [
      ["degradable", "low", "kato-2025"],
      ["essential", "high", "kato-2025"],
      ["sessions", "normal", "kato-2025"],
    ],
  );
});

test("plan S4: reads of the cache go to both, and what the package does not answer, legacy does", () => {
  const { routes } = planOf("s4-progressive-services.yaml");
  const cache = routes.find(({ name }) => name === "cache-manager");
  assert.deepEqual(cache?.hedge, { delayMs: 0, to: "other" });
  assert.deepEqual(cache.fallback, [{ kind: "arm" }]);
});

test("plan S1: a session is the sticky key, and callers without one get it", () => {
  const split = planOf("s1-kato.yaml").routes.find(({ name }) => name === "sessions")?.split;
  assert.deepEqual(split?.sticky[0], { kind: "header", name: "x-session-id" });
  assert.equal(split.onMissingKey.kind, "set-cookie");
});

test("plan S2: one flag per operation, all with one salt", () => {
  const operations = planOf("s2-git-operations.yaml").routes.filter(({ name }) => name.startsWith("git-"));
  assert.deepEqual(
    operations.map(({ match }) => match.path),
    ["/git/clone", "/git/pull", "/git/status", "/git/commit", "/git/push"],
  );
  assert.deepEqual([...new Set(operations.map(({ split }) => split.salt))], ["git-operations"]);
});

test("plan S3: every answer carries X-API-Version", () => {
  const versions = planOf("s3-strangler.yaml").routes.map(({ versionHeader }) => versionHeader);
  assert.deepEqual(versions, ["x-api-version", "x-api-version"]);
});

test("plan S4: seven services, each with the first step of its risk", () => {
  const shares = planOf("s4-progressive-services.yaml").routes.map(({ name, split }) => [
    name,
    split.candidatePpm / 10_000,
  ]);
  assert.deepEqual(Object.fromEntries(shares), {
    "cv-analyzer": 10,
    "improvement-orchestrator": 0,
    "cache-manager": 5,
    "recommendation-generator": 5,
    "circuit-breaker-core": 1,
    "recommendation-orchestrator": 1,
    "action-orchestrator": 1,
    rest: 0,
  });
});
