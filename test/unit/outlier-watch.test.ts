import assert from "node:assert/strict";
import { test } from "node:test";
import type { StateEvent } from "../../src/base/state-event.ts";
import { CellTable } from "../../src/control/cell-table.ts";
import { EndpointStatus } from "../../src/control/endpoint-status.ts";
import { OutlierWatch } from "../../src/control/outliers.ts";
import type { Snapshot, UpstreamSpec } from "../../src/model/snapshot.ts";
import { fakeClock } from "../support/control-plane.ts";
import {
  callTimes,
  circuitOf,
  CIRCUIT_RULES,
  OUTLIER_RULES,
  snapshotOfUpstreams,
} from "../support/planned-upstreams.ts";
import type { PlannedUpstream } from "../support/planned-upstreams.ts";

function openBench() {
  const cells = new CellTable(8, 1);
  const clock = fakeClock();
  const status = new EndpointStatus(cells.gates, 1, clock);
  const events: StateEvent[] = [];
  let look: (() => void) | null = null;
  const watch = new OutlierWatch({
    gates: cells.gates,
    threads: 1,
    clock,
    status,
    onEvent: (event) => events.push(event),
    every: (_, call) => {
      look = call;
      return () => (look = null);
    },
  });
  const apply = (...upstreams: readonly PlannedUpstream[]): Snapshot => {
    const snapshot = snapshotOfUpstreams(cells, upstreams);
    watch.apply(snapshot);
    return snapshot;
  };
  const pass = (ms: number, each: () => void = () => {}): void => {
    for (let passed = 0; passed < ms; passed += 250) {
      clock.advance(250);
      each();
      look?.();
    }
  };
  return { cells, clock, status, events, watch, apply, pass, isRunning: () => look !== null };
}

type Bench = ReturnType<typeof openBench>;

const TRIO: PlannedUpstream = { name: "v2", ports: [1, 2, 3], outlierDetection: OUTLIER_RULES };

function only({ upstreams }: Snapshot): UpstreamSpec {
  return upstreams[0] ?? assert.fail();
}

/** Traffic in each step: endpoints that are in get requests, and the bad ones fail all of theirs. */
function traffic({ cells, clock, status }: Bench, spec: UpstreamSpec, bad: readonly number[]): () => void {
  const circuits = spec.endpoints.map((_, index) => circuitOf(cells, spec, index));
  return () => {
    for (const [index, circuit] of circuits.entries()) {
      const gate = spec.cells.endpointGates[index] as number;
      if (status.ejected(gate)) continue;
      callTimes(circuit, 2, bad.includes(index) ? "failure" : "success", clock.nowMs());
    }
  };
}

function ejected({ status }: Bench, spec: UpstreamSpec): readonly boolean[] {
  return spec.cells.endpointGates.map((gate) => status.ejected(gate));
}

test("an endpoint that does worse than the others is out for its time, then back", () => {
  const bench = openBench();
  const spec = only(bench.apply(TRIO));
  const serve = traffic(bench, spec, [1]);
  bench.pass(10_000, serve);
  assert.deepEqual(ejected(bench, spec), [false, true, false]);
  const report = bench.watch.reports()[1];
  assert.deepEqual(
    [report?.endpoint, report?.now, report?.ejections],
    ["http://127.0.0.1:2", { ejected: true, backInMs: 30_000 }, 1],
  );
  bench.pass(29_750, serve);
  assert.deepEqual(ejected(bench, spec), [false, true, false]);
  bench.pass(250);
  assert.deepEqual(ejected(bench, spec), [false, false, false]);
  assert.deepEqual(
    bench.events.map(({ name, fields }) => [name, fields["endpoint"]]),
    [
      ["endpoint-ejected", "http://127.0.0.1:2"],
      ["endpoint-returned", "http://127.0.0.1:2"],
    ],
  );
  // The window has ten buckets, of which the last has only begun.
  const told = { upstream: "v2", endpoint: "http://127.0.0.1:2", requests: 74, failures: 74, inARow: 1, forMs: 30_000 };
  assert.deepEqual(bench.events[0]?.fields, told);
});

