import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { RETRY_CONDITIONS, type RetryCondition, type RetryReason, type RetrySkip } from "../../src/base/cells.ts";
import { FAILURE_KINDS, FAILURES, type FailureKind } from "../../src/base/failure.ts";
import type { RetryConditions } from "../../src/model/snapshot.ts";
import { RetryBudget } from "../../src/policy/retry-budget.ts";
import {
  conditionsOfFailure,
  failureFallsBack,
  mayRepeat,
  reasonForAnswer,
  reasonForFailure,
  type RepeatFacts,
} from "../../src/policy/retry.ts";
import { ANSWERED, RETRY_SPEC, UNSENT } from "../support/retry-facts.ts";

const EVERYTHING: RetryConditions = { on: RETRY_CONDITIONS, statuses: [] };

function only(...on: RetryCondition[]): RetryConditions {
  return { on, statuses: [] };
}

function decide(facts: Partial<RepeatFacts>, spec = RETRY_SPEC): ReturnType<typeof mayRepeat> {
  return mayRepeat(spec, { ...UNSENT, ...facts }, new RetryBudget(spec.budgetPpm), () => 0.5);
}

describe("the condition that a failed try meets", () => {
  const table: [FailureKind, RetryReason][] = [
    ["connect-failure", "connect-failure"],
    ["connect-timeout", "connect-failure"],
    ["tls-failure", "connect-failure"],
    ["upstream-reset", "reset"],
    ["stale-connection", "reset"],
    ["head-timeout", "timeout"],
    ["try-timeout", "timeout"],
    ["overflow", "refused-stream"],
    ["too-many-in-flight", "refused-stream"],
    ["acquire-timeout", "refused-stream"],
    ["bad-answer", "gateway-error"],
    ["answer-too-large", "gateway-error"],
  ];
  for (const [kind, reason] of table) {
    test(`${kind} is ${reason}, and 5xx where only that is configured`, () => {
      assert.equal(reasonForFailure(EVERYTHING, kind), reason);
      assert.equal(reasonForFailure(only("5xx"), kind), "5xx");
      assert.equal(
        reasonForFailure(only("gateway-error", "5xx"), kind),
        reason === "gateway-error" ? reason : "gateway-error",
      );
    });
  }

  test("what a client did, and a request that is past its deadline, meet none", () => {
    for (const kind of FAILURE_KINDS.filter((name) => FAILURES[name].fault === "client")) {
      assert.deepEqual(conditionsOfFailure(kind), [], kind);
    }
    for (const kind of ["total-timeout", "lost-race", "draining", "overloaded", "internal"] as const) {
      assert.equal(reasonForFailure(EVERYTHING, kind), null, kind);
    }
  });

  test("a condition that is not configured is not met", () => {
    assert.equal(reasonForFailure(only("connect-failure"), "upstream-reset"), null);
    assert.equal(reasonForFailure(only("reset"), "head-timeout"), null);
  });
});

describe("the condition that an answer meets", () => {
  const table: [number, number | null, RetryCondition[], RetryReason | null][] = [
    [200, null, [...RETRY_CONDITIONS], null],
    [500, null, ["5xx", "gateway-error"], "5xx"],
    [501, null, ["gateway-error"], null],
    [502, null, ["5xx", "gateway-error"], "gateway-error"],
    [503, null, ["gateway-error"], "gateway-error"],
    [504, null, ["5xx"], "5xx"],
    [505, null, ["gateway-error", "5xx"], "5xx"],
    [600, null, ["5xx"], null],
    [409, null, ["retriable-4xx", "5xx"], "retriable-4xx"],
    [409, null, ["5xx"], null],
    [408, null, ["retriable-4xx"], null],
    [503, null, ["connect-failure", "reset", "refused-stream", "timeout"], null],
    [200, 0, [...RETRY_CONDITIONS], null],
    [200, 1, ["cancelled"], "cancelled"],
    [200, 4, ["deadline-exceeded"], "deadline-exceeded"],
    [200, 8, ["resource-exhausted"], "resource-exhausted"],
    [200, 13, ["internal"], "internal"],
    [200, 14, ["unavailable", "cancelled"], "unavailable"],
    [200, 14, ["cancelled", "5xx"], null],
    [200, 2, [...RETRY_CONDITIONS], null],
    [503, 14, ["gateway-error", "unavailable"], "unavailable"],
    [503, 2, ["gateway-error", "unavailable"], "gateway-error"],
  ];
  for (const [status, grpcStatus, on, reason] of table) {
    const named = grpcStatus === null ? `${status}` : `${status} with gRPC status ${grpcStatus}`;
    test(`${named} with ${on.length === RETRY_CONDITIONS.length ? "everything" : on.join(", ")} is ${reason}`, () => {
      assert.equal(reasonForAnswer({ on, statuses: [] }, status, grpcStatus), reason);
    });
  }

  test("a status that is named counts, and is told apart from its class", () => {
    assert.equal(reasonForAnswer({ on: [], statuses: [429] }, 429, null), "retriable-status-codes");
    assert.equal(reasonForAnswer({ on: ["5xx"], statuses: [503] }, 503, null), "retriable-status-codes");
    assert.equal(reasonForAnswer({ on: ["5xx"], statuses: [503] }, 500, null), "5xx");
  });
});

