import assert from "node:assert/strict";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { Debounce } from "../../src/control/debounce.ts";

function counting(t: TestContext): { readonly debounce: Debounce; calls(): number } {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  let calls = 0;
  const debounce = new Debounce(100, 500, () => calls++);
  return { debounce, calls: () => calls };
}

test("a trigger leads to one call after the quiet time", (t) => {
  const { debounce, calls } = counting(t);
  debounce.trigger();
  t.mock.timers.tick(99);
  assert.equal(calls(), 0);
  t.mock.timers.tick(1);
  assert.equal(calls(), 1);
  t.mock.timers.tick(10_000);
  assert.equal(calls(), 1);
});

test("a burst leads to one call after its last trigger", (t) => {
  const { debounce, calls } = counting(t);
  for (let i = 0; i < 40; i++) {
    debounce.trigger();
    t.mock.timers.tick(10);
  }
  assert.equal(calls(), 0);
  t.mock.timers.tick(90);
  assert.equal(calls(), 1);
});

test("triggers that never pause lead to a call each longest wait", (t) => {
  const { debounce, calls } = counting(t);
  for (let i = 0; i < 99; i++) {
    debounce.trigger();
    t.mock.timers.tick(10);
  }
  assert.equal(calls(), 1);
  t.mock.timers.tick(500);
  assert.equal(calls(), 2);
});

test("a cancelled trigger leads to nothing, and the next counts anew", (t) => {
  const { debounce, calls } = counting(t);
  debounce.trigger();
  debounce.cancel();
  debounce.cancel();
  t.mock.timers.tick(1000);
  assert.equal(calls(), 0);
  debounce.trigger();
  t.mock.timers.tick(100);
  assert.equal(calls(), 1);
});
