import assert from "node:assert/strict";
import { test } from "node:test";
import { parseConfig } from "../../src/config/parse.ts";
import { configFrom, goodConfig, problemsFrom, toldOf, warningsFrom } from "../support/config-text.ts";
import type { Mistake } from "../support/config-text.ts";

test("a small config gets every default, in milliseconds, bytes and parts per million", () => {
  const config = configFrom(goodConfig());
  assert.deepEqual(config.listeners, [{ host: "127.0.0.1", port: 8080, tls: null }]);
  assert.equal(config.engine, "native");
  assert.equal(config.admin, null);
  assert.equal(config.metrics, null);
  assert.deepEqual(config.runtime, {
    threads: 0,
    stateDir: null,
    trustedProxies: [],
    viaName: "crossfade",
    drain: { lameDuckMs: 5_000, deadlineMs: 25_000 },
  });
  assert.deepEqual(config.log, { level: "info", access: { mode: "errors", ppm: 0 } });
  assert.deepEqual(config.downstream, {
    headerTimeoutMs: 10_000,
    bodyIdleTimeoutMs: 30_000,
    keepAliveTimeoutMs: 75_000,
    maxHeaderBytes: 16_384,
    maxHeaders: 100,
    maxConnections: 10_000,
    tunnelIdleTimeoutMs: 0,
  });
  assert.deepEqual(config.overload, { eventLoopLagMs: 200, heapPpm: 900_000, maxInFlight: 0 });
  assert.deepEqual(config.upstreams[0], {
    name: "v1",
    endpoints: [{ scheme: "http", host: "127.0.0.1", port: 9001, socketPath: null }],
    protocol: "auto",
    timeouts: {
      connectTimeoutMs: 1_000,
      responseHeadTimeoutMs: 15_000,
      idleTimeoutMs: 60_000,
      requestTimeoutMs: 30_000,
    },
    pool: {
      minConnections: 0,
      maxConnections: 256,
      maxPending: 1_024,
      acquireTimeoutMs: 1_000,
      idleTimeoutMs: 4_000,
      pipelining: 1,
      maxInFlight: 0,
    },
    tls: null,
    health: null,
    circuitBreaker: null,
    outlierDetection: null,
    maxHeaderBytes: 65_536,
  });
  const [route] = config.routes;
  assert.equal(route?.versionHeader, "x-crossfade-upstream");
  assert.equal(route.split.candidatePpm, 100_000);
  assert.equal(route.split.salt, "api");
  assert.deepEqual(route.split.onMissingKey, { kind: "random" });
  assert.deepEqual([route.priority, route.retry, route.hedge, route.fallback], ["normal", null, null, []]);
});

