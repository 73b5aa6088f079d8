import assert from "node:assert/strict";
import { test } from "node:test";
import { configFrom, goodConfig, toldOf, warningsFrom } from "../support/config-text.ts";
import type { Change, Mistake } from "../support/config-text.ts";

test("all that can be written about health, circuits, outliers and overload is read", () => {
  const config = configFrom(`
listen: [{ address: 127.0.0.1:0 }]
overload: { eventLoopLag: 0s, heap: 75%, maxInFlight: 5000 }
upstreams:
  v1:
    endpoints: ["http+unix:///run/v1.sock"]
    pool: { maxInFlight: 64 }
    health: { grpc: { service: kgc.Hooks, authority: Health.Example:99, watch: false, unimplemented: healthy }, panic: send }
  v2:
    endpoints: [http://a:1, http://b:1]
    health:
      http: { path: /ready?deep=1, method: GET, host: Example.org, headers: { X-Probe: "1" }, expectStatus: [200-204, 418], expectBody: fine, expectHeaders: { X-Ready: "yes" } }
      port: 8081
      interval: 500ms
      jitter: 0%
      believeExplicit: false
    circuitBreaker: { consecutiveFailures: 0, slowCallRatio: 80%, slowCallDuration: 500ms, openFor: 10m, halfOpenRequests: 7, autoRecover: "false" }
    outlierDetection: { deviations: 2.125, maxEjected: 34%, ejectionTime: 6m }
routes: [{ name: r, split: { baseline: v1, candidate: v2 } }]
`);
  assert.deepEqual(config.overload, { eventLoopLagMs: 0, heapPpm: 750_000, maxInFlight: 5_000 });
  const [v1, v2] = config.upstreams;
  assert.deepEqual(v1?.endpoints, [{ scheme: "http", host: "localhost", port: 0, socketPath: "/run/v1.sock" }]);
  assert.equal(v1.pool.maxInFlight, 64);
  assert.deepEqual(v1.health?.check, {
    kind: "grpc",
    service: "kgc.Hooks",
    authority: "health.example:99",
    watch: false,
    unimplemented: "healthy",
  });
  assert.equal(v1.health.panic, "send");
  assert.deepEqual(v2?.health?.check, {
    kind: "http",
    path: "/ready?deep=1",
    method: "GET",
    host: "example.org",
    headers: { "x-probe": "1" },
    expectStatus: [
      [200, 204],
      [418, 418],
    ],
    expectBody: "fine",
    expectHeaders: { "x-ready": "yes" },
  });
  const { port, intervalMs, unhealthyIntervalMs, timeoutMs, jitterPpm, believeExplicit } = v2.health;
  assert.deepEqual([port, intervalMs, jitterPpm, believeExplicit], [8081, 500, 0, false]);
  assert.deepEqual([unhealthyIntervalMs, timeoutMs], [500, 500], "neither default is longer than the interval");
  const circuit = v2.circuitBreaker;
  assert.deepEqual([circuit?.consecutiveFailures, circuit?.slowCallPpm, circuit?.slowCallMs], [0, 800_000, 500]);
  assert.deepEqual([circuit?.openMs, circuit?.maxOpenMs], [600_000, 600_000], "no longest time below the first");
  assert.deepEqual([circuit?.halfOpenSuccesses, circuit?.autoRecover], [7, false]);
  const outliers = v2.outlierDetection;
  assert.deepEqual([outliers?.deviationsMilli, outliers?.maxEjectedPpm], [2_125, 340_000]);
  assert.deepEqual([outliers?.ejectionMs, outliers?.maxEjectionMs], [360_000, 360_000]);
});

