import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import type { Probe, ProbeHooks, ProbeTarget } from "../../src/control/probe.ts";
import type { ProberOptions } from "../../src/control/prober.ts";
import type { HealthSpec } from "../../src/model/snapshot.ts";
import { failed, FIRST_SPREAD_MS, PASS, type ProbeResult } from "../../src/policy/health.ts";
import { FakeTimers, settled } from "../support/fake-timers.ts";
import {
  checkedUpstream,
  grpcCheck,
  healthSpec,
  httpCheck,
  localEndpoint,
  openHealthBench,
  snapshotOf,
  type HealthBench,
} from "../support/health-bench.ts";

const FAIL = failed("refused", "connect ECONNREFUSED");
const DENIED = failed("not-serving", "NOT_SERVING", true);
const HEALTH = healthSpec(httpCheck());

/** A probe that answers from a script, and by hand when the script is at its end. */
class ScriptedProbe implements Probe {
  readonly target: ProbeTarget;
  readonly hooks: ProbeHooks;
  readonly startsMs: number[] = [];
  closed = false;
  underWay = 0;
  answer: ((result: ProbeResult) => void) | null = null;
  readonly #bench: Bench;

  constructor(bench: Bench, target: ProbeTarget, hooks: ProbeHooks) {
    this.#bench = bench;
    this.target = target;
    this.hooks = hooks;
  }