test("everything that can be written is read", () => {
  const config = configFrom(`
listen:
  - address: 0.0.0.0:8443
    tls: { cert: /tls/crt, key: /tls/key, clientCa: /tls/ca }
engine: native
admin: { address: 0.0.0.0:9901, tokenFile: /token }
metrics: { address: "[::]:9464", bucketsPerDoubling: 8 }
runtime: { threads: inline, stateDir: /state, trustedProxies: [10.0.0.0/8, "::1"], viaName: edge, drain: { lameDuck: 0, deadline: 1m } }
log: { level: debug, access: 2.5% }
downstream: { headerTimeout: 3s, maxHeaderBytes: 32768, maxHeaders: 50, tunnelIdleTimeout: 1h }
upstreams:
  old: { endpoints: [https://old.example.org], protocol: http1, tls: { ca: /ca, cert: /crt, key: /key, serverName: Old.Example.org } }
  new: { endpoints: [http://new:1, http://new:2], timeouts: { request: 0s }, pool: { pipelining: 64, idleTimeout: 60s } }
segments:
  staff: { keys: [a, b], headers: { X-Group: [staff, qa] } }
routes:
  - name: r
    match: { pathRegex: "^/v[12]/", host: "*.Example.org", methods: [GET, POST], headers: { X-Tenant: acme } }
    headers: { version: X-API-Version }
    split:
      baseline: old
      candidate: new
      share: 100%
      hash: murmur3
      sticky: [{ header: X-User }, { cookie: Sid }, { query: user id }, { clientIp: true }]
      onMissingKey: { setCookie: { name: cf } }
      salt: s
      overrides:
        - { header: { X-Crossfade-Force: new }, to: candidate }
        - { cookie: { beta: "1" }, to: candidate }
        - { segment: staff, to: baseline }
`);
  assert.deepEqual(config.listeners, [
    { host: "0.0.0.0", port: 8443, tls: { certFile: "/tls/crt", keyFile: "/tls/key", clientCaFile: "/tls/ca" } },
  ]);
  assert.deepEqual(config.admin, { host: "0.0.0.0", port: 9901, tokenFile: "/token" });
  assert.deepEqual(config.metrics, { host: "::", port: 9464, bucketsPerDoubling: 8 });
  assert.deepEqual(config.runtime, {
    threads: "inline",
    stateDir: "/state",
    trustedProxies: ["10.0.0.0/8", "::1/128"],
    viaName: "edge",
    drain: { lameDuckMs: 0, deadlineMs: 60_000 },
  });
  assert.deepEqual(config.log, { level: "debug", access: { mode: "share", ppm: 25_000 } });
  assert.equal(config.downstream.tunnelIdleTimeoutMs, 3_600_000);
  assert.deepEqual(config.upstreams[0]?.tls, {
    caFile: "/ca",
    certFile: "/crt",
    keyFile: "/key",
    serverName: "old.example.org",
  });
  assert.equal(config.upstreams[1]?.timeouts.requestTimeoutMs, 0);
  assert.equal(config.upstreams[1]?.pool.pipelining, 64);
  assert.deepEqual(config.segments, [{ name: "staff", keys: ["a", "b"], headers: { "x-group": ["staff", "qa"] } }]);
  const [route] = config.routes;
  assert.deepEqual(route?.match, {
    path: null,
    pathPrefix: null,
    pathRegex: "^/v[12]/",
    host: "*.example.org",
    methods: ["GET", "POST"],
    headers: { "x-tenant": "acme" },
  });
  assert.equal(route.versionHeader, "x-api-version");
  assert.deepEqual(route.split.sticky, [
    { kind: "header", name: "x-user" },
    { kind: "cookie", name: "Sid" },
    { kind: "query", name: "user id" },
    { kind: "client-ip" },
  ]);
  assert.deepEqual(route.split.onMissingKey, { kind: "set-cookie", name: "cf", maxAgeMs: 2_592_000_000 });
  assert.deepEqual(route.split.overrides, [
    { when: { kind: "header", name: "x-crossfade-force", value: "new" }, to: "candidate" },
    { when: { kind: "cookie", name: "beta", value: "1" }, to: "candidate" },
    { when: { kind: "segment", name: "staff" }, to: "baseline" },
  ]);
});

