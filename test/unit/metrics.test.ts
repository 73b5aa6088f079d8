import assert from "node:assert/strict";
import { test } from "node:test";
import {
  ARM_LABELS,
  DECISION_REASONS,
  HISTOGRAM_BUCKETS,
  HISTOGRAM_SUM,
  packControlWord,
  ROUTE_WORDS,
  statusSlot,
  THREAD_WORDS,
  UPSTREAM_WORDS,
} from "../../src/base/cells.ts";
import { FAILURE_KINDS } from "../../src/base/failure.ts";
import { BUCKET_COUNT, bucketOf, bucketUpperBound } from "../../src/base/histogram.ts";
import type { ArmLabel } from "../../src/base/cells.ts";
import type { SeriesKey } from "../../src/base/series.ts";
import { emptyHistogram } from "../../src/telemetry/resilience-reports.ts";
import { createMetrics, FAMILIES } from "../../src/telemetry/metrics.ts";
import type { BucketsPerDoubling } from "../../src/telemetry/scrape-view.ts";
import { countingSource, linesOf, plannedSnapshot } from "../support/metrics-source.ts";
import type { CountingSource } from "../support/metrics-source.ts";

const API = { name: "api", baseline: "v1", candidate: "v2", candidatePpm: 250_000 };

function exchange(arm: ArmLabel, upstream: string, route = "api"): SeriesKey {
  return { kind: "exchange", route, arm, upstream };
}

function scrape(source: CountingSource, bucketsPerDoubling: BucketsPerDoubling = 1): Promise<string> {
  return createMetrics(source, { version: "1.2.3", bucketsPerDoubling }).scrape();
}

/** Counts as a data thread does after an exchange of this length. */
function observe(words: Float64Array, durationMs: number): void {
  words[HISTOGRAM_SUM] = (words[HISTOGRAM_SUM] as number) + durationMs / 1000;
  const index = HISTOGRAM_BUCKETS + bucketOf(durationMs);
  words[index] = (words[index] as number) + 1;
}

test("a counter is the sum of what all data threads counted", async () => {
  const source = countingSource([API], 3);
  for (const thread of [0, 1, 2]) source.words(thread, exchange("candidate", "v2"))[statusSlot(200)] = 10 + thread;
  const text = await scrape(source);
  assert.deepEqual(linesOf(text, "crossfade_requests_total{"), [
    'crossfade_requests_total{code="200",route="api",arm="candidate",upstream="v2"} 33',
  ]);
});

test("a thread that has no page for a series yet counts as zero", async () => {
  const source = countingSource([API], 2);
  source.words(1, { kind: "route", route: "api" })[ROUTE_WORDS.started] = 4;
  assert.deepEqual(linesOf(await scrape(source), "crossfade_requests_in_flight{"), [
    'crossfade_requests_in_flight{route="api"} 4',
  ]);
});

test("a status code appears with its first request, and one without a counter of its own is _other", async () => {
  const source = countingSource([API]);
  const words = source.words(0, exchange("baseline", "v1"));
  words[statusSlot(503)] = 2;
  words[statusSlot(599)] = 1;
  assert.deepEqual(linesOf(await scrape(source), "crossfade_requests_total{"), [
    'crossfade_requests_total{code="_other",route="api",arm="baseline",upstream="v1"} 1',
    'crossfade_requests_total{code="503",route="api",arm="baseline",upstream="v1"} 2',
  ]);
});

