import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { RETRY_CONDITIONS } from "../../src/base/cells.ts";
import { compile } from "../../src/config/compile.ts";
import { effectiveConfig } from "../../src/config/print.ts";
import { textFromShare } from "../../src/config/units.ts";
import { EMPTY_OVERLAY } from "../../src/model/overlay.ts";
import { configFrom } from "../support/config-text.ts";

const name = fc.stringMatching(/^[a-z][a-z0-9.-]{0,8}$/);
const token = fc.stringMatching(/^[a-z][a-z0-9-]{0,8}$/);
const durationMs = fc.integer({ min: 1, max: 86_400_000 }).map((ms) => `${ms}ms`);
const percent = fc.nat(1_000_000).map((ppm) => textFromShare(ppm));
const health = fc.oneof(
  fc.record(
    {
      http: fc.record(
        {
          path: fc.constant("/healthz?x=1"),
          method: fc.constant("HEAD"),
          expectStatus: fc.constantFrom([204], ["200-299", "418"]),
          headers: fc.dictionary(token, token),
        },
        { requiredKeys: ["path"] },
      ),
      interval: fc.constantFrom("500ms", "1m"),
      jitter: fc.constantFrom("0%", "12.5%"),
      panic: fc.constantFrom("refuse", "send"),
    },
    { requiredKeys: ["http"] },
  ),
  fc.record({ tcp: fc.constant({}), port: fc.integer({ min: 1, max: 65_535 }) }, { requiredKeys: ["tcp"] }),
  fc.record({ grpc: fc.record({ service: token, watch: fc.boolean() }, { requiredKeys: [] }) }),
);
const circuitBreaker = fc.record(
  {
    consecutiveFailures: fc.integer({ min: 1, max: 10 }),
    errorRatio: percent,
    slowCallDuration: durationMs,
    slowCallRatio: fc.constant("0%"),
    openFor: fc.constantFrom("1s", "10m"),
    halfOpenRequests: fc.integer({ min: 1, max: 100 }),
    autoRecover: fc.boolean(),
  },
  { requiredKeys: [] },
);
const upstream = fc.record(
  {
    health,
    circuitBreaker,
    outlierDetection: fc.record({ deviations: fc.constantFrom(1.9, 3), maxEjected: percent }, { requiredKeys: [] }),
    endpoints: fc
      .uniqueArray(fc.integer({ min: 1, max: 65_535 }), { minLength: 1, maxLength: 3 })
      .map((ports) => ports.map((port) => `http://h:${port}`)),
    protocol: fc.constantFrom("auto", "http1"),
    timeouts: fc.record({ connect: durationMs, request: durationMs }, { requiredKeys: [] }),
    pool: fc.record(
      {
        maxPending: fc.nat(1_000),
        maxConnections: fc.integer({ min: 2, max: 1_000 }),
        pipelining: fc.integer({ min: 1, max: 64 }),
      },
      { requiredKeys: [] },
    ),
  },
  { requiredKeys: ["endpoints"] },
);
const split = fc.record(
  {
    share: fc
      .nat(1_000_000)
      .map((ppm) => `${ppm / 10_000}%`)
      .filter((text) => !text.includes("e")),
    sticky: fc.uniqueArray(
      fc.oneof(fc.record({ header: token }), fc.record({ query: token }), fc.constant({ clientIp: true })),
      {
        maxLength: 3,
        selector: (source) => JSON.stringify(source),
      },
    ),
    onMissingKey: fc.oneof(fc.constantFrom("random", "baseline"), fc.record({ setCookie: fc.record({ name: token }) })),
    salt: fc.string({ minLength: 1 }).filter((text) => !text.includes("$")),
    overrides: fc.array(
      fc.oneof(
        fc.record({
          header: fc.dictionary(token, token, { minKeys: 1, maxKeys: 1 }),
          to: fc.constantFrom("baseline", "candidate"),
        }),
        fc.record({ segment: fc.constant("beta"), to: fc.constant("baseline") }),
      ),
      { maxLength: 3 },
    ),
  },
  { requiredKeys: [] },
);
const condition = fc.constantFrom(...RETRY_CONDITIONS);
const conditions = fc.record({
  on: fc.uniqueArray(condition, { minLength: 1 }),
  statuses: fc.uniqueArray(fc.integer({ min: 400, max: 599 }), { maxLength: 3 }),
});
const recovery = fc.record(
  {
    priority: fc.constantFrom("low", "normal", "high"),
    hedge: fc.record({ delay: fc.constantFrom("0s", "50ms"), to: fc.constantFrom("same", "other") }),
    retry: fc
      .tuple(conditions, fc.integer({ min: 1, max: 10 }), percent, fc.constantFrom(1, 1.25, 10))
      .map(([on, attempts, budget, multiplier]) => ({ ...on, attempts, budget, backoff: { multiplier } })),
    fallback: fc.subarray(
      [
        "arm",
        { stale: { maxAge: "1m", maxBytes: "8KiB" } },
        { static: { status: 503, headers: { "X-A": "b" }, body: "{}" } },
      ],
      { minLength: 1 },
    ),
  },
  { requiredKeys: ["fallback"] },
);
const generated = fc
  .record({
    upstreams: fc.dictionary(name, upstream, { minKeys: 1, maxKeys: 3 }),
    splits: fc.dictionary(name, split, { minKeys: 1, maxKeys: 4 }),
    recovery,
    fallbackOn: fc.oneof(
      conditions,
      conditions.map(({ on }) => on),
    ),
    overload: fc.record({ eventLoopLag: fc.constantFrom("0s", "1ms", "1m"), heap: percent }, { requiredKeys: [] }),
    log: fc.record({ access: fc.constantFrom("none", "errors", "all", "1%", "0.5%") }),
    runtime: fc.record({ threads: fc.constantFrom("auto", "inline", 4), viaName: token }, { requiredKeys: [] }),
  })
  .map(({ upstreams, splits, recovery: ways, fallbackOn, overload, log, runtime }) => {
    const baseline = Object.keys(upstreams)[0];
    const routes = Object.entries(splits).map(([route, parts], index) => ({
      name: route,
      match: { pathPrefix: `/${index}` },
      split: { ...parts, baseline, candidate: baseline },
      ...(index === 0 ? { ...ways, fallbackOn } : {}),
    }));
    return {
      listen: [{ address: "127.0.0.1:0" }],
      upstreams,
      segments: { beta: { keys: ["k"] } },
      log,
      overload,
      runtime,
      routes,
    };
  });

test("the effective config of any config means the same again, and compiles to the same", () => {
  fc.assert(
    fc.property(generated, (source) => {
      const config = configFrom(source);
      const again = configFrom(effectiveConfig(config));
      const bare = (one: typeof config): unknown => ({
        ...one,
        routes: one.routes.map((route) => ({ ...route, splitDigest: "" })),
      });
      assert.deepEqual(bare(again), bare(config));
      assert.deepEqual(compile(again, EMPTY_OVERLAY, new Map()), compile(config, EMPTY_OVERLAY, new Map()));
    }),
  );
});