/** One mistake each: how it is made, and everything that is said of it (lines taken off). */
const MISTAKES: readonly Mistake[] = [
  ["a share above 100%", (c) => (c.routes[0].split.share = "120%"), 'routes[0].split.share: "120%" is above 100%'],
  [
    "a share without %",
    (c) => (c.routes[0].split.share = 10),
    "routes[0].split.share: 10 is a number without a unit; write 10%, 2.5%",
  ],
  ["no listen", (c) => delete c.listen, "listen: is required"],
  ["an empty listen", (c) => (c.listen = []), "listen: a list has too few entries; allowed: 1 or more"],
  ["listen that is no list", (c) => (c.listen = { address: "127.0.0.1:1" }), "listen: a map must be a list"],
  ["a section that is no map", (c) => (c.runtime = 5), "runtime: 5 must be a map"],
  ["an empty section", (c) => (c.runtime = null), "runtime: is empty; give it a value or remove the line"],
  [
    "an empty value",
    (c) => (c.routes[0].split.share = null),
    "routes[0].split.share: is empty; give it a value or remove the line",
  ],
  [
    "a map where one value belongs",
    (c) => (c.routes[0].split.share = {}),
    "routes[0].split.share: a map must be one value (share)",
  ],
  [
    "an unknown key",
    (c) => (c.routes[0].split.shaer = "1%"),
    'routes[0].split.shaer: is not a known key (did you mean "share"?); allowed: baseline, candidate, share, hash, sticky, onMissingKey, salt, overrides',
  ],
  [
    "an unknown section",
    (c) => (c.zzz = {}),
    "zzz: is not a known key; allowed: $schema, listen, engine, admin, metrics, runtime, log, downstream, overload, upstreams, segments, routes",
  ],
  [
    "a duration without unit",
    (c) => (c.downstream = { headerTimeout: 5 }),
    "downstream.headerTimeout: 5 is a number without a unit; write 250ms, 5s, 10m",
  ],
  [
    "a duration of zero where none is allowed",
    (c) => (c.downstream = { headerTimeout: 0 }),
    "downstream.headerTimeout: 0 is below 1ms; allowed: 1ms to 1d",
  ],
  [
    "a duration that is too long",
    (c) => (c.upstreams.v1.pool = { acquireTimeout: "2d" }),
    'upstreams.v1.pool.acquireTimeout: "2d" is above 1d; allowed: 1ms to 1d',
  ],
  [
    "a size that is too small",
    (c) => (c.downstream = { maxHeaderBytes: "1" }),
    'downstream.maxHeaderBytes: "1" is below 1KiB; allowed: 1KiB to 1MiB',
  ],
  [
    "a size in wrong words",
    (c) => (c.downstream = { maxHeaderBytes: "64KB" }),
    'downstream.maxHeaderBytes: "64KB" is not a size; write bytes or a whole number of KiB or MiB: 65536, 64KiB, 1MiB',
  ],
  [
    "a number that is not whole",
    (c) => (c.downstream = { maxHeaders: 9.5 }),
    "downstream.maxHeaders: 9.5 is not a whole number",
  ],
  [
    "a number out of range",
    (c) => (c.downstream = { maxHeaders: 1 }),
    "downstream.maxHeaders: 1 is below 8; allowed: 8 to 2000",
  ],
  [
    "a boolean for a number",
    (c) => (c.downstream = { maxHeaders: true }),
    "downstream.maxHeaders: true is not a whole number",
  ],
  [
    "a word that is none of a choice",
    (c) => (c.log = { level: "warning" }),
    'log.level: "warning" is none of trace, debug, info, warn, error, fatal, silent',
  ],
  [
    "a misspelt choice",
    (c) => (c.routes[0].split.overrides[0].to = "candidat"),
    'routes[0].split.overrides[0].to: "candidat" is none of baseline, candidate (did you mean "candidate"?)',
  ],
  [
    "an access log that is no choice",
    (c) => (c.log = { access: "some" }),
    'log.access: "some" is none of none, errors, all, or a share such as 1%',
  ],
  ["an access log share above 100%", (c) => (c.log = { access: "101%" }), 'log.access: "101%" is above 100%'],
  ["too many threads", (c) => (c.runtime = { threads: 65 }), "runtime.threads: 65 is none of auto, inline, 1 to 64"],
  [
    "a wrong IP block",
    (c) => (c.runtime = { trustedProxies: ["10.0.0.0/8", "nope"] }),
    'runtime.trustedProxies[1]: "nope" is not an IP block; write 10.0.0.0/8, fd00::/8 or one address',
  ],
  [
    "a wrong via name",
    (c) => (c.runtime = { viaName: "a b" }),
    'runtime.viaName: "a b" is not one word of letters, digits and hyphens',
  ],
  [
    "a drain with no time left",
    (c) => (c.runtime = { drain: { lameDuck: "25s" } }),
    'runtime.drain.lameDuck: "25s" makes lameDuck (25s) as long as deadline (25s) or longer; requests need time after lameDuck',
  ],
  [
    "a deadline shorter than the default lame duck",
    (c) => (c.runtime = { drain: { deadline: "3s" } }),
    'runtime.drain.deadline: "3s" makes lameDuck (5s) as long as deadline (3s) or longer; requests need time after lameDuck',
  ],
  [
    "an open control API without a token",
    (c) => (c.admin = { address: "0.0.0.0:9901" }),
    'admin.address: "0.0.0.0:9901" can be reached from other machines; give admin.tokenFile, or use a loopback address such as 127.0.0.1',
  ],
  [
    "an address given twice",
    (c) => (c.metrics = { address: "127.0.0.1:8080" }),
    'metrics.address: "127.0.0.1:8080" is taken by 127.0.0.1:8080 above',
  ],
  [
    "an address within a wildcard",
    (c) => c.listen.push({ address: "0.0.0.0:8080" }),
    'listen[1].address: "0.0.0.0:8080" is taken by 127.0.0.1:8080 above',
  ],
  [
    "a key without its certificate",
    (c) => (c.listen[0].tls = { key: "/key" }),
    "listen[0].tls.cert: is required (path)",
  ],
  [
    "the text of a key instead of its path",
    (c) => (c.listen[0].tls = { cert: "/c", key: "-----BEGIN PRIVATE KEY-----\nMII" }),
    'listen[0].tls.key: "***" holds PEM text; write the path of the file that holds it',
  ],
  ["a path with a line break", (c) => (c.runtime = { stateDir: "/a\nb" }), 'runtime.stateDir: "/a\\nb" is not a path'],
  ["an empty path", (c) => (c.runtime = { stateDir: "" }), 'runtime.stateDir: "" is empty; write the path of a file'],
  [
    "no upstreams",
    (c) => (c.upstreams = {}),
    "upstreams: has no entries; name at least one upstream",
    'routes[0].split.baseline: "v1" names no upstream; the file has no upstreams',
    'routes[0].split.candidate: "v2" names no upstream; the file has no upstreams',
  ],
  [
    "an upstream with a wrong name",
    (c) => (c.upstreams["_x"] = c.upstreams.v1),
    "upstreams._x: is not a valid name; use 1 to 64 letters, digits, dots, hyphens and underscores, a letter or digit first",
  ],
  [
    "an upstream without endpoints",
    (c) => (c.upstreams.v1.endpoints = []),
    "upstreams.v1.endpoints: a list has too few entries; allowed: 1 or more",
  ],
  [
    "an endpoint given twice",
    (c) => c.upstreams.v1.endpoints.push("HTTP://127.0.0.1:9001/"),
    'upstreams.v1.endpoints[1]: "HTTP://127.0.0.1:9001/" is given twice; keep one',
  ],
  [
    "an endpoint that needs gRPC",
    (c) => c.upstreams.v1.endpoints.push("grpc://127.0.0.1:9"),
    'upstreams.v1.endpoints[1]: "grpc://127.0.0.1:9" uses grpc://, which this version (0.1) does not have yet; use http://',
  ],
  [
    "an endpoint with credentials",
    (c) => c.upstreams.v1.endpoints.push("http://me:pw@h:9"),
    'upstreams.v1.endpoints[1]: "http://***@h:9" holds credentials; an endpoint is only scheme, host and port',
  ],
  [
    "protocol http2",
    (c) => (c.upstreams.v1.protocol = "http2"),
    'upstreams.v1.protocol: "http2" is not available in this version (0.1) yet; use http1 or auto, or remove the line',
  ],
  [
    "an unknown protocol",
    (c) => (c.upstreams.v1.protocol = "spdy"),
    'upstreams.v1.protocol: "spdy" is none of http1, auto',
  ],
  [
    "an engine that there is not",
    (c) => (c.engine = "libary"),
    'engine: "libary" is none of native, library (did you mean "library"?)',
  ],
  [
    "pipelining with the library engine",
    (c) => ((c.engine = "library"), (c.upstreams.v1.pool = { pipelining: 2 })),
    "upstreams.v1.pool.pipelining: 2 needs engine: native, since the library engine keeps one request in flight per connection; write 1 or remove the line",
  ],
  [
    "too much pipelining",
    (c) => (c.upstreams.v1.pool = { pipelining: 65 }),
    "upstreams.v1.pool.pipelining: 65 is above 64; allowed: 1 to 64",
  ],
  [
    "shadows",
    (c) => (c.routes[0].shadow = {}),
    "routes[0].shadow: is not available in this version (0.1) yet; remove the section; no copies are sent",
  ],
  [
    "rollouts",
    (c) => (c.routes[0].rollout = {}),
    "routes[0].rollout: is not available in this version (0.1) yet; remove the section and set split.share by hand",
  ],
  [
    "another hash",
    (c) => (c.routes[0].split.hash = "unleash"),
    'routes[0].split.hash: "unleash" is not available in this version (0.1) yet; use murmur3 or remove the line',
  ],
  ["an unknown hash", (c) => (c.routes[0].split.hash = "md5"), 'routes[0].split.hash: "md5" is none of murmur3'],
  [
    "a pool whose least is above its most",
    (c) => (c.upstreams.v1.pool = { minConnections: 20, maxConnections: 10 }),
    "upstreams.v1.pool.minConnections: 20 makes minConnections (20) larger than maxConnections (10)",
  ],
  [
    "a client certificate without key",
    (c) => ((c.upstreams.v1.endpoints = ["https://h"]), (c.upstreams.v1.tls = { cert: "/c" })),
    "upstreams.v1.tls.key: is required: cert and key go together",
  ],
  [
    "TLS settings for http",
    (c) => (c.upstreams.v1.tls = { ca: "/c" }),
    "upstreams.v1.tls: is given, but no endpoint is https; write https:// or remove it",
  ],
  [
    "a server name with a port",
    (c) => ((c.upstreams.v1.endpoints = ["https://h"]), (c.upstreams.v1.tls = { serverName: "h:1" })),
    'upstreams.v1.tls.serverName: "h:1" is not a host name; write it without scheme, port or path',
  ],
  [
    "a segment with nobody",
    (c) => (c.segments.beta = {}),
    "segments.beta: has nobody in it; give keys, headers or both",
  ],
  [
    "a segment with a wrong name",
    (c) => (c.segments["a b"] = { keys: ["x"] }),
    'segments["a b"]: is not a valid name; use 1 to 64 letters, digits, dots, hyphens and underscores, a letter or digit first',
  ],
  [
    "segment keys that are no list",
    (c) => (c.segments.beta = { keys: "u1" }),
    'segments.beta.keys: "u1" must be a list',
  ],
  [
    "a segment key that is a number",
    (c) => (c.segments.beta = { keys: [7] }),
    "segments.beta.keys[0]: 7 must be text; put it in quotes",
  ],
  [
    "a segment with a wrong header",
    (c) => (c.segments.beta = { headers: { "a b": ["x"] } }),
    'segments.beta.headers["a b"]: is not a valid header name; use letters, digits and hyphens',
  ],
  [
    "a segment header given in two cases",
    (c) => (c.segments.beta = { headers: { "X-A": ["x"], "x-a": ["y"] } }),
    "segments.beta.headers.x-a: is given twice; header names have no case",
  ],
  ["no routes", (c) => (c.routes = []), "routes: a list has too few entries; allowed: 1 or more"],
  ["a route without a name", (c) => delete c.routes[0].name, "routes[0].name: is required (name)"],
  [
    "a route name given twice",
    (c) => c.routes.push({ name: "api", split: { baseline: "v1" } }),
    'routes[1].name: "api" is the name of routes[0] too; names are unique',
  ],
  [
    "a path and a prefix",
    (c) => (c.routes[0].match.path = "/x"),
    "routes[0].match: has path and pathPrefix; give one of path, pathPrefix, pathRegex",
  ],
  [
    "a prefix without a slash",
    (c) => (c.routes[0].match.pathPrefix = "api"),
    'routes[0].match.pathPrefix: "api" does not start with /',
  ],
  [
    "a path with a query",
    (c) => (c.routes[0].match.pathPrefix = "/a?b"),
    'routes[0].match.pathPrefix: "/a?b" holds ? or #; a path ends before them',
  ],
  [
    "a path with a blank",
    (c) => (c.routes[0].match.pathPrefix = "/a b"),
    'routes[0].match.pathPrefix: "/a b" has characters that no path can carry',
  ],
  [
    "a wrong regular expression",
    (c) => (c.routes[0].match = { pathRegex: "(" }),
    'routes[0].match.pathRegex: "(" is not a valid regular expression: unterminated group',
  ],
  [
    "an empty regular expression",
    (c) => (c.routes[0].match = { pathRegex: "" }),
    'routes[0].match.pathRegex: "" must have 1 to 1024 characters',
  ],
  [
    "a host with a port",
    (c) => (c.routes[0].match.host = "h:1"),
    'routes[0].match.host: "h:1" is not a host name; write it without scheme, port or path',
  ],
  [
    "a wildcard in the middle of a host",
    (c) => (c.routes[0].match.host = "a.*.b"),
    'routes[0].match.host: "a.*.b" has a wildcard that is not *. at its beginning',
  ],
  [
    "a wildcard before nothing",
    (c) => (c.routes[0].match.host = "*."),
    'routes[0].match.host: "*." is not *. and a host name',
  ],
  [
    "a lower-case method",
    (c) => (c.routes[0].match.methods = ["get"]),
    'routes[0].match.methods[0]: "get" is not a method; methods are upper case, write GET',
  ],
  [
    "a method that is none",
    (c) => (c.routes[0].match.methods = ["G E T"]),
    'routes[0].match.methods[0]: "G E T" is not a method; write GET, POST and the like',
  ],
  [
    "a method given twice",
    (c) => (c.routes[0].match.methods = ["GET", "GET"]),
    'routes[0].match.methods[1]: "GET" is given twice; keep one',
  ],
  [
    "a header match with blanks around",
    (c) => (c.routes[0].match.headers = { a: " x" }),
    'routes[0].match.headers.a: " x" has blanks around it, which no header can carry',
  ],
  [
    "a header match with a line break",
    (c) => (c.routes[0].match.headers = { a: "x\ny" }),
    'routes[0].match.headers.a: "x\\ny" has characters that no header can carry',
  ],
  [
    "an empty header match",
    (c) => (c.routes[0].match.headers = { a: "" }),
    'routes[0].match.headers.a: "" must have 1 to 8192 characters',
  ],
  [
    "a version header that frames messages",
    (c) => (c.routes[0].headers = { version: "Content-Length" }),
    'routes[0].headers.version: "Content-Length" is a header with a meaning of its own; choose another name',
  ],
  [
    "a version header that is none",
    (c) => (c.routes[0].headers = { version: "a b" }),
    'routes[0].headers.version: "a b" is not a valid header name; use letters, digits and hyphens',
  ],
  ["no split", (c) => delete c.routes[0].split, "routes[0].split: is required"],
  [
    "an unknown upstream",
    (c) => (c.routes[0].split.candidate = "v22"),
    'routes[0].split.candidate: "v22" names no upstream (did you mean "v2"?); allowed: v1, v2',
  ],
  [
    "an unknown segment",
    (c) => (c.routes[0].split.overrides[0].segment = "bta"),
    'routes[0].split.overrides[0].segment: "bta" names no segment (did you mean "beta"?); allowed: beta',
  ],
  [
    "a share and an override without candidate",
    (c) => delete c.routes[0].split.candidate,
    'routes[0].split.share: "10%" goes to nobody: the split has no candidate; name one or remove the share',
    'routes[0].split.overrides[0].to: "candidate" goes to nobody: the split has no candidate',
  ],
  [
    "a sticky source of two kinds",
    (c) => (c.routes[0].split.sticky = [{ header: "a", cookie: "b" }]),
    "routes[0].split.sticky[0]: has header and cookie; give exactly one of header, cookie, query, clientIp",
  ],
  [
    "a sticky source of no kind",
    (c) => (c.routes[0].split.sticky = [{}]),
    "routes[0].split.sticky[0]: has none; give exactly one of header, cookie, query, clientIp",
  ],
  [
    "a sticky source given twice",
    (c) => (c.routes[0].split.sticky = [{ header: "a" }, { header: "a" }]),
    "routes[0].split.sticky[1]: is given twice; keep one",
  ],
  [
    "a sticky source that is a word",
    (c) => (c.routes[0].split.sticky = ["header"]),
    'routes[0].split.sticky[0]: "header" must be a map',
  ],
  [
    "clientIp: false",
    (c) => (c.routes[0].split.sticky = [{ clientIp: false }]),
    "routes[0].split.sticky[0].clientIp: false must be true; remove the line instead",
  ],
  [
    "a wrong cookie name",
    (c) => (c.routes[0].split.sticky = [{ cookie: "a;b" }]),
    'routes[0].split.sticky[0].cookie: "a;b" is not a valid cookie name; use letters, digits, hyphens and underscores',
  ],
  [
    "onMissingKey with an unknown word",
    (c) => (c.routes[0].split.onMissingKey = "candidate"),
    'routes[0].split.onMissingKey: "candidate" is none of random, baseline, { setCookie: { name, maxAge } }',
  ],
  [
    "onMissingKey with an unknown key",
    (c) => (c.routes[0].split.onMissingKey = { cookie: "x" }),
    "routes[0].split.onMissingKey.setCookie: is required",
    "routes[0].split.onMissingKey.cookie: is not a known key; allowed: setCookie",
  ],
  [
    "a minted cookie with a wrong age",
    (c) => (c.routes[0].split.onMissingKey = { setCookie: { name: "cf", maxAge: "500d" } }),
    'routes[0].split.onMissingKey.setCookie.maxAge: "500d" is above 400d; allowed: 1s to 400d',
  ],
  [
    "a minted cookie without a name",
    (c) => (c.routes[0].split.onMissingKey = { setCookie: {} }),
    "routes[0].split.onMissingKey.setCookie.name: is required (cookie name)",
  ],
  ["an empty salt", (c) => (c.routes[0].split.salt = ""), 'routes[0].split.salt: "" must have 1 to 8192 characters'],
  [
    "a salt that is a number",
    (c) => (c.routes[0].split.salt = 2026),
    "routes[0].split.salt: 2026 must be text; put it in quotes",
  ],
  [
    "an override of no kind",
    (c) => (c.routes[0].split.overrides = [{ to: "baseline" }]),
    "routes[0].split.overrides[0]: has none; give exactly one of header, cookie, segment",
  ],
  [
    "an override with two headers",
    (c) => (c.routes[0].split.overrides = [{ header: { a: "x", b: "y" }, to: "baseline" }]),
    "routes[0].split.overrides[0].header: must have exactly one name and its value",
  ],
  [
    "an override with a wrong header value",
    (c) => (c.routes[0].split.overrides = [{ header: { a: "ü€" }, to: "baseline" }]),
    'routes[0].split.overrides[0].header.a: "ü€" has characters that no header can carry',
  ],
  [
    "an override with a wrong header name",
    (c) => (c.routes[0].split.overrides = [{ header: { "a b": "x" }, to: "baseline" }]),
    'routes[0].split.overrides[0].header["a b"]: is not a valid header name; use letters, digits and hyphens',
  ],
  [
    "an override with a wrong cookie name",
    (c) => (c.routes[0].split.overrides = [{ cookie: { "a b": "x" }, to: "baseline" }]),
    'routes[0].split.overrides[0].cookie["a b"]: is not a valid cookie name; use letters, digits, hyphens and underscores',
  ],
];

