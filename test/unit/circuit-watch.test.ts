import assert from "node:assert/strict";
import { test } from "node:test";
import { HISTOGRAM_BUCKETS, HISTOGRAM_SUM } from "../../src/base/cells.ts";
import type { StateEvent } from "../../src/base/state-event.ts";
import { CellTable } from "../../src/control/cell-table.ts";
import { CircuitWatch } from "../../src/control/circuit-watch.ts";
import type { Snapshot, UpstreamSpec } from "../../src/model/snapshot.ts";
import type { CircuitReport } from "../../src/telemetry/resilience-reports.ts";
import { fakeClock } from "../support/control-plane.ts";
import type { FakeClock } from "../support/control-plane.ts";
import { CIRCUIT_RULES, callTimes, circuitOf, snapshotOfUpstreams } from "../support/planned-upstreams.ts";
import type { PlannedUpstream } from "../support/planned-upstreams.ts";

interface Bench {
  readonly cells: CellTable;
  readonly watch: CircuitWatch;
  readonly clock: FakeClock;
  readonly events: StateEvent[];
  /** Whether the watch has a timer. */
  isRunning(): boolean;
  /** Moves the clock in steps of the watch's period and lets it look after each. */
  pass(ms: number): void;
  /** Applies a snapshot of these; gives it back. */
  apply(...upstreams: readonly PlannedUpstream[]): Snapshot;
  report(upstream: string, endpoint: string): CircuitReport;
}

function openBench(threads = 2): Bench {
  const cells = new CellTable(8, threads);
  const clock = fakeClock();
  const events: StateEvent[] = [];
  let look: (() => void) | null = null;
  const watch = new CircuitWatch({
    gates: cells.gates,
    threads,
    clock,
    onEvent: (event) => events.push(event),
    every: (_, call) => {
      look = call;
      return () => (look = null);
    },
  });
  return {
    cells,
    watch,
    clock,
    events,
    isRunning: () => look !== null,
    pass: (ms) => {
      for (let passed = 0; passed < ms; passed += 250) {
        clock.advance(250);
        look?.();
      }
    },
    apply: (...upstreams) => {
      const snapshot = snapshotOfUpstreams(cells, upstreams);
      watch.apply(snapshot);
      return snapshot;
    },
    report: (upstream, endpoint) => {
      const found = watch.reports().filter((report) => report.upstream === upstream && report.endpoint === endpoint);
      assert.equal(found.length, 1, `one report of ${upstream} ${endpoint}`);
      return found[0] as CircuitReport;
    },
  };
}

const V2: PlannedUpstream = { name: "v2", ports: [9002], circuitBreaker: CIRCUIT_RULES };
const PAIR: PlannedUpstream = { name: "pair", ports: [9003, 9004], circuitBreaker: CIRCUIT_RULES };
const E2 = "http://127.0.0.1:9002";

function only({ upstreams }: Snapshot): UpstreamSpec {
  return upstreams[0] ?? assert.fail();
}

function names(events: readonly StateEvent[]): readonly string[] {
  return events.map(({ name }) => name);
}

test("a circuit that opens, probes and closes is told step by step and counted", () => {
  const bench = openBench();
  const circuit = circuitOf(bench.cells, only(bench.apply(V2)), null);
  bench.pass(1_000);
  callTimes(circuit, 3, "failure", bench.clock.nowMs());
  bench.pass(250);
  assert.deepEqual(bench.events, [
    {
      level: "warn",
      name: "circuit-opened",
      message: "circuit opened",
      fields: { upstream: "v2", endpoint: null, openForMs: 29_750 },
    },
  ]);
  bench.pass(29_750);
  assert.deepEqual(names(bench.events), ["circuit-opened", "circuit-half-open"]);
  callTimes(circuit, 1, "success", bench.clock.nowMs());
  bench.pass(250);
  assert.deepEqual(names(bench.events), ["circuit-opened", "circuit-half-open", "circuit-closed"]);
  assert.deepEqual(bench.report("v2", E2).transitions, { closed: 1, open: 1, half_open: 1 });
});

test("how long a circuit was open runs from its opening until it closed again, through all that failed between", () => {
  const bench = openBench();
  const circuit = circuitOf(bench.cells, only(bench.apply(V2)), null);
  bench.pass(1_000);
  callTimes(circuit, 3, "failure", bench.clock.nowMs());
  bench.pass(30_000);
  callTimes(circuit, 1, "failure", bench.clock.nowMs());
  assert.equal(bench.report("v2", E2).openTimes[HISTOGRAM_SUM], 0);
  bench.pass(60_000);
  callTimes(circuit, 1, "success", bench.clock.nowMs());
  bench.pass(250);
  const { openTimes } = bench.report("v2", E2);
  assert.equal(openTimes[HISTOGRAM_SUM], 90);
  assert.equal(
    openTimes.subarray(HISTOGRAM_BUCKETS).reduce((sum, count) => sum + count, 0),
    1,
  );
});

