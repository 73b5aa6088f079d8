import assert from "node:assert/strict";
import { test } from "node:test";
import type { AccessLogSpec } from "../../src/model/snapshot.ts";
import { accessTarget, causeText, MAX_TEXT_LENGTH, shouldLog } from "../../src/telemetry/access-log.ts";

function spec(mode: AccessLogSpec["mode"], ppm = 0): AccessLogSpec {
  return { mode, ppm };
}

const never = (): number => assert.fail("chance is not asked");

test("mode none logs nothing and mode all everything, without asking chance", () => {
  assert.equal(shouldLog(spec("none"), 500, true, never), false);
  assert.equal(shouldLog(spec("all"), 200, false, never), true);
});

test("mode errors logs every status from 400, and answers that failed after their head", () => {
  const errors = spec("errors");
  for (const status of [400, 404, 499, 500, 599]) assert.equal(shouldLog(errors, status, false, never), true);
  for (const status of [101, 200, 304, 399]) assert.equal(shouldLog(errors, status, false, never), false);
  assert.equal(shouldLog(errors, 200, true, never), true);
});

test("mode share logs every error and that part of the rest", () => {
  const tenth = spec("share", 100_000);
  assert.equal(shouldLog(tenth, 503, false, never), true);
  assert.equal(shouldLog(tenth, 200, true, never), true);
  assert.equal(
    shouldLog(tenth, 200, false, () => 0.0999999),
    true,
  );
  assert.equal(
    shouldLog(tenth, 200, false, () => 0.1),
    false,
  );
  assert.equal(
    shouldLog(spec("share", 0), 200, false, () => 0),
    false,
  );
  assert.equal(
    shouldLog(spec("share", 1_000_000), 200, false, () => 0.999999999),
    true,
  );
});

test("the query is left out of the logged target, unless asked for", () => {
  assert.equal(accessTarget("/login?password=x#?"), "/login");
  assert.equal(accessTarget("/a?b=1", true), "/a?b=1");
  assert.equal(accessTarget("/plain"), "/plain");
  assert.equal(accessTarget("*"), "*");
  assert.equal(accessTarget("?"), "");
});

test("a long target is cut and marked", () => {
  const cut = accessTarget(`/${"a".repeat(5_000)}`);
  assert.equal(cut.length, MAX_TEXT_LENGTH + 1);
  assert.ok(cut.endsWith("…"));
});

test("a cause becomes one text, an error's code first", () => {
  assert.equal(causeText(null), null);
  assert.equal(causeText(undefined), null);
  assert.equal(causeText("said so"), "said so");
  assert.equal(causeText(new Error("plain")), "plain");
  const refused = Object.assign(new Error("connect failed"), { code: "ECONNREFUSED" });
  assert.equal(causeText(refused), "ECONNREFUSED: connect failed");
  const spoken = Object.assign(new Error("connect ECONNREFUSED 127.0.0.1:1"), { code: "ECONNREFUSED" });
  assert.equal(causeText(spoken), "connect ECONNREFUSED 127.0.0.1:1");
  const many = Object.assign(new AggregateError([refused, spoken]), { code: "ECONNREFUSED" });
  assert.equal(causeText(many), "ECONNREFUSED: ");
  assert.equal(causeText(new TypeError("odd")), "TypeError: odd");
});

test("a cause that is no error is shown as it looks, even one that JSON cannot say", () => {
  const cyclic: { limit: number; self?: unknown } = { limit: 3 };
  cyclic.self = cyclic;
  for (const cause of [{ limit: 3 }, cyclic, 3n, Symbol("s"), (): number => 1]) {
    const text = causeText(cause);
    assert.ok(text !== null && text.length > 0 && !text.includes("\n"));
  }
  assert.equal(causeText({ limit: 3 }), "{ limit: 3 }");
});
