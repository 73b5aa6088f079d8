import assert from "node:assert/strict";
import { test } from "node:test";
import {
  FALLBACK_KINDS,
  RETRY_REASONS,
  RETRY_SKIPS,
  ROUTE_WORDS,
  THREAD_WORDS,
  statusSlot,
} from "../../src/base/cells.ts";
import { HealthRecord } from "../../src/control/health-record.ts";
import { healthReports } from "../../src/control/health-reports.ts";
import { PASS, failed } from "../../src/policy/health.ts";
import { createMetrics } from "../../src/telemetry/metrics.ts";
import { emptyHistogram, observeDuration } from "../../src/telemetry/resilience-reports.ts";
import type { CircuitReport } from "../../src/telemetry/resilience-reports.ts";
import { countingSource, linesOf } from "../support/metrics-source.ts";
import type { CountingSource } from "../support/metrics-source.ts";

const API = { name: "api", baseline: "v1", candidate: "v2", candidatePpm: 250_000 };
const PLACE = { upstream: "v2", endpoint: "http://127.0.0.1:9002" };
const LABELS = 'upstream="v2",endpoint="http://127.0.0.1:9002"';

function scrape(source: CountingSource): Promise<string> {
  return createMetrics(source, { version: "1.2.3", bucketsPerDoubling: 1 }).scrape();
}

function openCircuit(over: Partial<CircuitReport> = {}): CircuitReport {
  const now = {
    kind: "open" as const,
    isWhole: true,
    sinceWallMs: 0,
    retryInMs: 5,
    window: { requests: 0, failures: 0, slow: 0 },
  };
  return { ...PLACE, now, transitions: { closed: 1, open: 2, half_open: 1 }, openTimes: emptyHistogram(), ...over };
}

test("a circuit is 1 in the state it is in and 0 in the others, with its transitions", async () => {
  const source = countingSource([API]);
  source.now.circuits = [openCircuit()];
  const text = await scrape(source);
  assert.deepEqual(linesOf(text, "crossfade_circuit_state{"), [
    `crossfade_circuit_state{${LABELS},state="closed"} 0`,
    `crossfade_circuit_state{${LABELS},state="open"} 1`,
    `crossfade_circuit_state{${LABELS},state="half_open"} 0`,
  ]);
  assert.deepEqual(linesOf(text, "crossfade_circuit_transitions_total{"), [
    `crossfade_circuit_transitions_total{${LABELS},to="closed"} 1`,
    `crossfade_circuit_transitions_total{${LABELS},to="open"} 2`,
    `crossfade_circuit_transitions_total{${LABELS},to="half_open"} 1`,
  ]);
});

test("how long circuits were open is a histogram", async () => {
  const source = countingSource([API]);
  const openTimes = emptyHistogram();
  observeDuration(openTimes, 30_000);
  observeDuration(openTimes, 200_000);
  source.now.circuits = [openCircuit({ openTimes })];
  const text = await scrape(source);
  assert.ok(text.includes(`crossfade_circuit_open_seconds_bucket{le="32",${LABELS}} 1\n`));
  assert.ok(text.includes(`crossfade_circuit_open_seconds_bucket{le="+Inf",${LABELS}} 2\n`));
  assert.ok(text.includes(`crossfade_circuit_open_seconds_sum{${LABELS}} 230\n`));
});

test("a circuit that left the config keeps its counters and has no state", async () => {
  const source = countingSource([API]);
  source.now.circuits = [openCircuit({ now: null })];
  const text = await scrape(source);
  assert.deepEqual(linesOf(text, "crossfade_circuit_state{"), []);
  assert.equal(linesOf(text, "crossfade_circuit_transitions_total{").length, 3);
});

