/**
 * What gates, circuits and reports cost a request: the way to its arm, and what is told of its call. Run: node
 * bench/micro/enter.ts
 */
import { bench, do_not_optimize, run, summary } from "mitata";
import { GATE_WORDS, gateStride, packStatus } from "../../src/base/gates.ts";
import type { Decision } from "../../src/model/decide.ts";
import type { Arm, CircuitBreakerSpec, HealthSpec, UpstreamSpec } from "../../src/model/snapshot.ts";
import { Circuit } from "../../src/policy/circuit-cell.ts";
import type { BoundArm } from "../../src/proxy/bound-arm.ts";
import { enter, type Entrant } from "../../src/proxy/enter.ts";
import { gateFor } from "../../src/proxy/gate.ts";
import type { Plan } from "../../src/proxy/plan.ts";
import { CallReport } from "../../src/transport/call-report.ts";
import { SAMPLE_ANSWER, SMALL_ANSWER } from "./sample-head.ts";

const THREADS = 4;
const GATES = 32;
/** A clock that goes on by a millisecond every ten requests, as a busy thread sees it. */
const STEP_MS = 0.1;
const RULES: CircuitBreakerSpec = {
  consecutiveFailures: 3,
  errorPpm: 500_000,
  slowCallPpm: 0,
  slowCallMs: 0,
  minRequests: 20,
  windowMs: 10_000,
  openMs: 30_000,
  maxOpenMs: 300_000,
  jitterPpm: 100_000,
  halfOpenRequests: 3,
  halfOpenSuccesses: 3,
  slowStartMs: 5_000,
  autoRecover: true,
};
/** Bits: what the upstreams of a plan have. */
const [CIRCUIT, HEALTH] = [1, 2];

const gates = new Int32Array(new SharedArrayBuffer(GATES * gateStride(THREADS) * 4));
let gatesTaken = 0;
let nowMs = 1e6;

summary(() => {
  for (const [name, has] of [
    ["nothing", 0],
    ["circuits", CIRCUIT],
    ["health", HEALTH],
    ["circuits and health", CIRCUIT | HEALTH],
  ] as const) {
    const plan = planWith(has);
    for (const arm of ["baseline", "candidate"] as const) {
      const [who, decision] = [entrant(), decisionFor(arm)];
      bench(`enter the ${arm}, ${name}`, () => do_not_optimize(enter(who, plan, decision, nowMs)));
    }
  }
});

summary(() => {
  const plan = planWith(CIRCUIT | HEALTH);
  const { circuit } = plan.baseline.gate ?? { circuit: null };
  const [who, decision] = [entrant(), decisionFor("baseline")];
  for (const [name, head] of [
    ["5 fields", SMALL_ANSWER],
    ["12 fields", SAMPLE_ANSWER],
  ] as const) {
    bench(`a call that goes well, its answer of ${name}: enter, report, head, end`, () => {
      nowMs += STEP_MS;
      enter(who, plan, decision, nowMs);
      const report = new CallReport(circuit, who.ticket, "GET", 0);
      report.started(nowMs);
      report.onHead(head, nowMs);
      report.onEnd(null, nowMs);
    });
  }
});

await run();

function planWith(has: number): Plan {
  const [baseline, candidate] = [armWith("baseline", has), armWith("candidate", has)];
  // `enter` reads of a plan no more than this.
  return { baseline, candidate, lastPpm: 1_000_000 } as unknown as Plan;
}

function armWith(arm: Arm, has: number): BoundArm {
  const [gate, endpointGate] = [gatesTaken++, gatesTaken++];
  const place = { thread: 1, threads: THREADS };
  const circuit = (has & CIRCUIT) === 0 ? null : new Circuit(gates, gate, place, RULES, arm);
  const health = (has & HEALTH) === 0 ? null : ({ panic: "refuse" } as HealthSpec);
  gates[endpointGate * gateStride(THREADS) + GATE_WORDS.status] = packStatus("healthy", false);
  const spec = { health, cells: { block: 0, gate, endpointGates: [endpointGate] } } as unknown as UpstreamSpec;
  return { arm, gate: gateFor(arm, spec, circuit, { gates, threads: THREADS }) } as BoundArm;
}

function decisionFor(arm: Arm): Decision {
  return { arm, reason: "bucket", bucket: 42, key: "user-4711", mintedKey: null };
}

function entrant(): Entrant {
  return { plan: null, decision: null, arm: null, ticket: 0 };
}
