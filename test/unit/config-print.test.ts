import assert from "node:assert/strict";
import { test } from "node:test";
import { textFromPath } from "../../src/config/issue.ts";
import { effectiveConfig, formatProblems } from "../../src/config/print.ts";
import { configFrom, goodConfig } from "../support/config-text.ts";

test("problems are printed one per line, aligned, with a count", () => {
  const text = formatProblems([
    { path: "listen", value: "", message: "is required" },
    { path: "routes[2].split.share", value: '"120%"', message: "is above 100% (line 9)" },
    { path: "", value: "/etc/x.yaml", message: "does not exist" },
    { path: `segments["${"x".repeat(60)}"]`, value: "", message: "has nobody in it" },
  ]);
  assert.equal(
    text,
    [
      "  listen:                is required",
      '  routes[2].split.share: "120%" is above 100% (line 9)',
      "  /etc/x.yaml does not exist",
      `  segments["${"x".repeat(60)}"]: has nobody in it`,
      "4 problems",
      "",
    ].join("\n"),
  );
  assert.match(formatProblems([{ path: "a", value: "", message: "b" }]), /\n1 problem\n$/);
});

test("paths are printed so that they can be found again", () => {
  assert.equal(textFromPath(["routes", 0, "match", "headers", "x-a"]), "routes[0].match.headers.x-a");
  assert.equal(textFromPath(["upstreams", "v2.1", "pool"]), 'upstreams["v2.1"].pool');
  assert.equal(textFromPath([]), "config");
});

test("the effective config has every default written out, in the words of the file", () => {
  const source = goodConfig();
  source.admin = { address: "127.0.0.1:9901", tokenFile: "/run/token" };
  source.metrics = { address: "[::1]:9464" };
  source.listen[0].tls = { cert: "/crt", key: "/key" };
  source.upstreams.v1 = { endpoints: ["https://h"], tls: { ca: "/ca" }, health: { grpc: {} } };
  source.upstreams.v2 = { endpoints: ["http+unix:///run/v2.sock"], circuitBreaker: {} };
  source.routes[0].readPreference = "fastest";
  const effective = effectiveConfig(configFrom(source));
  assert.deepEqual(effective["admin"], { address: "127.0.0.1:9901", tokenFile: "/run/token" });
  assert.deepEqual(effective["metrics"], { address: "[::1]:9464", bucketsPerDoubling: 1 });
  assert.deepEqual(effective["listen"], [{ address: "127.0.0.1:8080", tls: { cert: "/crt", key: "/key" } }]);
  assert.deepEqual(effective["log"], { level: "info", access: "errors" });
  assert.deepEqual(effective["overload"], { eventLoopLag: "200ms", heap: "90%", maxInFlight: 0 });
  const { v1, v2 } = effective["upstreams"] as Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  assert.deepEqual(v1?.["health"], {
    grpc: { service: "", watch: true, unimplemented: "unhealthy" },
    interval: "5s",
    unhealthyInterval: "1s",
    timeout: "1s",
    jitter: "15%",
    unhealthyThreshold: 3,
    healthyThreshold: 2,
    believeExplicit: true,
    panic: "refuse",
  });
  assert.deepEqual(v2?.["endpoints"], ["http+unix:///run/v2.sock"]);
  assert.equal((v2["circuitBreaker"] as Readonly<Record<string, unknown>>)["openFor"], "30s");
  const [route] = effective["routes"] as readonly Readonly<Record<string, unknown>>[];
  assert.deepEqual([route?.["priority"], route?.["readPreference"], route?.["fallback"]], ["normal", "fastest", []]);
  assert.deepEqual(JSON.parse(JSON.stringify(effective)), effective);
});

test("values of headers and cookies that may be secrets are masked", () => {
  const source = goodConfig();
  source.routes[0].match.headers = { authorization: "Basic x", cookie: "id=1", "x-tenant": "acme" };
  source.routes[0].split.overrides = [
    { header: { "x-api-key": "k" }, to: "candidate" },
    { cookie: { "session-token": "s" }, to: "candidate" },
    { header: { "x-crossfade-force": "v2" }, to: "candidate" },
  ];
  source.upstreams.v1.health = { http: { path: "/", headers: { Authorization: "Basic y" } } };
  source.routes[0].fallback = [{ static: { headers: { "Set-Cookie": "id=2" } } }];
  const text = JSON.stringify(effectiveConfig(configFrom(source)));
  assert.ok(!text.includes("Basic y") && !text.includes("id=2"), text);
  assert.ok(
    !text.includes("Basic x") && !text.includes("id=1") && !text.includes('"k"') && !text.includes('"s"'),
    text,
  );
  assert.ok(text.includes("acme") && text.includes('"v2"'));
});