  async run(): Promise<ProbeResult> {
    this.startsMs.push(this.#bench.time.clock.nowMs());
    this.underWay++;
    assert.equal(this.underWay, 1, "two probes of one endpoint at once");
    const { promise, resolve } = Promise.withResolvers<ProbeResult>();
    this.answer = resolve;
    const next = this.#bench.script.shift();
    if (next !== undefined) resolve(next);
    const result = await promise;
    this.underWay--;
    return result;
  }

  close(): void {
    this.closed = true;
    this.answer?.(failed("reset", "given up"));
  }
}

interface Bench extends HealthBench {
  readonly time: FakeTimers;
  /** What the next probes find; when it is empty they wait. */
  readonly script: ProbeResult[];
  readonly probes: ScriptedProbe[];
  readonly probe: () => ScriptedProbe;
}

function open(t: TestContext, script: readonly ProbeResult[] = [], over: Partial<ProberOptions> = {}): Bench {
  const time = new FakeTimers();
  const probes: ScriptedProbe[] = [];
  const bench: Bench = {
    time,
    script: [...script],
    probes,
    probe: () => probes.at(-1) as ScriptedProbe,
    ...openHealthBench(t, {
      clock: time.clock,
      startTimer: time.startTimer,
      random: () => 0.5,
      openProbe: (target, hooks) => {
        const probe = new ScriptedProbe(bench, target, hooks);
        probes.push(probe);
        return Promise.resolve(probe);
      },
      ...over,
    }),
  };
  return bench;
}

function v2(health: HealthSpec | null = HEALTH, ports: readonly number[] = [9_002]) {
  return snapshotOf(
    checkedUpstream(
      ports.map((port) => localEndpoint(port)),
      health,
    ),
  );
}

function names(bench: HealthBench): readonly string[] {
  return bench.events.map((event) => event.name);
}

test("an endpoint with a health section is unknown as soon as apply returns", (t) => {
  const bench = open(t);
  assert.equal(bench.health(), "unchecked");
  bench.prober.apply(v2());
  assert.equal(bench.health(), "unknown");
  assert.equal(bench.reading().lastCheckAtMs, null);
});

test("an endpoint without a health section is unchecked and not asked", async (t) => {
  const bench = open(t);
  bench.status.setHealth(1, "unhealthy");
  bench.prober.apply(v2(null));
  await bench.time.pass(60_000);
  assert.equal(bench.health(), "unchecked");
  assert.deepEqual([bench.probes.length, bench.prober.readings().length], [0, 0]);
});

test("the first probe is at once, and its pass is enough", async (t) => {
  const bench = open(t, [PASS]);
  bench.prober.apply(v2());
  await bench.time.pass(0);
  assert.deepEqual(bench.probe().startsMs, [1_000]);
  assert.equal(bench.health(), "healthy");
  assert.deepEqual(names(bench), ["endpoint-first-pass"]);
  assert.equal(bench.backSince(), 0);
});

test("the endpoints of one upstream begin spread over a short time", async (t) => {
  let dice = 0;
  const bench = open(t, [PASS, PASS, PASS], { random: () => (dice = (dice + 0.31) % 1) });
  bench.prober.apply(v2(HEALTH, [9_001, 9_002, 9_003]));
  await bench.time.pass(FIRST_SPREAD_MS);
  const starts = bench.probes.map((probe) => probe.startsMs[0] as number);
  assert.equal(new Set(starts).size, 3);
  assert.ok(starts.every((start) => start >= 1_000 && start <= 1_000 + FIRST_SPREAD_MS));
});

test("a healthy endpoint is asked every interval, one that is not, or has just failed, every shorter one", async (t) => {
  const bench = open(t, [FAIL, PASS, PASS, FAIL, FAIL, FAIL, PASS, PASS, PASS]);
  bench.prober.apply(v2());
  await bench.time.pass(40_000);
  const { startsMs } = bench.probe();
  const waits = startsMs.slice(1).map((start, index) => start - (startsMs[index] as number));
  assert.deepEqual(waits, [1_000, 5_000, 5_000, 1_000, 1_000, 1_000, 1_000, 5_000, 5_000]);
  assert.deepEqual(names(bench), ["endpoint-first-pass", "endpoint-unhealthy", "endpoint-healthy"]);
});

test("jitter lengthens and shortens the waits", async (t) => {
  const dice = [0, 0.999_999];
  const bench = open(t, [PASS, PASS], { random: () => dice.shift() ?? 0.5 });
  bench.prober.apply(v2({ ...HEALTH, jitterPpm: 150_000 }));
  await bench.time.pass(4_250);
  assert.equal(bench.probe().startsMs.length, 2);
  await bench.time.pass(5_749);
  assert.equal(bench.probe().startsMs.length, 2);
  await bench.time.pass(1);
  assert.equal(bench.probe().startsMs.length, 3);
});

test("a probe that takes longer than the interval is not overtaken", async (t) => {
  const bench = open(t);
  bench.prober.apply(v2());
  await bench.time.pass(17_000);
  assert.deepEqual(bench.probe().startsMs, [1_000]);
  bench.probe().answer?.(PASS);
  await bench.time.pass(0);
  assert.deepEqual(bench.probe().startsMs, [1_000, 18_000]);
});

test("an unhealthy endpoint says why, and since when it is back", async (t) => {
  const bench = open(t, [PASS, FAIL, FAIL, FAIL]);
  bench.prober.apply(v2());
  await bench.time.pass(7_500);
  assert.equal(bench.health(), "unhealthy");
  const fields = { upstream: "v2", endpoint: "http://127.0.0.1:9002", before: "healthy" };
  assert.deepEqual(bench.events.at(-1), {
    level: "warn",
    name: "endpoint-unhealthy",
    message: "endpoint became unhealthy",
    fields: { ...fields, reason: "refused", detail: "connect ECONNREFUSED" },
  });
  bench.script.push(PASS, PASS);
  await bench.time.pass(2_000);
  assert.equal(bench.health(), "healthy");
  assert.equal(bench.backSince(), 10_000);
});

test("a reload that changes nothing of the check disturbs nothing", async (t) => {
  const bench = open(t, [PASS]);
  bench.prober.apply(v2());
  await bench.time.pass(2_000);
  bench.prober.apply(v2(structuredClone(HEALTH)));
  assert.equal(bench.health(), "healthy");
  bench.script.push(PASS);
  await bench.time.pass(4_000);
  assert.equal(bench.probes.length, 1);
  assert.deepEqual(bench.probe().startsMs, [1_000, 6_000]);
});

test("edited settings keep the state and begin a new probe", async (t) => {
  const bench = open(t, [PASS, FAIL, FAIL, FAIL]);
  bench.prober.apply(v2());
  await bench.time.pass(15_000);
  assert.equal(bench.health(), "unhealthy");
  bench.prober.apply(v2(healthSpec(grpcCheck())));
  assert.equal(bench.health(), "unhealthy");
  assert.equal(bench.probes[0]?.closed, true);
  bench.script.push(PASS);
  await bench.time.pass(0);
  assert.deepEqual([bench.probes.length, bench.health(), bench.reading().kind], [2, "unhealthy", "grpc"]);
  bench.script.push(PASS);
  await bench.time.pass(1_000);
  assert.equal(bench.health(), "healthy");
});

test("new trust in the upstream begins a new probe", async (t) => {
  const bench = open(t, [PASS, PASS]);
  const endpoint = localEndpoint(9_002, { scheme: "https" });
  const tls = { ca: "PEM", cert: null, key: null, serverName: null };
  bench.prober.apply(snapshotOf(checkedUpstream([endpoint], HEALTH)));
  await bench.time.pass(10);
  bench.prober.apply(snapshotOf(checkedUpstream([endpoint], HEALTH, { tls })));
  await bench.time.pass(10);
  assert.deepEqual([bench.probes.length, bench.health()], [2, "healthy"]);
});

test("a removed health section makes its endpoints unchecked and ends the probes", async (t) => {
  const bench = open(t, [PASS, FAIL, FAIL, FAIL, PASS]);
  bench.prober.apply(v2());
  await bench.time.pass(7_500);
  bench.prober.apply(v2(null));
  assert.equal(bench.health(), "unchecked");
  assert.equal(bench.probe().closed, true);
  await bench.time.pass(60_000);
  assert.deepEqual([bench.probes.length, bench.time.size], [1, 0]);
  const { live, health, passes, failures } = bench.reading();
  assert.deepEqual([live, health, passes, failures.refused], [false, "unchecked", 1, 3]);
});

test("an endpoint that left and came back is unknown, and its counters go on", async (t) => {
  const bench = open(t, [PASS]);
  bench.prober.apply(v2());
  await bench.time.pass(0);
  bench.prober.apply(snapshotOf());
  assert.equal(bench.reading().live, false);
  bench.prober.apply(v2());
  assert.equal(bench.health(), "unknown");
  bench.script.push(PASS);
  await bench.time.pass(0);
  assert.deepEqual([bench.health(), bench.reading().live, bench.reading().passes], ["healthy", true, 2]);
  assert.equal(bench.prober.readings().length, 1);
});

test("what a probe finds after its endpoint left changes nothing", async (t) => {
  const bench = open(t);
  bench.prober.apply(v2());
  await bench.time.pass(0);
  const { answer } = bench.probe();
  bench.prober.apply(v2(null));
  answer?.(PASS);
  await settled();
  assert.deepEqual([bench.health(), bench.reading().passes, bench.events.length], ["unchecked", 0, 0]);
});

test("a port of its own is asked instead of the endpoint's", async (t) => {
  const bench = open(t);
  const socket = localEndpoint(0, { host: "localhost", socketPath: "/run/v2.sock" });
  bench.prober.apply(snapshotOf(checkedUpstream([localEndpoint(9_002), socket], { ...HEALTH, port: 8_081 })));
  await bench.time.pass(FIRST_SPREAD_MS);
  const asked = bench.probes.map(({ target: { endpoint } }) => [endpoint.host, endpoint.port, endpoint.socketPath]);
  assert.deepEqual(asked, [
    ["127.0.0.1", 8_081, null],
    ["localhost", 8_081, null],
  ]);
  assert.deepEqual(
    bench.prober.readings().map((reading) => reading.endpoint),
    ["http://127.0.0.1:9002", "http+unix:///run/v2.sock"],
  );
});

test("a no that an endpoint says by itself is believed at once and looked after soon", async (t) => {
  const bench = open(t, [PASS]);
  bench.prober.apply(v2());
  await bench.time.pass(500);
  bench.probe().hooks.onDenied(DENIED);
  assert.equal(bench.health(), "unhealthy");
  assert.equal(bench.reading().failures["not-serving"], 1);
  assert.equal(
    bench.reading().durations.reduce((sum, count) => sum + count),
    1,
  );
  bench.script.push(PASS, PASS);
  await bench.time.pass(500);
  assert.deepEqual(bench.probe().startsMs, [1_000, 2_000]);
  await bench.time.pass(1_000);
  assert.equal(bench.health(), "healthy");
});

test("hints bring the next probe forward, but never nearer than the shorter interval", async (t) => {
  const bench = open(t, [PASS]);
  bench.prober.apply(v2());
  await bench.time.pass(400);
  for (let i = 0; i < 100; i++) bench.probe().hooks.onHint();
  await bench.time.pass(599);
  assert.deepEqual(bench.probe().startsMs, [1_000]);
  await bench.time.pass(1);
  assert.deepEqual(bench.probe().startsMs, [1_000, 2_000]);
  // While it is under way, one more makes it the last but one.
  bench.probe().hooks.onHint();
  bench.probe().answer?.(PASS);
  await bench.time.pass(1_000);
  assert.deepEqual(bench.probe().startsMs, [1_000, 2_000, 3_000]);
});

test("a server without the health service is told about once", async (t) => {
  const bench = open(
    t,
    Array.from({ length: 6 }, () => failed("unimplemented", "UNIMPLEMENTED")),
  );
  bench.prober.apply(v2(healthSpec(grpcCheck())));
  await bench.time.pass(5_000);
  assert.deepEqual(names(bench), ["health-unimplemented", "endpoint-unhealthy"]);
  assert.equal(bench.events[0]?.fields["setting"], "health.grpc.unimplemented: healthy");
});

test("durations and reasons are counted", async (t) => {
  const bench = open(t);
  bench.prober.apply(v2());
  for (const result of [PASS, FAIL, failed("timeout", "no answer within 1000 ms")]) {
    await bench.time.pass(5_000);
    bench.probe().answer?.(result);
  }
  await settled();
  const { passes, failures, durationSumS, durations, lastReason, lastDetail, lastCheckAtMs } = bench.reading();
  assert.deepEqual([passes, failures.refused, failures.timeout, failures.tls], [1, 1, 1, 0]);
  assert.equal(durationSumS, 15);
  assert.equal(
    durations.reduce((sum, count) => sum + count),
    3,
  );
  assert.deepEqual([lastReason, lastDetail], ["timeout", "no answer within 1000 ms"]);
  assert.equal(lastCheckAtMs, bench.time.clock.wallMs());
});

test("close ends all probes and timers and leaves the status words", async (t) => {
  const bench = open(t, [PASS]);
  bench.prober.apply(v2(HEALTH, [9_001, 9_002]));
  await bench.time.pass(FIRST_SPREAD_MS);
  await bench.prober.close();
  await settled();
  assert.ok(bench.probes.every((probe) => probe.closed));
  assert.deepEqual([bench.time.size, bench.health(1), bench.health(2)], [0, "healthy", "unknown"]);
});

test("a probe that cannot be made is a failed check and ends nothing", async (t) => {
  const bench = open(t, [], { openProbe: () => Promise.reject(new Error("its module is missing")) });
  bench.prober.apply(v2());
  await bench.time.pass(3_000);
  const { health, lastReason, lastDetail } = bench.reading();
  assert.deepEqual([health, lastReason, lastDetail], ["unhealthy", "protocol", "its module is missing"]);
});