for (const bucketsPerDoubling of [1, 2, 4, 8] as const) {
  test(`histograms at ${bucketsPerDoubling} bounds per doubling are cumulative, and every bound is a counted one`, async () => {
    const source = countingSource([API]);
    const durationsMs = [0.05, 0.2, 1, 1.5, 3, 40, 40, 950, 200_000];
    for (const [i, ms] of durationsMs.entries()) observe(source.words(i % 2, exchange("baseline", "v1")), ms);
    const text = await scrape(source, bucketsPerDoubling);
    const buckets = linesOf(text, "crossfade_request_duration_seconds_bucket").map((line) => {
      const [, le, count] = /le="([^"]+)",route="api",arm="baseline"\} (\d+)$/.exec(line) ?? [];
      return { le: le === "+Inf" ? Infinity : Number(le), count: Number(count) };
    });
    assert.equal(buckets.length, 20 * bucketsPerDoubling + 2);
    const counted = new Set(Array.from({ length: BUCKET_COUNT }, (_, index) => bucketUpperBound(index)));
    for (const { le, count } of buckets) {
      assert.ok(counted.has(le), `${le} is a bound that is counted at`);
      assert.equal(count, durationsMs.filter((ms) => ms / 1000 <= le).length, `le=${le}`);
    }
    assert.deepEqual(linesOf(text, "crossfade_request_duration_seconds_count"), [
      'crossfade_request_duration_seconds_count{route="api",arm="baseline"} 9',
    ]);
    const [sum] = linesOf(text, "crossfade_request_duration_seconds_sum");
    assert.ok(Math.abs(Number(sum?.split(" ").at(-1)) - 201.03575) < 1e-9, String(sum));
  });
}

test("an arm whose upstream changed has one histogram, not two of the same name", async () => {
  const source = countingSource([API]);
  observe(source.words(0, exchange("candidate", "v2")), 5);
  observe(source.words(0, exchange("candidate", "v3")), 6);
  assert.deepEqual(linesOf(await scrape(source), "crossfade_request_duration_seconds_count"), [
    'crossfade_request_duration_seconds_count{route="api",arm="candidate"} 2',
  ]);
});

test("upstreams show time to first byte, failures by kind, and their pool", async () => {
  const source = countingSource([API]);
  const words = source.words(0, { kind: "upstream", upstream: "v2" });
  observe(words, 12);
  words[UPSTREAM_WORDS.failures + FAILURE_KINDS.indexOf("head-timeout")] = 3;
  const { active, idle, pending, opened, reused, overflowed, acquireTimedOut, overloaded } = UPSTREAM_WORDS;
  for (const [i, word] of [active, idle, pending, opened, reused, overflowed, acquireTimedOut, overloaded].entries()) {
    words[word] = i + 1;
  }
  const text = await scrape(source);
  assert.deepEqual(linesOf(text, "crossfade_upstream_duration_seconds_count"), [
    'crossfade_upstream_duration_seconds_count{upstream="v2"} 1',
  ]);
  assert.deepEqual(linesOf(text, "crossfade_upstream_failures_total{"), [
    'crossfade_upstream_failures_total{upstream="v2",kind="head-timeout"} 3',
  ]);
  assert.deepEqual(linesOf(text, "crossfade_pool_"), [
    'crossfade_pool_connections{upstream="v2",state="active"} 1',
    'crossfade_pool_connections{upstream="v2",state="idle"} 2',
    'crossfade_pool_pending{upstream="v2"} 3',
    'crossfade_pool_reused_total{upstream="v2"} 5',
    'crossfade_pool_opened_total{upstream="v2"} 4',
    'crossfade_pool_overflow_total{upstream="v2",reason="overflow"} 6',
    'crossfade_pool_overflow_total{upstream="v2",reason="acquire-timeout"} 7',
    'crossfade_pool_overflow_total{upstream="v2",reason="too-many-in-flight"} 8',
  ]);
});

test("decisions and retries carry their reasons", async () => {
  const source = countingSource([API]);
  const words = source.words(0, { kind: "route", route: "api" });
  const candidate = ARM_LABELS.indexOf("candidate");
  words[ROUTE_WORDS.decisions + DECISION_REASONS.indexOf("override") + 16 * candidate] = 5;
  words[ROUTE_WORDS.decisions + DECISION_REASONS.indexOf("killed")] = 2;
  words[ROUTE_WORDS.retries] = 1;
  const text = await scrape(source);
  assert.deepEqual(linesOf(text, "crossfade_decisions_total{"), [
    'crossfade_decisions_total{route="api",arm="baseline",reason="killed"} 2',
    'crossfade_decisions_total{route="api",arm="candidate",reason="override"} 5',
  ]);
  assert.deepEqual(linesOf(text, "crossfade_retries_total{"), [
    'crossfade_retries_total{route="api",reason="stale-connection"} 1',
  ]);
});

