import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { configFrom, goodConfig } from "../support/config-text.ts";

const source = readFileSync(new URL("../../src/model/snapshot.ts", import.meta.url), "utf8");

/** Field → default as its doc comment says it. */
function documented(interfaceName: string): ReadonlyMap<string, string> {
  const [, body] = new RegExp(`export interface ${interfaceName} [^{]*\\{\\n([\\s\\S]*?)\\n\\}`).exec(source) ?? [];
  assert.ok(body !== undefined, `${interfaceName} is in snapshot.ts`);
  const fields = body.matchAll(
    /\/\*\*(?:(?!\*\/)[\s\S])*?\bDefault:? ([^.;,*=]+?)(?: = off)?[.;,].*?\*\/\n {2}readonly (\w+):/g,
  );
  return new Map([...fields].map(([, value = "", name = ""]) => [name, value.trim()]));
}

function asText(value: unknown): string {
  return typeof value === "number" ? String(value).replace(/\B(?=(\d{3})+$)/g, " ") : String(value);
}

function emptySections(): Readonly<Record<string, object | null | undefined>> {
  const config = goodConfig();
  Object.assign(config.upstreams.v1, { health: { tcp: {} }, circuitBreaker: {}, outlierDetection: {} });
  config.routes[0].retry = {};
  const { upstreams, routes, overload } = configFrom(config);
  return {
    HealthSpec: upstreams[0]?.health,
    CircuitBreakerSpec: upstreams[0]?.circuitBreaker,
    OutlierDetectionSpec: upstreams[0]?.outlierDetection,
    RetrySpec: routes[0]?.retry,
    RouteSpec: routes[0],
    OverloadSpec: overload,
  };
}

const LEAST = {
  HealthSpec: 8,
  CircuitBreakerSpec: 11,
  OutlierDetectionSpec: 7,
  RetrySpec: 4,
  RouteSpec: 1,
  OverloadSpec: 3,
} as const;

for (const [name, least] of Object.entries(LEAST)) {
  test(`an empty section has every default that ${name} documents`, () => {
    const given = emptySections()[name] as Readonly<Record<string, unknown>>;
    const defaults = documented(name);
    assert.ok(defaults.size >= least, [...defaults.keys()].join(", "));
    for (const [field, value] of defaults) {
      const meant = Object.hasOwn(given, value) ? asText(given[value]) : value;
      assert.equal(asText(given[field]), meant, field);
    }
  });
}
