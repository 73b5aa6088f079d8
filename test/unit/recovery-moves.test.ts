import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";
import {
  BLOCK_WORDS,
  RETRY_REASONS,
  RETRY_SKIPS,
  ROUTE_WORDS,
  type RetryReason,
  type RetrySkip,
} from "../../src/base/cells.ts";
import type { BodyFraming, OutgoingHead, RawHeaders, RequestHead } from "../../src/model/exchange-types.ts";
import type { RetrySpec } from "../../src/model/snapshot.ts";
import { RetryBudget } from "../../src/policy/retry-budget.ts";
import type { Plan } from "../../src/proxy/plan.ts";
import { RecoveryMoves, type Moment, type Problem } from "../../src/proxy/recovery-moves.ts";
import type { RecoveryPlan, Rung } from "../../src/proxy/recovery-plan.ts";
import type { Road } from "../../src/proxy/road.ts";
import type { StaleStore } from "../../src/proxy/stale-store.ts";
import { staticReply } from "../../src/proxy/static-reply.ts";
import { plannedArm, plannedGates } from "../support/planned-arms.ts";
import { CIRCUIT_RULES } from "../support/planned-upstreams.ts";
import { RETRY_SPEC } from "../support/retry-facts.ts";
import { PLAIN_HEAD } from "../support/upstream-bench.ts";

const gates = plannedGates(3);
const baseline = plannedArm(gates, { role: "baseline", row: 0 });
const candidate = plannedArm(gates, { role: "candidate", row: 1, circuitBreaker: CIRCUIT_RULES });
const local = plannedArm(gates, { role: "fallback", row: 2 });
const cells = new Float64Array(BLOCK_WORDS);
const STATIC: Rung = {
  kind: "static",
  reply: staticReply({ kind: "static", status: 200, headers: [], body: "x" }),
  cells,
};
const KEPT = { head: {}, body: [], servedBy: "v1", ageMs: 1 } as never;

function staleRung(found: boolean): Rung {
  return { kind: "stale", store: { find: () => (found ? KEPT : null) } as unknown as StaleStore, cells };
}

interface Wish {
  readonly retry?: Partial<RetrySpec> | null;
  readonly rungs?: readonly Rung[];
  readonly method?: string;
  readonly headers?: RawHeaders;
  readonly body?: BodyFraming;
  readonly share?: number;
  readonly killed?: boolean;
  readonly at?: Partial<Moment>;
}

const RESET: Problem = { kind: "failure", failure: "upstream-reset", sent: true };
const REFUSED: Problem = { kind: "failure", failure: "connect-failure", sent: false };
const OPEN: Problem = { kind: "failure", failure: "circuit-open", sent: false };
const LATE: Problem = { kind: "failure", failure: "total-timeout", sent: true };

function answered(status: number, headers: RawHeaders = [], grpcStatus: number | null = null): Problem {
  return { kind: "answer", head: { status, reason: "", headers }, grpcStatus };
}

let route: Plan;
beforeEach(() => {
  route = {
    baseline,
    candidate,
    lastPpm: 500_000,
    lastKilled: false,
    cells: new Float64Array(BLOCK_WORDS),
  } as unknown as Plan;
});

function movesFor(wish: Wish): { next(problem: Problem): string; readonly budget: RetryBudget } {
  const { retry = null, rungs = [], method = "GET", headers = [], body = { kind: "none" } } = wish;
  const budget = new RetryBudget(0);
  const plan = {
    retry: retry === null ? null : { ...RETRY_SPEC, ...retry },
    budget: retry === null ? null : budget,
    rungs,
    fallbackOn: { on: ["reset", "connect-failure", "5xx"], statuses: [] },
  } as unknown as RecoveryPlan;
  Object.assign(route, { lastPpm: wish.share ?? 500_000, lastKilled: wish.killed ?? false });
  const road = { clock: { nowMs: () => 10, wallMs: () => 0 }, random: () => 0.5 } as unknown as Road;
  const head = { method, headers } as unknown as RequestHead;
  const outgoing: OutgoingHead = { ...PLAIN_HEAD, method, body };
  const moves = new RecoveryMoves(plan, route, road, { head, outgoing, stickyKey: null });
  const at: Moment = { arm: candidate, attempts: 1, remainingMs: null, nowMs: 10, bodyIsWhole: true, ...wish.at };
  return {
    budget,
    next: (problem) => {
      const move = moves.next(problem, at);
      if (move.kind === "arm") return `${move.rung} ${move.arm.arm}`;
      if (move.kind === "retry") return `retry in ${move.waitMs}`;
      return move.kind === "end" && move.asked ? "end, asked" : move.kind;
    },
  };
}