test("numbers of the threads themselves come from their first block", async () => {
  const source = countingSource([API]);
  const words = source.words(1, { kind: "thread" });
  for (const [i, word] of Object.values(THREAD_WORDS).entries()) words[word] = i + 1;
  const text = await scrape(source);
  const value = (name: string): number => Number(linesOf(text, `${name} `)[0]?.split(" ").at(-1));
  assert.equal(value("crossfade_downstream_connections"), 1);
  assert.equal(value("crossfade_downstream_connections_accepted_total"), 2);
  assert.equal(value("crossfade_refused_total"), 3);
  assert.equal(value("crossfade_access_records_dropped_total"), 4);
  assert.equal(value("crossfade_upgrades_open"), 5);
  assert.deepEqual(linesOf(text, "crossfade_lane_total{"), [
    'crossfade_lane_total{lane="library"} 7',
    'crossfade_lane_total{lane="native"} 8',
    'crossfade_lane_total{lane="upgrade"} 9',
  ]);
  assert.deepEqual(linesOf(text, "crossfade_failures_total{"), [
    `crossfade_failures_total{kind="${FAILURE_KINDS[0]}"} 10`,
  ]);
});

test("the share shown is the one in force: the control word's, else the plan's own, and zero while killed", async () => {
  const source = countingSource([API, { ...API, name: "web" }, { ...API, name: "old", candidate: null }]);
  const share = async (): Promise<string[]> => linesOf(await scrape(source), "crossfade_split_share{");
  const killed = async (): Promise<string[]> => linesOf(await scrape(source), "crossfade_killed{");
  source.controlWords[0] = packControlWord({ candidatePpm: 500_000, killed: false, epoch: 1 });
  source.controlWords[1] = packControlWord({ candidatePpm: 900_000, killed: false, epoch: 2 });
  assert.deepEqual(await share(), [
    'crossfade_split_share{route="api"} 0.5',
    'crossfade_split_share{route="web"} 0.25',
    'crossfade_split_share{route="old"} 0',
  ]);
  source.controlWords[1] = packControlWord({ candidatePpm: 900_000, killed: true, epoch: 2 });
  assert.equal((await share())[1], 'crossfade_split_share{route="web"} 0');
  assert.deepEqual(await killed(), [
    'crossfade_killed{route="api"} 0',
    'crossfade_killed{route="web"} 1',
    'crossfade_killed{route="old"} 0',
  ]);
});

test("config, threads and build are shown", async () => {
  const source = countingSource([API]);
  source.now.snapshot = plannedSnapshot([API], 7);
  source.now.reloads = { applied: 5, refused: 1, unchanged: 2, lastOk: false };
  source.now.threads = [
    { kind: "control", state: "running", count: 1 },
    { kind: "data", state: "running", count: 2 },
    { kind: "data", state: "starting", count: 1 },
  ];
  source.now.threadRestarts = [{ kind: "data", count: 4 }];
  const text = await scrape(source);
  assert.deepEqual(linesOf(text, "crossfade_config_"), [
    "crossfade_config_generation 7",
    'crossfade_config_reloads_total{result="applied"} 5',
    'crossfade_config_reloads_total{result="refused"} 1',
    'crossfade_config_reloads_total{result="unchanged"} 2',
    "crossfade_config_last_reload_success 0",
  ]);
  const threads = linesOf(text, "crossfade_threads{").filter((line) => !line.endsWith(" 0"));
  assert.deepEqual(threads, [
    'crossfade_threads{kind="control",state="running"} 1',
    'crossfade_threads{kind="data",state="starting"} 1',
    'crossfade_threads{kind="data",state="running"} 2',
  ]);
  assert.ok(text.includes('crossfade_thread_restarts_total{kind="data"} 4\n'));
  assert.ok(text.includes(`crossfade_build_info{version="1.2.3",node="${process.version}"} 1\n`));
});

test("before the first snapshot a scrape answers with what there is", async () => {
  const source = countingSource([]);
  source.now.snapshot = null;
  const text = await scrape(source);
  assert.ok(text.includes("crossfade_config_generation 0\n"));
  assert.deepEqual(linesOf(text, "crossfade_split_share{"), []);
});

