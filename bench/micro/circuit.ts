/** What a circuit costs a request: its ticket and its report, and a refusal. Run: node bench/micro/circuit.ts */
import { bench, do_not_optimize, run, summary } from "mitata";
import { gateStride } from "../../src/base/gates.ts";
import type { CircuitBreakerSpec } from "../../src/model/snapshot.ts";
import { Circuit } from "../../src/policy/circuit-cell.ts";

const THREADS = 4;
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

function circuitAt(gate: number, rules: Partial<CircuitBreakerSpec> = {}): Circuit {
  return new Circuit(gates, gate, { thread: 1, threads: THREADS }, { ...RULES, ...rules }, "v2 http://127.0.0.1:9002");
}

const gates = new Int32Array(new SharedArrayBuffer(4 * gateStride(THREADS) * 4));
const healthy = circuitAt(0);
const failing = circuitAt(1, { consecutiveFailures: 1_000_000, errorPpm: 1_000_000 });
const open = circuitAt(2, { autoRecover: false });
const counting = circuitAt(3);
open.trip(0);

summary(() => {
  let nowMs = 1e6;
  bench("mayAdmit, closed", () => do_not_optimize(healthy.mayAdmit(nowMs)));
  bench("admit, closed", () => do_not_optimize(healthy.admit(nowMs)));
  bench("admit and report a success", () => {
    nowMs += STEP_MS;
    healthy.report(healthy.admit(nowMs), "success", false, nowMs);
  });
  bench("admit and report a success, 1 in 100 fails", () => {
    nowMs += STEP_MS;
    const isFailed = Math.trunc(nowMs * 10) % 100 === 0;
    counting.report(counting.admit(nowMs), isFailed ? "failure" : "success", false, nowMs);
  });
  bench("admit and report a failure, which sums the window", () => {
    nowMs += STEP_MS;
    failing.report(failing.admit(nowMs), nowMs % 2 < 1 ? "failure" : "success", false, nowMs);
  });
  bench("mayAdmit, open", () => do_not_optimize(open.mayAdmit(nowMs)));
  bench("admit, open", () => do_not_optimize(open.admit(nowMs)));
});

await run();
