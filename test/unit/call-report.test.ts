import assert from "node:assert/strict";
import { test } from "node:test";
import { FAILURES, type FailureKind } from "../../src/base/failure.ts";
import type { RawHeaders, ResponseHead } from "../../src/model/exchange-types.ts";
import { windowTotals } from "../../src/policy/circuit-cell.ts";
import { CallReport, outcomeOfStatus } from "../../src/transport/call-report.ts";
import { GATE, sharedCircuit, type SharedCircuit } from "../support/circuits.ts";

const NOW = 50_000;

/** Never opens: what was counted can be read. */
function counting(changes = {}): SharedCircuit {
  return sharedCircuit({ consecutiveFailures: 0, errorPpm: 0, ...changes });
}

/** [requests, failures, slow] of a circuit. */
function countsOf({ gates, rules, threads }: SharedCircuit, nowMs = NOW): readonly number[] {
  const { requests, failures, slow } = windowTotals(gates, GATE, threads, rules.windowMs, nowMs);
  return [requests, failures, slow];
}

function reportOf({ circuit }: SharedCircuit, slowMs = 0): CallReport {
  const report = new CallReport(circuit, circuit.admit(NOW), "POST", slowMs);
  report.started(NOW);
  return report;
}

/** A half-open circuit with its only probe out. */
function probing(): { readonly shared: SharedCircuit; readonly report: CallReport } {
  const shared = counting({ halfOpenRequests: 1, halfOpenSuccesses: 2, openMs: 1_000 });
  shared.circuit.trip(NOW - 2_000);
  return { shared, report: reportOf(shared) };
}

function head(status: number, headers: RawHeaders = []): ResponseHead {
  return { status, reason: "", headers };
}

function grpc(...more: string[]): ResponseHead {
  return head(200, ["content-type", "application/grpc", ...more]);
}

for (const [statuses, counts] of [
  [
    [200, 204, 301, 304, 400, 404, 408, 499, 501, 505],
    [1, 0, 0],
  ],
  [
    [500, 502, 503, 504, 507, 599],
    [1, 1, 0],
  ],
  [[429], [1, 1, 0]],
] as const) {
  for (const status of statuses) {
    test(`a whole answer with status ${status} counts as ${counts[1] === 0 ? "a request" : "a request that failed"}`, () => {
      const shared = counting();
      const report = reportOf(shared);
      report.onHead(head(status), NOW);
      report.onEnd(null, NOW);
      assert.deepEqual(countsOf(shared), counts);
    });
  }
}

test("429 neither lengthens nor ends a row of failures", () => {
  assert.deepEqual(
    [outcomeOfStatus(429), outcomeOfStatus(503), outcomeOfStatus(501)],
    ["overload", "failure", "success"],
  );
});

for (const [status, failed] of [
  [0, 0],
  [1, 0],
  [2, 1],
  [4, 1],
  [5, 0],
  [8, 1],
  [12, 0],
  [13, 1],
  [14, 1],
  [15, 1],
  [16, 0],
] as const) {
  test(`gRPC status ${status} ${failed === 1 ? "is" : "is not"} a failure, in the head and in the trailers`, () => {
    const inHead = counting();
    const first = reportOf(inHead);
    first.onHead(grpc("grpc-status", String(status)), NOW);
    first.onEnd(null, NOW);
    assert.deepEqual(countsOf(inHead), [1, failed, 0]);
    const inTrailers = counting();
    const second = reportOf(inTrailers);
    second.onHead(grpc(), NOW);
    second.onEnd(["grpc-status", String(status)], NOW);
    assert.deepEqual(countsOf(inTrailers), [1, failed, 0]);
  });
}

test("a grpc-status in an answer that is no gRPC means nothing", () => {
  const shared = counting();
  const report = reportOf(shared);
  report.onHead(head(200), NOW);
  report.onEnd(["grpc-status", "14"], NOW);
  assert.deepEqual(countsOf(shared), [1, 0, 0]);
});

