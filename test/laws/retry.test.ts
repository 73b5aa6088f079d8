import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { RETRY_CONDITIONS, RETRY_REASONS } from "../../src/base/cells.ts";
import { FAILURE_KINDS, FAILURES } from "../../src/base/failure.ts";
import type { RetryConditions, RetrySpec } from "../../src/model/snapshot.ts";
import { RetryBudget } from "../../src/policy/retry-budget.ts";
import {
  conditionsOfFailure,
  mayRepeat,
  reasonForAnswer,
  reasonForFailure,
  type RepeatFacts,
} from "../../src/policy/retry.ts";
import { RETRY_SPEC } from "../support/retry-facts.ts";

const GRPC_REASONS: readonly string[] = [
  "cancelled",
  "deadline-exceeded",
  "internal",
  "resource-exhausted",
  "unavailable",
];
const IDEMPOTENT: readonly string[] = ["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"];

const anyConditions: fc.Arbitrary<RetryConditions> = fc.record({
  on: fc.subarray([...RETRY_CONDITIONS]),
  statuses: fc.uniqueArray(fc.integer({ min: 300, max: 599 }), { maxLength: 4 }),
});

const anyStatus = fc.oneof(fc.integer({ min: 200, max: 599 }), fc.constantFrom(409, 500, 502, 503, 504));
const anyGrpcStatus = fc.option(fc.integer({ min: 0, max: 16 }));

const anySpec: fc.Arbitrary<RetrySpec> = fc
  .record({
    attempts: fc.integer({ min: 1, max: 10 }),
    backoff: fc.record({
      initialMs: fc.integer({ min: 0, max: 1_000 }),
      maxMs: fc.integer({ min: 0, max: 60_000 }),
      multiplierMilli: fc.integer({ min: 1_000, max: 10_000 }),
    }),
    maxRetryAfterMs: fc.integer({ min: 0, max: 300_000 }),
    idempotencyKey: fc.boolean(),
  })
  .map((part) => ({ ...RETRY_SPEC, ...part }));

const anyFacts: fc.Arbitrary<RepeatFacts> = fc.record({
  reason: fc.option(fc.constantFrom(...RETRY_REASONS)),
  failure: fc.option(fc.constantFrom(...FAILURE_KINDS)),
  sent: fc.boolean(),
  method: fc.constantFrom(...IDEMPOTENT, "POST", "PATCH", "PURGE"),
  hasIdempotencyKey: fc.boolean(),
  committed: fc.boolean(),
  attempts: fc.integer({ min: 1, max: 10 }),
  bodyIsWhole: fc.boolean(),
  retryAfterMs: fc.option(fc.integer({ min: 0, max: 300_000 })),
  remainingMs: fc.option(fc.integer({ min: -1_000, max: 60_000 })),
  armIsOpen: fc.boolean(),
});

/** Facts of which nearly all speak for a retry, so that the laws about retries see many. */
const goodFacts: fc.Arbitrary<RepeatFacts> = fc
  .tuple(anyFacts, fc.constantFrom("connect-failure", "upstream-reset", "head-timeout", null))
  .map(([facts, failure]) => ({
    ...facts,
    failure,
    reason: facts.reason ?? "5xx",
    committed: false,
    attempts: Math.ceil(facts.attempts / 5),
    bodyIsWhole: true,
    armIsOpen: true,
  }));

const anyChance = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });

test("the order in which conditions are configured changes nothing", () => {
  const shuffled = anyConditions.chain((conditions) =>
    fc.tuple(
      fc.constant(conditions),
      fc.shuffledSubarray([...conditions.on], { minLength: conditions.on.length }),
      fc.constantFrom(...FAILURE_KINDS),
      anyStatus,
      anyGrpcStatus,
    ),
  );
  fc.assert(
    fc.property(shuffled, ([conditions, on, kind, status, grpcStatus]) => {
      const other = { ...conditions, on };
      assert.equal(reasonForFailure(other, kind), reasonForFailure(conditions, kind));
      assert.equal(reasonForAnswer(other, status, grpcStatus), reasonForAnswer(conditions, status, grpcStatus));
    }),
  );
});

test("a reason is a condition that was configured, and more conditions never take a reason away", () => {
  fc.assert(
    fc.property(
      anyConditions,
      fc.constantFrom(...FAILURE_KINDS),
      anyStatus,
      anyGrpcStatus,
      (some, kind, status, grpc) => {
        const all = { ...some, on: RETRY_CONDITIONS };
        for (const [less, more] of [
          [reasonForFailure(some, kind), reasonForFailure(all, kind)],
          [reasonForAnswer(some, status, grpc), reasonForAnswer(all, status, grpc)],
        ] as const) {
          if (less === null) continue;
          const configured: readonly string[] = [
            ...some.on,
            ...(some.statuses.length > 0 ? ["retriable-status-codes"] : []),
          ];
          assert.ok(configured.includes(less), less);
          assert.notEqual(more, null);
        }
      },
    ),
  );
});

