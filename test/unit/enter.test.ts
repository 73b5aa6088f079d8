import assert from "node:assert/strict";
import { test } from "node:test";
import type { Decision } from "../../src/model/decide.ts";
import type { CircuitBreakerSpec } from "../../src/model/snapshot.ts";
import { enter, enterArm, type Entrant } from "../../src/proxy/enter.ts";
import type { Plan } from "../../src/proxy/plan.ts";
import { plannedArm, plannedGates, setHealth } from "../support/planned-arms.ts";
import { CIRCUIT_RULES } from "../support/planned-upstreams.ts";

const RULES: CircuitBreakerSpec = { ...CIRCUIT_RULES, consecutiveFailures: 1, openMs: 1_000, slowStartMs: 10_000 };

function setUp() {
  const gates = plannedGates(2);
  const baseline = plannedArm(gates, { role: "baseline", row: 0, health: {}, circuitBreaker: RULES });
  const candidate = plannedArm(gates, { role: "candidate", row: 1, health: {}, circuitBreaker: RULES });
  setHealth(gates, 0, 0, "healthy");
  setHealth(gates, 1, 0, "healthy");
  const plan = { baseline, candidate, lastPpm: 500_000, lastKilled: false } as unknown as Plan;
  return { gates, baseline, candidate, plan };
}

function entrant(): Entrant {
  return { plan: null, decision: null, arm: null, ticket: 0 };
}

const TO_CANDIDATE: Decision = { arm: "candidate", reason: "bucket", bucket: 100_000, key: "k", mintedKey: "m" };
const TO_BASELINE: Decision = { ...TO_CANDIDATE, arm: "baseline", bucket: 700_000 };

function trip({ gate }: { readonly gate: ReturnType<typeof plannedArm>["gate"] }, nowMs: number): void {
  gate?.circuit?.trip(nowMs);
}

test("the arm of the decision is entered when it is well", () => {
  const { plan, baseline, candidate } = setUp();
  for (const [decision, arm] of [
    [TO_CANDIDATE, candidate],
    [TO_BASELINE, baseline],
  ] as const) {
    const who = entrant();
    assert.equal(enter(who, plan, decision, 1), null);
    assert.equal(who.arm, arm);
    assert.equal(who.decision, decision);
  }
});

for (const [what, spoil, reason] of [
  ["is unhealthy", ({ gates }) => setHealth(gates, 1, 0, "unhealthy"), "unhealthy"],
  ["was never checked", ({ gates }) => setHealth(gates, 1, 0, "unknown"), "unhealthy"],
  ["has an open circuit", ({ candidate }) => trip(candidate, 1), "circuit-open"],
] as const satisfies readonly (readonly [string, (bench: ReturnType<typeof setUp>) => void, string])[]) {
  test(`when the candidate ${what} the baseline serves, and the key of the caller stays`, () => {
    const it = setUp();
    spoil(it);
    const who = entrant();
    assert.equal(enter(who, it.plan, TO_CANDIDATE, 2), null);
    assert.equal(who.arm, it.baseline);
    assert.deepEqual(who.decision, { ...TO_CANDIDATE, arm: "baseline", reason });
  });
}

test("when neither is well the refusal is that of the baseline, and no ticket is held", () => {
  const it = setUp();
  trip(it.candidate, 1);
  trip(it.baseline, 1);
  const who = entrant();
  assert.equal(enter(who, it.plan, TO_CANDIDATE, 2), "circuit-open");
  assert.deepEqual([who.arm, who.ticket], [it.baseline, 0]);
  setHealth(it.gates, 0, 0, "unhealthy");
  assert.equal(enter(entrant(), it.plan, TO_CANDIDATE, 2), "no-healthy-upstream");
});

test("a probe carries its ticket, and who comes behind it is served by the baseline", () => {
  const it = setUp();
  trip(it.candidate, 1);
  const probe = entrant();
  assert.equal(enter(probe, it.plan, TO_CANDIDATE, 2_000), null);
  assert.equal(probe.arm, it.candidate);
  assert.equal(it.candidate.gate?.circuit?.isProbe(probe.ticket), true);
  const next = entrant();
  enter(next, it.plan, TO_CANDIDATE, 2_000);
  assert.deepEqual([next.arm, next.decision?.reason], [it.baseline, "circuit-open"]);
});

/** A candidate whose circuit closed at 2 000. */
function comingBack() {
  const it = setUp();
  trip(it.candidate, 1);
  const probe = entrant();
  enter(probe, it.plan, TO_CANDIDATE, 2_000);
  it.candidate.gate?.circuit?.report(probe.ticket, "success", false, 2_000);
  return it;
}

test("in slow start callers come back in the order of their buckets, and stay", () => {
  const it = comingBack();
  const back = new Set<number>();
  const sizes: number[] = [];
  for (let nowMs = 2_001; nowMs <= 12_500; nowMs += 500) {
    for (let bucket = 0; bucket < 500_000; bucket += 10_000) {
      const who = entrant();
      enter(who, it.plan, { ...TO_CANDIDATE, bucket }, nowMs);
      const isThere = who.arm === it.candidate;
      assert.ok(isThere || !back.has(bucket), `${bucket} went back at ${nowMs}`);
      if (isThere) back.add(bucket);
      else assert.equal(who.decision?.reason, "slow-start");
      it.candidate.gate?.circuit?.report(who.ticket, "success", false, nowMs);
    }
    sizes.push(back.size);
  }
  assert.ok((sizes[0] as number) <= 3, "few at first");
  assert.equal(sizes.at(-1), 50, "all in the end");
});

test("who is sent to the candidate by an override does not wait for its slow start", () => {
  const it = comingBack();
  const who = entrant();
  enter(who, it.plan, { ...TO_CANDIDATE, reason: "override", bucket: -1 }, 2_001);
  assert.equal(who.arm, it.candidate);
});

test("a route without a candidate never asks for one", () => {
  const { plan, baseline } = setUp();
  const who = entrant();
  assert.equal(enter(who, { ...plan, candidate: null }, TO_CANDIDATE, 1), null);
  assert.equal(who.arm, baseline);
});

test("an arm without a gate is entered with no ticket", () => {
  const { baseline } = setUp();
  const who = entrant();
  assert.equal(enterArm(who, { ...baseline, gate: null }, 1), null);
  assert.equal(who.ticket, 0);
});
