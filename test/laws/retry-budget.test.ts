import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { RetryBudget } from "../../src/policy/retry-budget.ts";

function takeAll(budget: RetryBudget): number {
  let taken = 0;
  while (taken < 10_000 && budget.tryRetry()) taken++;
  return taken;
}

test("three retries may always be under way, even with a budget of nothing", () => {
  assert.equal(takeAll(new RetryBudget(0)), 3);
  assert.equal(takeAll(new RetryBudget(200_000)), 3);
});

test("a fifth of a hundred requests is twenty retries, and what comes back can be taken again", () => {
  const budget = new RetryBudget(200_000);
  for (let i = 0; i < 100; i++) budget.started();
  assert.equal(takeAll(budget), 20);
  budget.retryFinished();
  assert.equal(takeAll(budget), 1);
  for (let i = 0; i < 100; i++) budget.finished();
  assert.equal(budget.tryRetry(), false, "those that are under way count against the smaller budget");
});

test("ends without a beginning leave no debt", () => {
  const budget = new RetryBudget(1_000_000);
  for (let i = 0; i < 10; i++) {
    budget.finished();
    budget.retryFinished();
  }
  for (let i = 0; i < 20; i++) budget.started();
  assert.equal(takeAll(budget), 20);
});

const anyStep = fc.constantFrom("started", "finished", "try", "retryFinished");

test("over any sequence of events a place is given exactly while fewer retries are under way than may be", () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 1_000_000 }), fc.array(anyStep, { maxLength: 300 }), (ppm, steps) => {
      const budget = new RetryBudget(ppm);
      let requests = 0;
      let retries = 0;
      for (const step of steps) {
        // More ends than beginnings are among the sequences, and must not become a debt.
        if (step === "started") budget.started();
        else if (step === "finished") budget.finished();
        else if (step === "retryFinished") budget.retryFinished();
        else {
          const given = budget.tryRetry();
          assert.equal(given, retries < Math.max(3, (ppm / 1_000_000) * requests) - 1e-9, `${retries} of ${requests}`);
          if (given) retries++;
        }
        if (step === "started") requests++;
        if (step === "finished") requests = Math.max(0, requests - 1);
        if (step === "retryFinished") retries = Math.max(0, retries - 1);
      }
    }),
    { numRuns: 500 },
  );
});

test("when every try fails, retries add no more than the budget to the load", () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 500_000 }), fc.integer({ min: 1, max: 2_000 }), (ppm, requests) => {
      const budget = new RetryBudget(ppm);
      for (let i = 0; i < requests; i++) budget.started();
      const retries = takeAll(budget);
      assert.ok(retries <= Math.max(3, Math.ceil((requests * ppm) / 1_000_000)), `${retries} for ${requests}`);
    }),
  );
});