for (const [name, change, ...expected] of MISTAKES) {
  test(`${name}: exactly that is reported`, () => assert.deepEqual(toldOf(change), expected.sort()));
}

test("problems come in the order of the file, each with its line", () => {
  const text = [
    "listen: []",
    "upstreams: 5",
    "routes:",
    "  - name: a",
    "    split:",
    "      baseline: v1",
    "      shaer: 1%",
  ].join("\n");
  assert.deepEqual(
    problemsFrom(text).map(({ path, message }) => [path, /\(line (\d+)\)$/.exec(message)?.[1]]),
    [
      ["listen", "1"],
      ["upstreams", "2"],
      ["routes[0].split.baseline", "6"],
      ["routes[0].split.shaer", "7"],
    ],
  );
});

test("a place that has two faults of one kind is told once", () => {
  const config = goodConfig();
  config.routes[0].split.baseline = "${NOT_SET}";
  const places = problemsFrom(config).map(({ path }) => path);
  assert.deepEqual(places, ["routes[0].split.baseline"]);
});

const SECRETS = [
  ["a bearer token", "Bearer abc"],
  ["a long random word", "dGhpcyBpcyBhIHNlY3JldCB0b2tlbiEhMTIz"],
  ["a JWT", "eyJhbGciOiJI.eyJzdWIiOiIx.SflKxwRJSM_eK"],
  ["a well-known prefix", "ghp_abcdefghijklmnop"],
] as const;

