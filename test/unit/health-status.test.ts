import assert from "node:assert/strict";
import { test } from "node:test";
import { GATE_WORDS, gateStride } from "../../src/base/gates.ts";
import { EndpointStatus } from "../../src/control/endpoint-status.ts";

const GATE = 2;
const THREADS = 3;

function openStatus(nowMs: number): {
  readonly status: EndpointStatus;
  readonly backSince: () => number;
  readonly written: () => readonly number[];
} {
  const gates = new Int32Array(new SharedArrayBuffer(4 * gateStride(THREADS) * 4));
  const status = new EndpointStatus(gates, THREADS, { nowMs: () => nowMs, wallMs: () => 0 });
  const row = GATE * gateStride(THREADS);
  return {
    status,
    backSince: () => gates[row + GATE_WORDS.backSince] as number,
    written: () => [...gates.entries()].filter(([, word]) => word !== 0).map(([index]) => index - row),
  };
}

test("health and ejection share a word and do not disturb each other", () => {
  const { status, written } = openStatus(77);
  status.setEjected(GATE, true);
  status.setHealth(GATE, "unhealthy");
  assert.deepEqual([status.health(GATE), status.ejected(GATE)], ["unhealthy", true]);
  status.setEjected(GATE, false);
  assert.deepEqual([status.health(GATE), status.ejected(GATE)], ["unhealthy", false]);
  assert.deepEqual(written(), [GATE_WORDS.status]);
});

test("an endpoint that comes back from unhealthy or ejected is back since now", () => {
  for (const away of ["unhealthy", "ejected"] as const) {
    const { status, backSince } = openStatus(1_234.9);
    status.setHealth(GATE, away === "unhealthy" ? "unhealthy" : "healthy");
    status.setEjected(GATE, away === "ejected");
    assert.equal(backSince(), 0);
    status.setEjected(GATE, false);
    status.setHealth(GATE, "healthy");
    assert.equal(backSince(), 1_234);
  }
});

test("an endpoint that is ejected and unhealthy is back only when it is neither", () => {
  const { status, backSince } = openStatus(5_000);
  status.setHealth(GATE, "unhealthy");
  status.setEjected(GATE, true);
  status.setHealth(GATE, "healthy");
  assert.equal(backSince(), 0);
  status.setEjected(GATE, false);
  assert.equal(backSince(), 5_000);
});

test("the first pass of an unknown endpoint is no return", () => {
  const { status, backSince } = openStatus(5_000);
  status.setHealth(GATE, "unknown");
  status.setHealth(GATE, "healthy");
  assert.equal(backSince(), 0);
});

test("a return at an instant that is 0 in 32 bits is not taken for none", () => {
  const { status, backSince } = openStatus(2 ** 32);
  status.setHealth(GATE, "unhealthy");
  status.setHealth(GATE, "healthy");
  assert.equal(backSince(), 1);
});

test("an instant beyond 31 bits is cut, not refused", () => {
  const { status, backSince } = openStatus(2 ** 31 + 5.5);
  status.setHealth(GATE, "unhealthy");
  status.setHealth(GATE, "unchecked");
  assert.equal(backSince(), -(2 ** 31) + 5);
});