test("a removed route keeps its counters, and its gauges only until they are zero", async () => {
  const source = countingSource([API]);
  source.words(0, exchange("baseline", "v1"))[statusSlot(200)] = 8;
  const routeWords = source.words(0, { kind: "route", route: "api" });
  routeWords[ROUTE_WORDS.started] = 9;
  routeWords[ROUTE_WORDS.finished] = 8;
  source.words(0, { kind: "upstream", upstream: "v1" })[UPSTREAM_WORDS.active] = 1;
  source.now.snapshot = plannedSnapshot([{ ...API, name: "other", baseline: "v9", candidate: null }], 2);
  const draining = await scrape(source);
  assert.deepEqual(linesOf(draining, "crossfade_requests_in_flight{"), ['crossfade_requests_in_flight{route="api"} 1']);
  assert.deepEqual(linesOf(draining, "crossfade_pool_connections{"), [
    'crossfade_pool_connections{upstream="v1",state="active"} 1',
  ]);
  routeWords[ROUTE_WORDS.finished] = 9;
  source.words(0, { kind: "upstream", upstream: "v1" })[UPSTREAM_WORDS.active] = 0;
  const gone = await scrape(source);
  assert.deepEqual(linesOf(gone, "crossfade_requests_in_flight{"), []);
  assert.deepEqual(linesOf(gone, "crossfade_pool_connections{"), []);
  assert.equal(linesOf(gone, "crossfade_requests_total{").length, 1);
});

test("a gauge read in the middle of a request is never negative", async () => {
  const source = countingSource([API]);
  source.words(0, { kind: "route", route: "api" })[ROUTE_WORDS.finished] = 1;
  assert.deepEqual(linesOf(await scrape(source), "crossfade_requests_in_flight{"), [
    'crossfade_requests_in_flight{route="api"} 0',
  ]);
});

test("names with quotes, backslashes and line ends cannot break out of a label", async () => {
  const source = countingSource([{ ...API, name: 'a"} 1\nevil_total 9\\' }]);
  const text = await scrape(source);
  assert.deepEqual(linesOf(text, "evil_total"), []);
  assert.ok(text.includes('crossfade_killed{route="a\\"} 1\\nevil_total 9\\\\"} 0\n'));
});