test("what happens between two looks is neither missed nor told twice", () => {
  const bench = openBench();
  const quick = { ...V2, circuitBreaker: { ...CIRCUIT_RULES, openMs: 50 } };
  const circuit = circuitOf(bench.cells, only(bench.apply(quick)), null);
  for (let round = 0; round < 2; round++) {
    callTimes(circuit, 3, "failure", bench.clock.nowMs());
    bench.clock.advance(60);
    callTimes(circuit, 1, "success", bench.clock.nowMs());
  }
  bench.pass(500);
  assert.deepEqual(
    bench.events.map(({ name, fields }) => [name, fields["times"]]),
    [
      ["circuit-opened", 2],
      ["circuit-half-open", 2],
      ["circuit-closed", 2],
    ],
  );
  assert.deepEqual(bench.report("v2", E2).transitions, { closed: 2, open: 2, half_open: 2 });
});

test("a report shows state, times and what the window holds, all threads together", () => {
  const bench = openBench();
  const spec = only(bench.apply(V2));
  assert.deepEqual(bench.report("v2", E2).now, {
    kind: "closed",
    isWhole: true,
    sinceWallMs: null,
    retryInMs: null,
    window: { requests: 0, failures: 0, slow: 0 },
  });
  for (const thread of [0, 1]) {
    callTimes(circuitOf(bench.cells, spec, null, thread), 4, "success", bench.clock.nowMs());
    callTimes(circuitOf(bench.cells, spec, null, thread), 1, "failure", bench.clock.nowMs());
  }
  assert.deepEqual(bench.report("v2", E2).now?.window, { requests: 10, failures: 2, slow: 0 });
  bench.clock.advance(2_000);
  callTimes(circuitOf(bench.cells, spec, null), 3, "failure", bench.clock.nowMs());
  bench.clock.advance(1_000);
  const { now } = bench.report("v2", E2);
  assert.deepEqual([now?.kind, now?.retryInMs, now?.sinceWallMs], ["open", 29_000, bench.clock.wallMs() - 1_000]);
});

test("an upstream of several endpoints has a circuit as a whole and one for each", () => {
  const bench = openBench();
  const spec = only(bench.apply(PAIR));
  callTimes(circuitOf(bench.cells, spec, 1), 3, "failure", bench.clock.nowMs());
  bench.pass(250);
  assert.deepEqual(bench.events[0]?.fields["endpoint"], "http://127.0.0.1:9004");
  const states = bench.watch.reports().map(({ endpoint, now }) => [endpoint, now?.kind, now?.isWhole]);
  assert.deepEqual(states, [
    ["all", "closed", true],
    ["http://127.0.0.1:9003", "closed", false],
    ["http://127.0.0.1:9004", "open", false],
  ]);
});

test("a reload keeps what is known, an upstream that leaves keeps its counts only", () => {
  const bench = openBench();
  const circuit = circuitOf(bench.cells, only(bench.apply(V2)), null);
  callTimes(circuit, 3, "failure", bench.clock.nowMs());
  bench.pass(250);
  bench.apply(V2, PAIR);
  assert.equal(bench.report("v2", E2).now?.kind, "open");
  bench.pass(250);
  assert.deepEqual(names(bench.events), ["circuit-opened"]);
  bench.apply(PAIR);
  const gone = bench.report("v2", E2);
  assert.deepEqual([gone.now, gone.transitions.open], [null, 1]);
  bench.apply(V2);
  assert.equal(bench.report("v2", E2).now?.kind, "open");
  bench.pass(29_500);
  callTimes(circuit, 1, "success", bench.clock.nowMs());
  bench.pass(250);
  assert.deepEqual(names(bench.events), ["circuit-opened", "circuit-half-open", "circuit-closed"]);
  assert.equal(bench.report("v2", E2).openTimes[HISTOGRAM_SUM], 30);
});

test("counts never go back when a second endpoint turns an upstream's circuit into that of all", () => {
  const bench = openBench();
  const circuit = circuitOf(bench.cells, only(bench.apply(V2)), null);
  callTimes(circuit, 3, "failure", bench.clock.nowMs());
  bench.pass(250);
  bench.apply({ ...V2, ports: [9002, 9005] });
  assert.equal(bench.report("v2", E2).transitions.open, 1);
  assert.equal(bench.report("v2", "all").transitions.open, 0);
  assert.equal(bench.report("v2", "all").now?.kind, "open");
});

test("by hand a circuit is opened as a whole, and closed with all of its parts", () => {
  const bench = openBench();
  const spec = only(bench.apply(PAIR, V2));
  callTimes(circuitOf(bench.cells, spec, 0), 3, "failure", bench.clock.nowMs());
  assert.equal(bench.watch.trip("pair"), true);
  const states = (): readonly unknown[] => bench.watch.reports().map(({ now }) => now?.kind);
  assert.deepEqual(states(), ["open", "open", "closed", "closed"]);
  assert.equal(bench.watch.reset("pair"), true);
  assert.deepEqual(states(), ["closed", "closed", "closed", "closed"]);
  assert.deepEqual([bench.watch.trip("nobody"), bench.watch.reset("nobody")], [false, false]);
});

test("nobody is looked at where there is no circuit", () => {
  const bench = openBench();
  bench.apply({ name: "plain", ports: [1, 2] });
  assert.equal(bench.isRunning(), false);
  bench.apply(V2);
  assert.equal(bench.isRunning(), true);
  bench.watch.close();
  assert.equal(bench.isRunning(), false);
});