test("all that can be written about retries and hedges is read", () => {
  const config = goodConfig();
  config.routes[0].priority = "high";
  config.routes[0].hedge = { delay: "50ms", to: "other" };
  config.routes[0].retry = {
    attempts: 10,
    on: ["5xx", "retriable-status-codes", "connect-failure"],
    statuses: [429, 409],
    perTryTimeout: "2s",
    backoff: { initial: "100ms", max: "1600ms", multiplier: 1.5 },
    budget: "50%",
    maxRetryAfter: "0s",
    maxBodyBytes: 0,
    idempotencyKey: true,
  };
  const [route] = configFrom(config).routes;
  assert.equal(route?.priority, "high");
  assert.deepEqual(route.hedge, { delayMs: 50, to: "other" });
  assert.deepEqual(route.retry, {
    attempts: 10,
    on: ["connect-failure", "5xx"],
    statuses: [429, 409],
    perTryTimeoutMs: 2_000,
    backoff: { initialMs: 100, maxMs: 1_600, multiplierMilli: 1_500 },
    budgetPpm: 500_000,
    maxRetryAfterMs: 0,
    bufferBytes: 0,
    idempotencyKey: true,
  });
});

test("readPreference: fastest asks the other arm at once", () => {
  const config = goodConfig();
  config.routes[0].readPreference = "fastest";
  assert.deepEqual(configFrom(config).routes[0]?.hedge, { delayMs: 0, to: "other" });
});

test("the waits between tries end at ten times the first unless the file says otherwise", () => {
  const config = goodConfig();
  config.routes[0].retry = { backoff: { initial: "100ms" } };
  assert.equal(configFrom(config).routes[0]?.retry?.backoff.maxMs, 1_000);
});

test("a ladder is read rung by rung", () => {
  const config = goodConfig();
  config.upstreams.local = { endpoints: ["http+unix:///run/local.sock"] };
  config.routes[0].fallback = [
    "arm",
    { stale: { maxAge: "1h", maxBytes: "64KiB", shared: true } },
    { upstream: "local" },
    { static: { status: 503, headers: { "Retry-After": "5" }, bodyFile: "fallback.json" } },
  ];
  const [route] = configFrom(config).routes;
  assert.deepEqual(route?.fallback, [
    { kind: "arm" },
    { kind: "stale", maxAgeMs: 3_600_000, maxBytes: 65_536, maxEntryBytes: 65_536, shared: true },
    { kind: "upstream", upstream: "local" },
    { kind: "static", status: 503, headers: ["retry-after", "5"], body: null, bodyFile: "fallback.json" },
  ]);
  const everything = ["connect-failure", "refused-stream", "reset", "timeout", "5xx", "unavailable"];
  assert.deepEqual(route.fallbackOn, { on: everything, statuses: [] });
  assert.deepEqual(warningsFrom(config), [], "an upstream that only a fallback names is used");
});

const CONDITIONS = [
  ["a list", ["timeout", "reset"], { on: ["reset", "timeout"], statuses: [] }],
  ["a map", { on: ["reset"], statuses: [404] }, { on: ["reset"], statuses: [404] }],
] as const;

for (const [form, written, read] of CONDITIONS) {
  test(`when the fallbacks are asked can be written as ${form}`, () => {
    const config = goodConfig();
    Object.assign(config.routes[0], { fallback: ["arm"], fallbackOn: written });
    assert.deepEqual(configFrom(config).routes[0]?.fallbackOn, read);
  });
}

test("rules that do nothing are warned of", () => {
  const config = goodConfig();
  config.upstreams.v1.outlierDetection = {};
  config.upstreams.v2.circuitBreaker = { slowCallDuration: "1s" };
  assert.deepEqual(warningsFrom(config), [
    "upstreams.v1.outlierDetection does nothing: there is one endpoint, and one always stays in",
    "upstreams.v2.circuitBreaker.slowCallDuration does nothing: slowCallRatio is 0%",
  ]);
});

function health(section: object): Change {
  return (config) => (config.upstreams.v1.health = section);
}

function circuit(section: object): Change {
  return (config) => (config.upstreams.v1.circuitBreaker = section);
}

function route(parts: object): Change {
  return (config) => Object.assign(config.routes[0], parts);
}

function lonely(parts: object): Change {
  return (config) => (config.routes[0] = { name: "api", split: { baseline: "v1" }, ...parts });
}

const ladder = (...fallback: unknown[]): Change => route({ fallback });

