import assert from "node:assert/strict";
import { test } from "node:test";
import type { Health } from "../../src/base/gates.ts";
import { CIRCUIT_OPEN, NO_TICKET, refusalKind, UNHEALTHY, type Gate } from "../../src/proxy/gate.ts";
import { plannedArm, plannedGates, setHealth, type PlannedArm } from "../support/planned-arms.ts";
import { CIRCUIT_RULES } from "../support/planned-upstreams.ts";

/** The gate of an arm that has something to ask. */
function gateOf(gates: Int32Array, planned: PlannedArm): Gate {
  return plannedArm(gates, planned).gate ?? assert.fail("it has a gate");
}

const RULES = { ...CIRCUIT_RULES, consecutiveFailures: 1 };

test("an arm with neither health checks nor a circuit has no gate", () => {
  assert.equal(plannedArm(plannedGates(1), { role: "candidate", row: 0 }).gate, null);
});

for (const role of ["baseline", "candidate", "fallback"] as const) {
  for (const [health, admitted] of [
    ["healthy", true],
    ["unchecked", true],
    ["unknown", role !== "candidate"],
    ["unhealthy", false],
  ] as const satisfies readonly (readonly [Health, boolean])[]) {
    test(`a ${role} whose endpoint is ${health} is ${admitted ? "asked" : "not asked"}`, () => {
      const gates = plannedGates(1);
      const gate = gateOf(gates, { role, row: 0, health: {} });
      setHealth(gates, 0, 0, health);
      assert.equal(gate.admit(1), admitted ? NO_TICKET : UNHEALTHY);
      assert.equal(gate.mayAdmit(1), admitted);
    });
  }
}

test("one healthy endpoint of three is enough", () => {
  const gates = plannedGates(1);
  const gate = gateOf(gates, { role: "candidate", row: 0, health: {}, endpoints: 3 });
  for (const endpoint of [0, 1, 2]) setHealth(gates, 0, endpoint, "unhealthy");
  assert.equal(gate.admit(1), UNHEALTHY);
  setHealth(gates, 0, 2, "healthy");
  assert.equal(gate.admit(1), NO_TICKET);
});

test("in a panic the baseline is asked all the same, and the candidate never", () => {
  const gates = plannedGates(1);
  for (const [role, answer] of [
    ["baseline", NO_TICKET],
    ["fallback", NO_TICKET],
    ["candidate", UNHEALTHY],
  ] as const) {
    const gate = gateOf(gates, { role, row: 0, health: { panic: "send" } });
    setHealth(gates, 0, 0, "unhealthy");
    assert.equal(gate.admit(1), answer, role);
  }
});

test("an open circuit refuses, and takes no permit of an unhealthy upstream", () => {
  const gates = plannedGates(1);
  const gate = gateOf(gates, { role: "baseline", row: 0, health: {}, circuitBreaker: RULES });
  setHealth(gates, 0, 0, "healthy");
  const ticket = gate.admit(1_000);
  gate.circuit?.report(ticket, "failure", false, 1_000);
  assert.equal(gate.admit(1_001), CIRCUIT_OPEN);
  assert.equal(gate.mayAdmit(1_001), false);
  setHealth(gates, 0, 0, "unhealthy");
  assert.equal(gate.admit(40_000), UNHEALTHY);
  assert.equal(gate.circuit?.reading(40_000).probes, 0);
});

test("to ask takes no permit, and one that is given back can be taken again", () => {
  const gates = plannedGates(1);
  const gate = gateOf(gates, { role: "baseline", row: 0, circuitBreaker: RULES });
  gate.circuit?.report(gate.admit(1_000), "failure", false, 1_000);
  for (let i = 0; i < 5; i++) assert.equal(gate.mayAdmit(40_000), true);
  const probe = gate.admit(40_000);
  assert.ok(probe >= 0);
  assert.equal(gate.admit(40_000), CIRCUIT_OPEN);
  gate.giveBack(probe, 40_001);
  assert.ok(gate.admit(40_002) >= 0);
});

test("a refusal has a name", () => {
  assert.deepEqual([refusalKind(CIRCUIT_OPEN), refusalKind(UNHEALTHY)], ["circuit-open", "no-healthy-upstream"]);
});