test("5xx takes every failure of an upstream's before its head, and every answer from 500 to 599", () => {
  const spec: RetryConditions = { on: ["5xx"], statuses: [] };
  for (const kind of FAILURE_KINDS) {
    const { fault, retriable } = FAILURES[kind];
    if (fault === "upstream" && retriable !== "never") assert.equal(reasonForFailure(spec, kind), "5xx", kind);
  }
  fc.assert(
    fc.property(anyStatus, (status) => {
      assert.equal(reasonForAnswer(spec, status, null), status >= 500 ? "5xx" : null);
    }),
  );
});

test("nothing that the failure table calls never retriable, nor any failure of ours or of a client's, is repeated", () => {
  fc.assert(
    fc.property(anySpec, goodFacts, fc.constantFrom(...FAILURE_KINDS), (spec, facts, kind) => {
      if (FAILURES[kind].retriable !== "never" && FAILURES[kind].fault === "upstream") return;
      const decision = mayRepeat(spec, { ...facts, failure: kind }, new RetryBudget(1_000_000), () => 0);
      assert.deepEqual(decision, { kind: "stop", skip: null });
    }),
  );
});

test("a retry is only ever of a request that may be sent twice, has attempts, body, time and an open arm left", () => {
  let retries = 0;
  fc.assert(
    fc.property(anySpec, fc.oneof(anyFacts, goodFacts), anyChance, (spec, facts, chance) => {
      const decision = mayRepeat(spec, facts, new RetryBudget(0), () => chance);
      if (decision.kind === "stop") return;
      retries++;
      assert.equal(decision.reason, facts.reason);
      assert.ok(!facts.committed && facts.bodyIsWhole && facts.armIsOpen);
      assert.ok(facts.attempts < spec.attempts);
      const arrived = facts.failure === null || facts.sent;
      const keyed = spec.idempotencyKey && facts.hasIdempotencyKey;
      assert.ok(!arrived || IDEMPOTENT.includes(facts.method) || keyed || GRPC_REASONS.includes(decision.reason));
      assert.ok(facts.retryAfterMs === null || facts.retryAfterMs <= spec.maxRetryAfterMs);
      assert.ok(facts.remainingMs === null || decision.waitMs < facts.remainingMs);
    }),
    { numRuns: 2_000 },
  );
  assert.ok(retries > 100, `${retries} retries were seen`);
});

test("a wait is inside its backoff, or not below the Retry-After and not above its limit", () => {
  fc.assert(
    fc.property(anySpec, goodFacts, anyChance, (spec, facts, chance) => {
      const decision = mayRepeat(spec, facts, new RetryBudget(0), () => chance);
      if (decision.kind === "stop") return;
      const { waitMs } = decision;
      assert.ok(waitMs >= 0);
      if (facts.retryAfterMs === null || facts.retryAfterMs === 0) assert.ok(waitMs <= spec.backoff.maxMs);
      else
        assert.ok(waitMs >= facts.retryAfterMs && waitMs <= Math.min(spec.maxRetryAfterMs, 1.5 * facts.retryAfterMs));
    }),
  );
});

test("the budget is asked exactly when everything else allows a retry, and what it refuses is told so", () => {
  fc.assert(
    fc.property(anySpec, fc.oneof(anyFacts, goodFacts), anyChance, (spec, facts, chance) => {
      const full = new RetryBudget(0);
      for (let i = 0; i < 3; i++) full.tryRetry();
      const roomy = new RetryBudget(0);
      const withRoom = mayRepeat(spec, facts, roomy, () => chance);
      const without = mayRepeat(spec, facts, full, () => chance);
      if (withRoom.kind === "retry") assert.deepEqual(without, { kind: "stop", skip: "budget" });
      else assert.deepEqual(without, withRoom);
      const left = [1, 2, 3].filter(() => roomy.tryRetry()).length;
      assert.equal(left, withRoom.kind === "retry" ? 2 : 3);
    }),
  );
});

test("no failure meets a gRPC condition or one that only an answer can meet", () => {
  const ofAnswers: readonly string[] = [...GRPC_REASONS, "retriable-4xx"];
  for (const kind of FAILURE_KINDS) {
    assert.ok(!conditionsOfFailure(kind).some((condition) => ofAnswers.includes(condition)), kind);
  }
});