for (const [name, value] of SECRETS) {
  test(`a wrong value that looks like ${name} is not printed`, () => {
    const config = goodConfig();
    config.routes[0].split.share = value;
    assert.equal(problemsFrom(config)[0]?.value, '"***"');
  });
}

test("a long value is cut", () => {
  const config = goodConfig();
  config.routes[0].split.share = "no share ".repeat(50);
  assert.ok((problemsFrom(config)[0]?.value.length ?? 0) < 90);
});

test("names that nothing uses and routes that are never reached are warned of, not refused", () => {
  const config = goodConfig();
  config.upstreams.v3 = { endpoints: ["http://h:1"] };
  config.segments.staff = { keys: ["x"] };
  config.routes.push(
    { name: "all", split: { baseline: "v1" } },
    { name: "never", match: { path: "/x" }, split: { baseline: "v1" } },
  );
  assert.deepEqual(warningsFrom(config), [
    "upstreams.v3 is used by no route",
    "segments.staff is used by no route",
    'route "all" takes every request: the 1 after it is never reached',
  ]);
});

test("a map with a key `length` where a list belongs is told to be one, whatever its value", () => {
  for (const length of ["{}", "5", "x"]) {
    const result = parseConfig(`listen: { length: ${length} }\nupstreams: {}\nroutes: { length: ${length} }\n`, {
      format: "yaml",
      env: {},
    });
    assert.equal(result.ok, false);
    const told = result.ok ? [] : result.problems.map(({ path }) => path);
    assert.deepEqual([told.includes("listen"), told.includes("routes")], [true, true], length);
  }
});