function first(problem: Problem, wish: Wish): string {
  return movesFor(wish).next(problem);
}

const retriesFor = (reason: RetryReason): number =>
  route.cells[ROUTE_WORDS.retries + RETRY_REASONS.indexOf(reason)] ?? -1;
const skippedFor = (skip: RetrySkip): number => route.cells[ROUTE_WORDS.retrySkips + RETRY_SKIPS.indexOf(skip)] ?? -1;

describe("retries", () => {
  const retry = { on: ["reset", "5xx"] } as const;

  test("come before the ladder, and are counted by their reason", () => {
    assert.equal(first(RESET, { retry, rungs: [{ kind: "arm" }] }), "retry in 50");
    assert.equal(retriesFor("reset"), 1);
  });

  test("end with the attempts, and the ladder follows", () => {
    assert.equal(first(RESET, { retry, rungs: [{ kind: "arm" }], at: { attempts: 3 } }), "arm baseline");
    assert.equal(skippedFor("attempts"), 1);
  });

  test("are not for what a fallback did", () => {
    const moves = movesFor({ retry, rungs: [{ kind: "arm" }, STATIC], at: { attempts: 3 } });
    assert.equal(moves.next(RESET), "arm baseline");
    assert.equal(moves.next(RESET), "static");
    assert.equal(moves.next(RESET), "end, asked");
  });

  test("are not for a body of which something was let go", () => {
    assert.equal(first(RESET, { retry, method: "PUT", body: { kind: "chunked" }, at: { bodyIsWhole: false } }), "end");
    assert.equal(skippedFor("body"), 1);
  });

  test("wait for as long as the answer says, and are left out when that is too long", () => {
    assert.equal(first(answered(503, ["Retry-After", "2"]), { retry }), "retry in 2500");
    assert.equal(first(answered(503, ["Retry-After", "11"]), { retry }), "end");
    assert.equal(skippedFor("retry-after"), 1);
  });

  test("are left out where the wait would take the rest of the time", () => {
    assert.equal(first(RESET, { retry, at: { remainingMs: 50 } }), "end");
    assert.equal(first(RESET, { retry, at: { remainingMs: 51 } }), "retry in 50");
    assert.equal(skippedFor("deadline"), 1);
  });

  test("are left out when the circuit of the arm has opened meanwhile", () => {
    candidate.gate?.circuit?.trip(10);
    assert.equal(first(RESET, { retry, rungs: [{ kind: "arm" }] }), "arm baseline");
    candidate.gate?.circuit?.reset(10);
    assert.equal(skippedFor("circuit-open"), 1);
  });

  test("take a place in the budget only when they are made", () => {
    const { budget, next } = movesFor({ retry });
    for (let i = 0; i < 3; i++) assert.equal(next(RESET), "retry in 50");
    assert.equal(next(RESET), "end");
    assert.equal(skippedFor("budget"), 1);
    budget.retryFinished();
    assert.equal(next(RESET), "retry in 50");
  });

  test("are for a POST that was sent only with a key and a route that believes in it", () => {
    const body = { kind: "length", length: 5 } as const;
    const keyed = { ...retry, idempotencyKey: true };
    const headers = ["Idempotency-Key", "7"];
    assert.equal(first(RESET, { retry, method: "POST", body, headers }), "end");
    assert.equal(first(RESET, { retry: keyed, method: "POST", body }), "end");
    assert.equal(first(RESET, { retry: keyed, method: "POST", body, headers }), "retry in 50");
    assert.equal(first(REFUSED, { retry: { on: ["connect-failure"] }, method: "POST", body }), "retry in 50");
    assert.equal(skippedFor("method"), 2);
  });
});

