import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { routeTableFrom } from "../../src/model/route-table.ts";
import type { MatchSpec } from "../../src/model/snapshot.ts";
import { normalisePath, parseTarget } from "../../src/model/target.ts";
import { headOf } from "../support/heads.ts";

const segment = fc.constantFrom("", "a", "b", "api", "x");
const path = fc
  .array(segment, { maxLength: 4 })
  .map((segments) => `/${segments.filter((text) => text !== "").join("/")}`);
const method = fc.constantFrom("GET", "POST");
const host = fc.constantFrom("a.test", "b.test", "x.a.test");
const none = { path: null, pathPrefix: null, pathRegex: null, host: null, methods: null, headers: null };

const match: fc.Arbitrary<MatchSpec> = fc
  .record({
    where: fc.oneof(
      path.map((text) => ({ path: text })),
      path.map((text) => ({ pathPrefix: text })),
      fc.constantFrom("^/a", "b$", "/api/").map((text) => ({ pathRegex: text })),
      fc.constant({}),
    ),
    methods: fc.option(fc.subarray(["GET", "POST"], { minLength: 1 })),
    host: fc.option(fc.oneof(host, fc.constant("*.a.test"))),
    headers: fc.option(fc.constantFrom({ "x-tenant": "acme" }, { "X-Tenant": "other" })),
  })
  .map(({ where, ...rest }) => ({ ...none, ...where, ...rest }));

/** The meaning of a route table, as slowly as one likes. */
function firstMatch(
  matches: readonly MatchSpec[],
  call: { path: string; method: string; host: string; tenant: string },
): number {
  return matches.findIndex((rule) => {
    if (rule.path !== null && rule.path !== call.path) return false;
    if (rule.pathPrefix !== null && !call.path.startsWith(rule.pathPrefix)) return false;
    if (rule.pathRegex !== null && !new RegExp(rule.pathRegex).test(call.path)) return false;
    if (rule.methods !== null && !rule.methods.includes(call.method)) return false;
    if (rule.host?.startsWith("*.") && !call.host.endsWith(rule.host.slice(1))) return false;
    if (rule.host !== null && !rule.host.startsWith("*.") && rule.host !== call.host) return false;
    return Object.values(rule.headers ?? {}).every((value) => value === call.tenant);
  });
}

test("the table finds the first match in config order, as trying one by one would", () => {
  const call = fc.record({ path, method, host, tenant: fc.constantFrom("acme", "other", "") });
  fc.assert(
    fc.property(fc.array(match, { maxLength: 12 }), call, (matches, asked) => {
      const head = headOf({
        method: asked.method,
        target: asked.path,
        headers: ["host", asked.host, "X-Tenant", asked.tenant],
      });
      const target = parseTarget(asked.path, asked.method);
      assert.ok(target !== null);
      const found = routeTableFrom(matches).match(head, target, `${asked.host.toUpperCase()}:8080`);
      assert.equal(found, firstMatch(matches, { ...asked, path: target.path }));
    }),
  );
});

test("normalising a path a second time changes nothing", () => {
  const piece = fc.constantFrom("/", "a", ".", "..", "%2e", "%2F", "%61", "\\", "%5c", ";", "+", "%25");
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 10 }), (pieces) => {
      const once = normalisePath(`/${pieces.join("")}`);
      if (once === null) return;
      // A decoded percent sign would be read as an escape again; it stays escaped for this very reason.
      assert.equal(normalisePath(once), once);
    }),
  );
});
