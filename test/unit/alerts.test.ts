import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { parse } from "yaml";
import { FAMILIES } from "../../src/telemetry/metrics.ts";

interface Rule {
  readonly alert: string;
  readonly expr: string;
  readonly for: string;
  readonly labels: { readonly severity: string };
  readonly annotations: { readonly summary: string; readonly action: string };
}

interface RuleTest {
  readonly alertname: string;
  readonly exp_alerts: readonly unknown[];
}

function read(name: string): unknown {
  return parse(readFileSync(new URL(`../../deploy/prometheus/${name}`, import.meta.url), "utf8"));
}

const { groups } = read("alerts.yaml") as { readonly groups: readonly { readonly rules: readonly Rule[] }[] };
const rules = groups.flatMap((group) => group.rules);
const { tests } = read("alerts.test.yaml") as {
  readonly tests: readonly { readonly alert_rule_test: readonly RuleTest[] }[];
};
const cases = tests.flatMap((one) => one.alert_rule_test);

test("the alerts of the plan are there, each once", () => {
  const names = rules.map(({ alert }) => alert);
  assert.equal(new Set(names).size, names.length);
  for (const name of ["CircuitBreakerOpenTooLong", "HighFallbackRate", "HealthCheckFailureSpike"]) {
    assert.ok(names.includes(name), name);
  }
});

for (const rule of rules) {
  test(`${rule.alert} asks for metrics and labels that exist`, () => {
    const uses = [...rule.expr.matchAll(/(crossfade_[a-z_]+)(?:\{([^}]*)\})?/g)];
    assert.ok(uses.length > 0);
    for (const [, name, matchers = ""] of uses) {
      const family = FAMILIES.find((one) => one.name === name) ?? assert.fail(`there is no ${name}`);
      for (const [, label = ""] of matchers.matchAll(/([a-z_]+)(?:=~|!~|!=|=)/g)) {
        assert.ok(family.labels.includes(label), `${name} has no label ${label}`);
      }
    }
  });

  test(`${rule.alert} waits before it fires, and says what is wrong and what to do`, () => {
    assert.match(rule.for, /^\d+m$/);
    assert.match(rule.labels.severity, /^(critical|warning)$/);
    assert.match(rule.annotations.summary, /^[A-Z{].*\.$/);
    assert.ok(rule.annotations.action.length > 40);
  });

  test(`${rule.alert} is tested both ways: that it fires and that it does not`, () => {
    const own = cases.filter(({ alertname }) => alertname === rule.alert);
    assert.ok(own.some(({ exp_alerts: expected }) => expected.length === 0));
    assert.ok(own.some(({ exp_alerts: expected }) => expected.length > 0));
  });
}