describe("the ladder", () => {
  test("is not for what it was not configured for", () => {
    assert.equal(first(answered(404), { rungs: [STATIC] }), "end");
    assert.equal(first({ kind: "failure", failure: "overflow", sent: false }, { rungs: [] }), "end");
  });

  test("is for an arm that is not asked at all, and for the end of the whole time, whatever was configured", () => {
    assert.equal(first(OPEN, { rungs: [STATIC] }), "static");
    assert.equal(first(LATE, { rungs: [STATIC] }), "static");
  });

  test("has nobody else asked when the whole time is over", () => {
    const rungs: readonly Rung[] = [{ kind: "arm" }, { kind: "upstream", arm: local }, staleRung(true)];
    assert.equal(first(LATE, { rungs }), "stale");
  });

  test("is gone down once", () => {
    const moves = movesFor({ rungs: [{ kind: "arm" }, { kind: "upstream", arm: local }, staleRung(false), STATIC] });
    assert.deepEqual(
      Array.from({ length: 4 }, () => moves.next(RESET)),
      ["arm baseline", "upstream fallback", "static", "end, asked"],
    );
  });

  for (const [method, problem, move] of [
    ["GET", RESET, "arm baseline"],
    ["PUT", RESET, "arm baseline"],
    ["DELETE", answered(503), "arm baseline"],
    ["POST", RESET, "end"],
    ["POST", answered(503), "end"],
    ["PATCH", RESET, "end"],
    ["POST", REFUSED, "arm baseline"],
    ["POST", OPEN, "arm baseline"],
  ] as const) {
    const how = problem.kind === "answer" ? "was answered with 503" : `met ${problem.failure}`;
    test(`has a ${method} that ${how} ${move === "end" ? "stay where it was" : "go to the baseline"}`, () => {
      assert.equal(first(problem, { rungs: [{ kind: "arm" }], method }), move);
      assert.equal(first(problem, { rungs: [{ kind: "upstream", arm: local }], method }) === "end", move === "end");
    });
  }

  for (const [what, wish, move] of [
    ["a GET", {}, "arm candidate"],
    ["a HEAD", { method: "HEAD" }, "arm candidate"],
    ["a PUT", { method: "PUT" }, "end"],
    ["a DELETE of which nothing was sent", { method: "DELETE" }, "end"],
    ["a GET with a body", { body: { kind: "chunked" } }, "end, asked"],
    ["a GET at share 0", { share: 0 }, "end, asked"],
    ["a GET while v2 is killed", { killed: true }, "end, asked"],
  ] as const satisfies readonly (readonly [string, Wish, string])[]) {
    test(`goes ${move === "arm candidate" ? "" : "not "}to the candidate with ${what}`, () => {
      const at = { arm: baseline };
      assert.equal(first(RESET, { rungs: [{ kind: "arm" }], at, ...wish }), move);
    });
  }

  test("has no other arm on a route without a candidate", () => {
    Object.assign(route, { candidate: null });
    assert.equal(first(RESET, { rungs: [{ kind: "arm" }], at: { arm: baseline } }), "end, asked");
  });

  test("sends no body that is not whole to another arm, but answers by itself where nothing was processed", () => {
    const wish: Wish = {
      rungs: [{ kind: "arm" }, { kind: "upstream", arm: local }, STATIC],
      method: "PUT",
      body: { kind: "chunked" },
      at: { bodyIsWhole: false },
    };
    assert.equal(first(REFUSED, wish), "static");
    assert.equal(first(RESET, wish), "end");
  });

  test("tells no static answer to a write that may have been processed", () => {
    for (const method of ["POST", "PUT", "DELETE", "PATCH"])
      assert.equal(first(RESET, { rungs: [STATIC], method }), "end");
    for (const method of ["GET", "HEAD", "OPTIONS"]) assert.equal(first(RESET, { rungs: [STATIC], method }), "static");
  });

  test("knows whether somebody would have been asked: only then the end is its own", () => {
    assert.equal(first(RESET, { rungs: [staleRung(false)] }), "end, asked");
    assert.equal(first(RESET, { rungs: [staleRung(false)], method: "POST" }), "end");
    assert.equal(first(OPEN, { rungs: [staleRung(false)], method: "POST" }), "end, asked");
  });
});