const MISTAKES: readonly Mistake[] = [
  ["health of no kind", health({}), "upstreams.v1.health: has none; give exactly one of http, grpc, tcp"],
  [
    "health of two kinds",
    health({ grpc: {}, tcp: {} }),
    "upstreams.v1.health: has grpc and tcp; give exactly one of http, grpc, tcp",
  ],
  ["a probe without a path", health({ http: {} }), "upstreams.v1.health.http.path: is required (path)"],
  [
    "a probe's path without a slash",
    health({ http: { path: "healthz" } }),
    'upstreams.v1.health.http.path: "healthz" does not start with /',
  ],
  [
    "a probe's path with a fragment",
    health({ http: { path: "/a#b" } }),
    'upstreams.v1.health.http.path: "/a#b" holds #, which no request carries',
  ],
  [
    "a probe's path with a blank",
    health({ http: { path: "/a b" } }),
    'upstreams.v1.health.http.path: "/a b" has characters that no request can carry; write them as %XX',
  ],
  [
    "a probe that writes",
    health({ http: { path: "/", method: "POST" } }),
    'upstreams.v1.health.http.method: "POST" is none of GET, HEAD',
  ],
  [
    "a status range that runs backwards",
    health({ http: { path: "/", expectStatus: ["299-200"] } }),
    'upstreams.v1.health.http.expectStatus[0]: "299-200" ends before it begins; write the lower status first',
  ],
  [
    "a status that is none",
    health({ http: { path: "/", expectStatus: [2000] } }),
    "upstreams.v1.health.http.expectStatus[0]: 2000 is no status; write one such as 204, or a range such as 200-299",
  ],
  [
    "a body expected of HEAD",
    health({ http: { path: "/", method: "HEAD", expectBody: "ok" } }),
    'upstreams.v1.health.http.expectBody: "ok" needs method: GET; HEAD gives no body',
  ],
  [
    "a probe with a framing header",
    health({ http: { path: "/", headers: { "Transfer-Encoding": "chunked" } } }),
    "upstreams.v1.health.http.headers.Transfer-Encoding: is a header with a meaning of its own; remove it (for the host there is the setting host)",
  ],
  [
    "a probe's host with a path",
    health({ http: { path: "/", host: "h/x" } }),
    'upstreams.v1.health.http.host: "h/x" is not a host name, with or without a port; write it without scheme or path',
  ],
  [
    "a service name with a blank",
    health({ grpc: { service: "a b" } }),
    'upstreams.v1.health.grpc.service: "a b" is not a service name; write package.Service',
  ],
  [
    "a timeout longer than the interval",
    health({ tcp: {}, interval: "1s", timeout: "1001ms" }),
    'upstreams.v1.health.timeout: "1001ms" is longer than interval (1s); a probe must end before the next',
  ],
  [
    "too much jitter",
    health({ tcp: {}, jitter: "51%" }),
    'upstreams.v1.health.jitter: "51%" is above 50%; allowed: 0% to 50%',
  ],
  [
    "a truth that is none",
    health({ tcp: {}, believeExplicit: "maybe" }),
    'upstreams.v1.health.believeExplicit: "maybe" is none of true, false',
  ],
  [
    "a port for a Unix socket",
    (c) => (c.upstreams.v1 = { endpoints: ["http+unix:///s"], health: { tcp: {}, port: 1 } }),
    "upstreams.v1.health.port: 1 means nothing to a Unix socket, which has no ports",
  ],
  [
    "a breaker with every rule off",
    circuit({ consecutiveFailures: 0, errorRatio: "0%" }),
    "upstreams.v1.circuitBreaker: has every rule off; give consecutiveFailures, errorRatio or slowCallRatio, or remove the section",
  ],
  [
    "slow calls without saying what is slow",
    circuit({ slowCallRatio: "50%" }),
    "upstreams.v1.circuitBreaker.slowCallDuration: is required with slowCallRatio; write what counts as slow, such as 500ms",
  ],
  [
    "a longest open time below the first",
    circuit({ maxOpenFor: "10s" }),
    'upstreams.v1.circuitBreaker.maxOpenFor: "10s" is shorter than openFor (30s)',
  ],
  [
    "a window that is too long",
    circuit({ window: "11m" }),
    'upstreams.v1.circuitBreaker.window: "11m" is above 10m; allowed: 1s to 10m',
  ],
  [
    "a longest ejection below the first",
    (c) => (c.upstreams.v1.outlierDetection = { ejectionTime: "2m", maxEjectionTime: "1m" }),
    'upstreams.v1.outlierDetection.maxEjectionTime: "1m" is shorter than ejectionTime (2m)',
  ],
  [
    "deviations that are too fine",
    (c) => (c.upstreams.v1.outlierDetection = { deviations: 1.2345 }),
    "upstreams.v1.outlierDetection.deviations: 1.2345 is finer than 0.001; write at most three decimals",
  ],
  [
    "deviations out of range",
    (c) => (c.upstreams.v1.outlierDetection = { deviations: "11" }),
    'upstreams.v1.outlierDetection.deviations: "11" is above 10; allowed: 0.1 to 10',
  ],
  ["too many tries", route({ retry: { attempts: 11 } }), "routes[0].retry.attempts: 11 is above 10; allowed: 1 to 10"],
  [
    "a misspelt condition",
    route({ retry: { on: ["conect-failure"] } }),
    'routes[0].retry.on[0]: "conect-failure" is none of connect-failure, refused-stream, reset, timeout, gateway-error, 5xx, retriable-4xx, cancelled, deadline-exceeded, internal, resource-exhausted, unavailable, retriable-status-codes (did you mean "connect-failure"?)',
  ],
  [
    "a condition given twice",
    route({ retry: { on: ["5xx", "5xx"] } }),
    'routes[0].retry.on[1]: "5xx" is given twice; keep one',
  ],
  [
    "retries on nothing",
    route({ retry: { on: [] } }),
    "routes[0].retry.on: names nothing, and no statuses are given; name something",
  ],
  [
    "listed statuses without a list",
    route({ retry: { on: ["5xx", "retriable-status-codes"] } }),
    'routes[0].retry.on[1]: "retriable-status-codes" needs a list of statuses beside it, such as statuses: [502, 503]',
  ],
  [
    "a retry on success",
    route({ retry: { statuses: [200] } }),
    "routes[0].retry.statuses[0]: 200 is below 400; allowed: 400 to 599",
  ],
  [
    "a longest wait below the first",
    route({ retry: { backoff: { initial: "1s", max: "250ms" } } }),
    'routes[0].retry.backoff.max: "250ms" is shorter than initial (1s)',
  ],
  ["a hedge without a delay", route({ hedge: {} }), "routes[0].hedge.delay: is required (duration, 0s = at once)"],
  [
    "a hedge besides both arms at once",
    route({ readPreference: "fastest", hedge: { delay: "1s" } }),
    "routes[0].hedge: cannot go together with readPreference: fastest, which asks both arms at once; keep one",
  ],
  [
    "the other arm where there is none",
    lonely({ readPreference: "fastest", fallback: ["arm"] }),
    'routes[0].fallback[0]: "arm" needs another arm, but the split has no candidate',
    'routes[0].readPreference: "fastest" needs another arm, but the split has no candidate',
  ],
  [
    "a hedge to the other arm where there is none",
    lonely({ hedge: { delay: "1s", to: "other" } }),
    'routes[0].hedge.to: "other" needs another arm, but the split has no candidate',
  ],
  ["an unknown priority", route({ priority: "highest" }), 'routes[0].priority: "highest" is none of low, normal, high'],
  [
    "a rung that is no word",
    ladder("stale"),
    'routes[0].fallback[0]: "stale" is none of arm, { stale: {} }, { static: { body } }, { upstream: NAME }',
  ],
  ["a rung of no kind", ladder({}), "routes[0].fallback[0]: has none; give exactly one of stale, static, upstream"],
  [
    "a rung of two kinds",
    ladder({ stale: {}, static: {} }),
    "routes[0].fallback[0]: has stale and static; give exactly one of stale, static, upstream",
  ],
  [
    "a misspelt rung",
    ladder({ stael: {} }),
    "routes[0].fallback[0]: has none; give exactly one of stale, static, upstream",
    'routes[0].fallback[0].stael: is not a known key (did you mean "stale"?); allowed: stale, static, upstream',
  ],
  ["the same rung twice", ladder("arm", "arm"), "routes[0].fallback[1]: is given twice; keep one"],
  ["two stores", ladder({ stale: {} }, "arm", { stale: {} }), "routes[0].fallback[2]: is given twice; keep one"],
  [
    "a rung behind one that always answers",
    ladder({ static: {} }, "arm"),
    "routes[0].fallback[1]: is never reached: fallback[0] is static and always answers",
  ],
  [
    "a rung that names nobody",
    ladder({ upstream: "lokal" }),
    'routes[0].fallback[0].upstream: "lokal" names no upstream; allowed: v1, v2',
  ],
  [
    "a rung that names an arm",
    ladder({ upstream: "v1" }),
    'routes[0].fallback[0].upstream: "v1" is an arm of this route; write arm, or name another upstream',
  ],
  [
    "an entry larger than the store",
    ladder({ stale: { maxBytes: 8192, maxEntryBytes: "16KiB" } }),
    'routes[0].fallback[0].stale.maxEntryBytes: "16KiB" is larger than maxBytes, what is kept in all',
  ],
  [
    "a static answer with two bodies",
    ladder({ static: { body: "a", bodyFile: "b" } }),
    "routes[0].fallback[0].static: has body and bodyFile; give one",
  ],
  [
    "a body where none may be",
    ladder({ static: { status: 204, body: "a" } }),
    "routes[0].fallback[0].static.status: 204 has no body by definition; remove the body",
  ],
  [
    "a static answer with headers that are ours",
    ladder({ static: { headers: { "Content-Length": "1", "X-Crossfade-Error": "x" } } }),
    "routes[0].fallback[0].static.headers.Content-Length: is set by Crossfade itself, or belongs to one connection; remove it",
    "routes[0].fallback[0].static.headers.X-Crossfade-Error: is set by Crossfade itself, or belongs to one connection; remove it",
  ],
  [
    "a body that is too long for the config",
    ladder({ static: { body: "x y ".repeat(20_000) } }),
    `routes[0].fallback[0].static.body: ${JSON.stringify(`${"x y ".repeat(20)}…`)} has 80000 characters; at most 65536, or put it in a file and write bodyFile`,
  ],
  [
    "conditions of a fallback that there is not",
    route({ fallbackOn: ["5xx"] }),
    "routes[0].fallbackOn: is given, but the route has no fallback; give one or remove it",
  ],
  [
    "a misspelt condition in a plain list",
    route({ fallback: ["arm"], fallbackOn: ["5xx", "resett"] }),
    'routes[0].fallbackOn[1]: "resett" is none of connect-failure, refused-stream, reset, timeout, gateway-error, 5xx, retriable-4xx, cancelled, deadline-exceeded, internal, resource-exhausted, unavailable, retriable-status-codes (did you mean "reset"?)',
  ],
  [
    "a fallback on nothing",
    route({ fallback: ["arm"], fallbackOn: { on: [] } }),
    "routes[0].fallbackOn.on: names nothing, and no statuses are given; name something",
  ],
  [
    "listed statuses in a plain list",
    route({ fallback: ["arm"], fallbackOn: ["retriable-status-codes"] }),
    'routes[0].fallbackOn[0]: "retriable-status-codes" needs a list of statuses beside it, such as statuses: [502, 503]',
  ],
  ["a heap share above all of it", (c) => (c.overload = { heap: "101%" }), 'overload.heap: "101%" is above 100%'],
];

for (const [name, change, ...expected] of MISTAKES) {
  test(`${name}: exactly that is reported`, () => assert.deepEqual(toldOf(change), expected.sort()));
}