test("every family keeps to its labels, and no two lines have the same name and labels", async () => {
  const source = countingSource([API]);
  fillEverything(source);
  const text = await scrape(source, 2);
  const seen = new Set<string>();
  for (const family of FAMILIES) {
    const lines = linesOf(text, `${family.name}{`).concat(linesOf(text, `${family.name} `));
    if (family.type !== "histogram") assert.ok(lines.length > 0, family.name);
    for (const line of lines) {
      const labels = [...line.matchAll(/[{,]([a-z_]+)="/g)].map(([, label]) => label as string);
      assert.deepEqual(labels.toSorted(), family.labels.toSorted(), line);
    }
  }
  for (const line of text.split("\n")) {
    if (line === "" || line.startsWith("#")) continue;
    const series = line.slice(0, line.lastIndexOf(" "));
    assert.ok(!seen.has(series), `twice: ${series}`);
    seen.add(series);
  }
});

test("names obey the rules that a metrics linter checks", async () => {
  const text = await scrape(countingSource([API]));
  const types = [...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name, type]) => ({ name, type }));
  assert.ok(types.length > FAMILIES.length, "the process defaults are there too");
  for (const { name, type } of types) {
    assert.match(name as string, /^[a-z][a-z0-9_]*$/);
    assert.equal((name as string).endsWith("_total"), type === "counter", `${name} is a ${type}`);
    assert.doesNotMatch(name as string, /_(ms|millis|milliseconds|kb|mb|percent|counter|gauge|histogram)(_|$)/);
    assert.ok(text.includes(`# HELP ${name} `), String(name));
  }
});

test("a scrape of a thousand series has a line for each, from one reading of the source", async () => {
  const routes = Array.from({ length: 250 }, (_, i) => ({ ...API, name: `route-${i}`, candidatePpm: i }));
  const source = countingSource(routes);
  let readings = 0;
  const counted = { ...source, series: () => (readings++, source.series()) };
  for (const { name } of routes) {
    source.words(0, exchange("baseline", "v1", name))[statusSlot(200)] = 1;
    source.words(1, exchange("candidate", "v2", name))[statusSlot(200)] = 1;
    source.words(1, exchange("none", "none", name))[statusSlot(404)] = 1;
    source.words(0, { kind: "route", route: name })[ROUTE_WORDS.started] = 1;
  }
  const text = await scrape(counted);
  assert.equal(linesOf(text, "crossfade_requests_total{").length, 750);
  assert.equal(linesOf(text, "crossfade_requests_in_flight{").length, 250);
  assert.equal(readings, 1);
});

function fillEverything(source: CountingSource): void {
  const place = { upstream: "v1", endpoint: "http://v1" };
  const histogram = emptyHistogram().fill(1);
  const circuit = { retryInMs: null, isWhole: true, window: { requests: 1, failures: 1, slow: 1 } };
  source.now.health = [
    {
      ...place,
      now: { health: "healthy", sinceWallMs: 1, reason: null },
      checks: 1,
      failures: { status: 1, timeout: 1 },
      durations: histogram,
    },
  ];
  source.now.circuits = [
    {
      ...place,
      now: { ...circuit, kind: "closed", sinceWallMs: 1 },
      transitions: { closed: 1, open: 1, half_open: 1 },
      openTimes: histogram,
    },
  ];
  source.now.outliers = [{ ...place, now: { ejected: false, backInMs: 0 }, ejections: 1 }];
  const keys: SeriesKey[] = [
    { kind: "thread" },
    { kind: "route", route: "api" },
    exchange("baseline", "v1"),
    exchange("candidate", "v2"),
    exchange("none", "none"),
    exchange("fallback", "v3"),
    { kind: "upstream", upstream: "v1" },
    { kind: "upstream", upstream: "v2" },
  ];
  for (const thread of [0, 1]) for (const key of keys) source.words(thread, key).fill(1);
}

test("a family whose lines fill the last slice exactly loses none of them", async () => {
  const routes = Array.from({ length: 1_000 }, (_, i) => ({ ...API, name: `route-${i}` }));
  const text = await scrape(countingSource(routes));
  assert.equal(linesOf(text, "crossfade_killed{").length, 1_000);
  assert.ok(text.includes('crossfade_killed{route="route-999"} 0\n# HELP'));
});

test("a family with more lines than are formatted at a time comes out whole, with one heading", async () => {
  const routes = Array.from({ length: 120 }, (_, i) => ({ ...API, name: `route-${i}` }));
  const source = countingSource(routes);
  for (const { name } of routes) observe(source.words(0, exchange("baseline", "v1", name)), 5);
  const text = await scrape(source, 2);
  const name = "crossfade_request_duration_seconds";
  assert.equal(linesOf(text, `${name}_bucket{`).length, 120 * 42);
  assert.equal(linesOf(text, `${name}_count{`).length, 120);
  assert.equal(linesOf(text, `# TYPE ${name} `).length, 1);
  assert.equal(linesOf(text, `# HELP ${name} `).length, 1);
  assert.ok(!text.includes("\n\n") && text.endsWith("\n"));
});

test("scrapes at the same time do not mix their numbers, and other work goes on between their parts", async () => {
  const routes = Array.from({ length: 50 }, (_, i) => ({ ...API, name: `route-${i}` }));
  const source = countingSource(routes);
  for (const { name } of routes) source.words(0, exchange("baseline", "v1", name)).fill(1);
  const metrics = createMetrics(source, { version: "1", bucketsPerDoubling: 4 });
  let turns = 0;
  const timer = setInterval(() => turns++, 0);
  const scrapes = [metrics.scrape()];
  for (const { name } of routes) source.words(0, exchange("baseline", "v1", name)).fill(2);
  scrapes.push(metrics.scrape(), metrics.scrape());
  const [before, after, again] = (await Promise.all(scrapes)).map((text) => ownLines(text));
  clearInterval(timer);
  assert.ok(turns > 0, "a timer fired during the scrapes");
  assert.deepEqual(again, after);
  assert.equal(before?.length, after?.length);
  assert.ok(before?.includes('crossfade_requests_total{code="200",route="route-7",arm="baseline",upstream="v1"} 1'));
  assert.ok(after?.includes('crossfade_requests_total{code="200",route="route-7",arm="baseline",upstream="v1"} 2'));
});

function ownLines(text: string): string[] {
  return linesOf(text, "crossfade_");
}