test("health shows who is up, what checks found and how long they took", async () => {
  const source = countingSource([API]);
  const record = new HealthRecord(PLACE.upstream, PLACE.endpoint, "http", 0);
  const show = async (): Promise<string> => {
    source.now.health = healthReports([record]);
    return scrape(source);
  };
  assert.ok((await show()).includes(`crossfade_health_up{${LABELS}} 0\n`), "unknown is not up");
  record.countResult(PASS, 10);
  record.countResult(failed("status", "answered 500"), 20);
  record.countResult(failed("status", "answered 500"), 30);
  record.countDuration(20);
  record.become("healthy", 10);
  const text = await show();
  assert.ok(text.includes(`crossfade_health_up{${LABELS}} 1\n`));
  assert.ok(text.includes(`crossfade_health_checks_total{${LABELS}} 3\n`));
  assert.deepEqual(linesOf(text, "crossfade_health_check_failures_total{"), [
    `crossfade_health_check_failures_total{${LABELS},reason="status"} 2`,
  ]);
  assert.ok(text.includes(`crossfade_health_check_duration_seconds_bucket{le="0.03125",${LABELS}} 1\n`));
  assert.ok(text.includes(`crossfade_health_check_duration_seconds_sum{${LABELS}} 0.02\n`));
  assert.equal(source.now.health[0]?.now?.reason, "status: answered 500");
  record.live = false;
  const gone = await show();
  assert.deepEqual(linesOf(gone, "crossfade_health_up{"), []);
  assert.ok(gone.includes(`crossfade_health_checks_total{${LABELS}} 3\n`));
});

test("ejections are counted, and shown while they last", async () => {
  const source = countingSource([API]);
  source.now.outliers = [{ ...PLACE, now: { ejected: true, backInMs: 100 }, ejections: 2 }];
  const text = await scrape(source);
  assert.ok(text.includes(`crossfade_outlier_ejected{${LABELS}} 1\n`));
  assert.ok(text.includes(`crossfade_outlier_ejections_total{${LABELS}} 2\n`));
});

test("what saved a request is counted by route: retries, fallbacks, hedges, and what was shed", async () => {
  const source = countingSource([API]);
  const words = source.words(0, { kind: "route", route: "api" });
  words[ROUTE_WORDS.retries + RETRY_REASONS.indexOf("gateway-error")] = 3;
  words[ROUTE_WORDS.retrySkips + RETRY_SKIPS.indexOf("budget")] = 2;
  words[ROUTE_WORDS.fallbacks + FALLBACK_KINDS.indexOf("stale")] = 4;
  words[ROUTE_WORDS.fallbacks + FALLBACK_KINDS.indexOf("none")] = 1;
  words[ROUTE_WORDS.hedged] = 7;
  words[ROUTE_WORDS.hedgesWon] = 5;
  words[ROUTE_WORDS.shed] = 9;
  const text = await scrape(source);
  for (const line of [
    'crossfade_retries_total{route="api",reason="gateway-error"} 3',
    'crossfade_retries_skipped_total{route="api",reason="budget"} 2',
    'crossfade_fallbacks_total{route="api",kind="stale"} 4',
    'crossfade_fallbacks_total{route="api",kind="none"} 1',
    'crossfade_hedges_total{route="api",result="started"} 7',
    'crossfade_hedges_total{route="api",result="won"} 5',
    'crossfade_shed_total{route="api"} 9',
  ])
    assert.ok(text.includes(`${line}\n`), line);
  assert.equal(linesOf(text, "crossfade_retries_total{").length, 1);
  assert.equal(linesOf(text, "crossfade_fallbacks_total{").length, 2);
});

test("answers of a local fallback are an arm of their own", async () => {
  const source = countingSource([API]);
  source.words(0, { kind: "exchange", route: "api", arm: "fallback", upstream: "local" })[statusSlot(200)] = 6;
  assert.deepEqual(linesOf(await scrape(source), "crossfade_requests_total{"), [
    'crossfade_requests_total{code="200",route="api",arm="fallback",upstream="local"} 6',
  ]);
});

test("the stage of overload is that of the worst thread, not a sum", async () => {
  const source = countingSource([API], 3);
  for (const [thread, stage] of [1, 2, 1].entries()) {
    source.words(thread, { kind: "thread" })[THREAD_WORDS.overloadStage] = stage;
  }
  assert.ok((await scrape(source)).includes("crossfade_overload_stage 2\n"));
});