describe("whether a failure asks for the fallbacks", () => {
  test("an arm that is not asked at all always does", () => {
    for (const kind of ["circuit-open", "no-healthy-upstream"] as const) {
      assert.equal(failureFallsBack({ on: [], statuses: [] }, kind), true, kind);
    }
  });

  test("any other failure does when it meets a configured condition", () => {
    assert.equal(failureFallsBack(only("connect-failure"), "connect-timeout"), true);
    assert.equal(failureFallsBack(only("connect-failure"), "head-timeout"), false);
    assert.equal(failureFallsBack(only("5xx"), "overflow"), true);
    assert.equal(failureFallsBack(only("5xx"), "client-gone"), false);
  });
});

describe("whether a try is repeated", () => {
  const stops: [string, Partial<RepeatFacts>, RetrySkip | null][] = [
    ["a try that met no condition is not", { reason: null }, null],
    ["nothing is once the client has seen a status", { committed: true }, null],
    ["what we refused ourselves is not", { reason: "refused-stream", failure: "overflow" }, null],
    ["what waited in vain for a connection is not", { reason: "refused-stream", failure: "acquire-timeout" }, null],
    ["a circuit that refused the try is no failed try", { reason: "5xx", failure: "circuit-open" }, null],
    ["an answer that was no HTTP is not", { reason: "5xx", failure: "bad-answer", sent: true }, null],
    ["the last attempt is not", { attempts: 3 }, "attempts"],
    ["a body that was not kept is not", { bodyIsWhole: false }, "body"],
    [
      "a POST that was sent is not",
      { reason: "reset", failure: "upstream-reset", sent: true, method: "POST" },
      "method",
    ],
    ["a POST that was answered with a 503 is not", { ...ANSWERED, method: "POST" }, "method"],
    [
      "a PATCH whose head was late is not",
      { reason: "timeout", failure: "head-timeout", sent: true, method: "PATCH" },
      "method",
    ],
    ["a wait longer than we may is not", { ...ANSWERED, retryAfterMs: 10_001 }, "retry-after"],
    ["an arm whose circuit has opened meanwhile is not asked", { armIsOpen: false }, "circuit-open"],
    ["a wait to the deadline is not", { remainingMs: 50 }, "deadline"],
    ["a deadline that has passed stops even without a wait", { remainingMs: 0 }, "deadline"],
  ];
  for (const [title, facts, skip] of stops) {
    test(title, () => assert.deepEqual(decide(facts), { kind: "stop", skip }));
  }

  const repeats: [string, Partial<RepeatFacts>, number][] = [
    ["a connection that failed is, after half of the first backoff on average", {}, 50],
    ["so is a POST of which nothing was sent", { method: "POST" }, 50],
    [
      "an idempotent request that was sent is",
      { reason: "reset", failure: "upstream-reset", sent: true, method: "PUT" },
      50,
    ],
    ["a second retry waits for longer", { attempts: 2 }, 100],
    ["a wait that ends before the deadline is waited", { remainingMs: 51 }, 50],
    ["a Retry-After takes the place of the backoff", { ...ANSWERED, retryAfterMs: 2_000 }, 2_500],
    ["a Retry-After as long as we may wait is waited exactly", { ...ANSWERED, retryAfterMs: 10_000 }, 10_000],
    ["a Retry-After of zero leaves the backoff", { ...ANSWERED, retryAfterMs: 0 }, 50],
    ["a gRPC call is, after a status that the route names", { ...ANSWERED, reason: "unavailable", method: "POST" }, 50],
  ];
  for (const [title, facts, waitMs] of repeats) {
    test(title, () => {
      assert.deepEqual(decide(facts), { kind: "retry", reason: facts.reason ?? "connect-failure", waitMs });
    });
  }

  test("an Idempotency-Key counts only where the route says so", () => {
    const facts = { ...ANSWERED, method: "POST", hasIdempotencyKey: true };
    assert.deepEqual(decide(facts), { kind: "stop", skip: "method" });
    assert.equal(decide(facts, { ...RETRY_SPEC, idempotencyKey: true }).kind, "retry");
    assert.deepEqual(decide({ ...facts, hasIdempotencyKey: false }, { ...RETRY_SPEC, idempotencyKey: true }), {
      kind: "stop",
      skip: "method",
    });
  });

  test("a budget that is used up stops what everything else would allow", () => {
    const budget = new RetryBudget(0);
    const kinds = [1, 2, 3, 4].map(() => mayRepeat(RETRY_SPEC, UNSENT, budget, () => 0));
    assert.deepEqual(
      kinds.map(({ kind }) => kind),
      ["retry", "retry", "retry", "stop"],
    );
    assert.deepEqual(kinds[3], { kind: "stop", skip: "budget" });
  });

  test("what is stopped for another reason takes no place in the budget", () => {
    const budget = new RetryBudget(0);
    for (let i = 0; i < 10; i++) mayRepeat(RETRY_SPEC, { ...UNSENT, remainingMs: 0 }, budget, () => 0);
    for (let i = 0; i < 3; i++) assert.equal(budget.tryRetry(), true);
  });
});