for (const kind of Object.keys(FAILURES) as FailureKind[]) {
  const counts = FAILURES[kind].fault === "upstream" && kind !== "stale-connection";
  test(`${kind} ${counts ? "counts" : "does not count"}, before a head and behind one`, () => {
    for (const withHead of [false, true]) {
      const shared = counting();
      const report = reportOf(shared);
      if (withHead) report.onHead(head(200), NOW);
      report.onFailure(kind, NOW);
      assert.deepEqual(countsOf(shared), counts ? [1, 1, 0] : [0, 0, 0]);
    }
  });
}

test("each call is told once, whatever comes behind it", () => {
  const shared = counting();
  const report = reportOf(shared);
  report.onHead(head(503), NOW);
  report.onHead(head(200), NOW);
  report.onEnd(null, NOW);
  report.onEnd(null, NOW);
  report.onFailure("upstream-reset", NOW);
  assert.deepEqual(countsOf(shared), [1, 1, 0]);
});

test("the time to the head decides what is slow, and only where slow calls are looked at", () => {
  for (const [slowMs, atMs, slow] of [
    [100, NOW + 100, 0],
    [100, NOW + 101, 1],
    [0, NOW + 5_000, 0],
  ] as const) {
    const shared = counting({ slowCallPpm: 1, minRequests: 1_000 });
    const report = reportOf(shared, slowMs);
    assert.equal(report.timesCalls, slowMs > 0);
    report.onHead(head(200), atMs);
    report.onEnd(null, NOW + 9_000);
    assert.equal(countsOf(shared, NOW + 9_000)[2], slow);
  }
});

test("a probe is told at its head, so that a stream does not keep the permit", () => {
  const { shared, report } = probing();
  assert.equal(shared.circuit.mayAdmit(NOW), false);
  report.onHead(head(200), NOW);
  assert.deepEqual([shared.circuit.reading(NOW).successes, shared.circuit.mayAdmit(NOW)], [1, true]);
  report.onEnd(null, NOW + 10);
  assert.equal(shared.circuit.reading(NOW).successes, 1);
});

for (const [what, breaks] of [
  ["breaks off", (report: CallReport) => report.onFailure("truncated-answer", NOW)],
  ["ends with a bad gRPC status", (report: CallReport) => report.onEnd(["grpc-status", "14"], NOW)],
] as const) {
  test(`a probe that ${what} behind a good head opens the circuit again`, () => {
    const { shared, report } = probing();
    report.onHead(grpc(), NOW);
    breaks(report);
    assert.equal(shared.circuit.reading(NOW).kind, "open");
  });
}

test("a probe whose client leaves behind a good head stays a success", () => {
  const { shared, report } = probing();
  report.onHead(head(200), NOW);
  report.onFailure("client-gone", NOW);
  const { kind, successes } = shared.circuit.reading(NOW);
  assert.deepEqual([kind, successes], ["half-open", 1]);
});

for (const kind of [
  "client-gone",
  "lost-race",
  "overflow",
  "acquire-timeout",
  "stale-connection",
  "circuit-open",
] as const) {
  test(`a probe that ends by ${kind} gives its permit back`, () => {
    const { shared, report } = probing();
    report.onFailure(kind, NOW);
    const { kind: state, probes, successes } = shared.circuit.reading(NOW);
    assert.deepEqual([state, probes, successes], ["half-open", 0, 0]);
  });
}

test("the circuit of the upstream and that of the endpoint both hear of a call", () => {
  const [whole, endpoint] = [counting(), counting()];
  const report = reportOf(whole);
  report.atEndpoint(endpoint.circuit, endpoint.circuit.admit(NOW));
  report.onFailure("upstream-reset", NOW);
  assert.deepEqual(
    [countsOf(whole), countsOf(endpoint)],
    [
      [1, 1, 0],
      [1, 1, 0],
    ],
  );
});

test("a call that found no endpoint gives the upstream's permit back", () => {
  const { shared, report } = probing();
  report.onFailure("circuit-open", NOW);
  assert.equal(shared.circuit.mayAdmit(NOW), true);
});