test("the second ejection needs what the first one needed, and lasts twice as long", () => {
  const bench = openBench();
  const spec = only(bench.apply(TRIO));
  const serve = traffic(bench, spec, [1]);
  bench.pass(40_000, serve);
  assert.deepEqual(ejected(bench, spec), [false, false, false]);
  // A window must pass in which all was counted after the return; then the next comparison is like the first.
  bench.pass(9_750, serve);
  assert.equal(bench.watch.reports()[1]?.ejections, 1);
  bench.pass(10_250, serve);
  assert.equal(bench.watch.reports()[1]?.ejections, 2);
  assert.equal(bench.events.at(-1)?.fields["forMs"], 60_000);
  assert.equal(bench.events.at(-1)?.fields["inARow"], 2);
});

test("old failures do not eject an endpoint again that does well since it is back", () => {
  const bench = openBench();
  const short = { ...OUTLIER_RULES, ejectionMs: 1_000, intervalMs: 1_000 };
  const spec = only(
    bench.apply({
      ...TRIO,
      circuitBreaker: { ...CIRCUIT_RULES, consecutiveFailures: 0, errorPpm: 0 },
      outlierDetection: short,
    }),
  );
  bench.pass(3_000, traffic(bench, spec, [1]));
  assert.deepEqual(ejected(bench, spec), [false, true, false]);
  bench.pass(60_000, traffic(bench, spec, []));
  assert.equal(bench.watch.reports()[1]?.ejections, 1);
});

test("an ejection in a row counts less after each comparison that was stood well", () => {
  const bench = openBench();
  const spec = only(bench.apply(TRIO));
  bench.pass(40_000, traffic(bench, spec, [1]));
  bench.pass(30_000, traffic(bench, spec, []));
  bench.pass(20_000, traffic(bench, spec, [1]));
  assert.equal(bench.watch.reports()[1]?.ejections, 2);
  assert.equal(bench.events.at(-1)?.fields["forMs"], 30_000);
});

test("the last endpoint that is healthy is not ejected, and unhealthy ones are not compared", () => {
  const bench = openBench();
  const spec = only(
    bench.apply({ ...TRIO, ports: [1, 2], outlierDetection: { ...OUTLIER_RULES, maxEjectedPpm: 1_000_000 } }),
  );
  bench.status.setHealth(spec.cells.endpointGates[0] as number, "unhealthy");
  bench.pass(20_000, traffic(bench, spec, [1]));
  assert.deepEqual(ejected(bench, spec), [false, false]);
});

test("an endpoint whose detection ends is not out any more", () => {
  const bench = openBench();
  const spec = only(bench.apply(TRIO));
  bench.pass(10_000, traffic(bench, spec, [1]));
  assert.deepEqual(ejected(bench, spec), [false, true, false]);
  bench.apply({ ...TRIO, outlierDetection: null });
  assert.deepEqual(ejected(bench, spec), [false, false, false]);
  assert.equal(bench.isRunning(), false);
  assert.deepEqual(
    bench.watch.reports().map(({ now, ejections }) => [now, ejections]),
    [
      [null, 0],
      [null, 1],
      [null, 0],
    ],
  );
});

test("a reload leaves who is out where it is, and does not put the next comparison off", () => {
  const bench = openBench();
  const spec = only(bench.apply(TRIO));
  const serve = traffic(bench, spec, [1]);
  bench.pass(9_750, serve);
  bench.apply(TRIO);
  bench.pass(250, serve);
  assert.deepEqual(ejected(bench, spec), [false, true, false]);
  bench.apply(TRIO);
  assert.deepEqual(ejected(bench, spec), [false, true, false]);
  bench.pass(30_000, serve);
  assert.deepEqual(ejected(bench, spec), [false, false, false]);
});

test("one endpoint alone is never compared", () => {
  const bench = openBench();
  bench.apply({ ...TRIO, ports: [1] });
  assert.equal(bench.isRunning(), false);
  assert.deepEqual(bench.watch.reports(), []);
});
