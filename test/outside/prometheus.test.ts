import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { setTimeout } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { Scope } from "../support/scope.ts";
import { startHttpUpstream } from "../support/http-upstream.ts";
import { useSidecar, type Sidecar } from "../support/sidecar.ts";
import { findTool, freePort, runTool, startTool, testWith, untilListening, useFolder } from "./tools.ts";

const PROMTOOL = findTool("promtool");
const PROMETHEUS = findTool("prometheus");
const ALERTS = fileURLToPath(new URL("../../deploy/prometheus/alerts.yaml", import.meta.url));
const ALERT_TESTS = fileURLToPath(new URL("../../deploy/prometheus/alerts.test.yaml", import.meta.url));

testWith([PROMTOOL], "promtool finds nothing wrong with a filled exposition", 30_000, async (t, [promtool = ""]) => {
  const sidecar = await startFilled(t);
  const answer = await fetch(`${sidecar.metricsUrl}/metrics`);
  const exposition = await answer.text();
  for (const name of [
    "requests_total",
    "request_duration_seconds_bucket",
    "upstream_duration_seconds_bucket",
    "circuit_state",
    "health_check_failures_total",
  ]) {
    assert.match(exposition, new RegExp(`^crossfade_${name}\\{.*\\} [1-9]`, "m"), "the exposition must be filled");
  }
  const { code, stdout, stderr } = await runTool(promtool, ["check", "metrics"], {
    deadlineMs: 10_000,
    input: exposition,
  });
  assert.deepEqual({ code, printed: stdout + stderr }, { code: 0, printed: "" });
});

testWith([PROMTOOL], "promtool finds nothing wrong with the alert rules", 30_000, async (_, [promtool = ""]) => {
  const { code, stdout, stderr } = await runTool(promtool, ["check", "rules", ALERTS], { deadlineMs: 20_000 });
  assert.equal(code, 0, stdout + stderr);
});

testWith([PROMTOOL], "the alert rules fire when they should and not otherwise", 60_000, async (_, [promtool = ""]) => {
  const { code, stdout, stderr } = await runTool(promtool, ["test", "rules", ALERT_TESTS], { deadlineMs: 50_000 });
  assert.equal(code, 0, stdout + stderr);
});

testWith(
  [PROMETHEUS],
  "a real Prometheus scrapes the sidecar: up is 1 and the counters are right",
  60_000,
  async (t, [prometheus = ""]) => {
    const sidecar = await startFilled(t);
    const server = await startPrometheus(t, prometheus, sidecar);
    assert.equal(await untilValue(server, 'up{job="crossfade"}', 1), 1);
    const served = 'crossfade_requests_total{route="api",code="200"}';
    assert.equal(await untilValue(server, `sum(${served})`, REQUESTS), REQUESTS);
    assert.equal(await untilValue(server, `count(${served})`, 2), 2);
    assert.equal(await untilValue(server, 'crossfade_split_share{route="api"}', 0.5), 0.5);
    const quantile = "histogram_quantile(0.99, sum by (le) (crossfade_request_duration_seconds_bucket))";
    const p99 = await untilValue(server, quantile, null);
    assert.ok(p99 > 0 && p99 < 10, `p99 is ${p99} s`);
    const targets = (await (await fetch(`${server}/api/v1/targets`)).json()) as Targets;
    assert.deepEqual(
      targets.data.activeTargets.map(({ health, lastError }) => ({ health, lastError })),
      [{ health: "up", lastError: "" }],
    );
  },
);

const REQUESTS = 40;

interface Targets {
  readonly data: { readonly activeTargets: readonly { readonly health: string; readonly lastError: string }[] };
}

interface QueryAnswer {
  readonly data: { readonly result: readonly { readonly value: readonly [time: number, value: string] }[] };
}

/** A sidecar that has served both arms, refused a path and met a dead upstream. */
async function startFilled(scope: Scope): Promise<Sidecar> {
  const [v1, v2] = [await startHttpUpstream(scope), await startHttpUpstream(scope, { name: "v2" })];
  const dead = `http://127.0.0.1:${await freePort()}`;
  const sticky = [{ header: "x-user-id" }];
  const sidecar = await useSidecar(scope, {
    upstreams: {
      v1: { endpoints: [v1.url] },
      v2: { endpoints: [v2.url], circuitBreaker: {} },
      dead: { endpoints: [dead], health: { tcp: {}, panic: "send" } },
    },
    routes: [
      {
        name: "api",
        match: { pathPrefix: "/api/" },
        split: { baseline: "v1", candidate: "v2", share: "50%", sticky },
      },
      { name: "dead", match: { pathPrefix: "/dead" }, split: { baseline: "dead" } },
    ],
  });
  for (let i = 0; i < REQUESTS; i++) await call(sidecar, `/api/${i}`, { "x-user-id": `user-${i}` });
  assert.equal(await call(sidecar, "/dead"), 502);
  assert.equal(await call(sidecar, "/nowhere"), 404);
  return sidecar;
}

async function call(sidecar: Sidecar, target: string, headers: Record<string, string> = {}): Promise<number> {
  const answer = await fetch(`${sidecar.url}${target}`, { headers });
  await answer.arrayBuffer();
  return answer.status;
}

/** Starts a Prometheus that scrapes twice a second and stores into a folder of the test. */
async function startPrometheus(scope: Scope, prometheus: string, sidecar: Sidecar): Promise<string> {
  const folder = useFolder(scope);
  const port = await freePort();
  const target = new URL(sidecar.metricsUrl ?? "").host;
  const config = {
    global: { scrape_interval: "500ms", scrape_timeout: "500ms" },
    scrape_configs: [{ job_name: "crossfade", static_configs: [{ targets: [target] }] }],
  };
  // JSON is YAML too.
  fs.writeFileSync(path.join(folder, "prometheus.yml"), JSON.stringify(config));
  startTool(scope, prometheus, [
    `--config.file=${path.join(folder, "prometheus.yml")}`,
    `--storage.tsdb.path=${path.join(folder, "data")}`,
    `--web.listen-address=127.0.0.1:${port}`,
    "--log.level=warn",
  ]);
  await untilListening(port, "prometheus");
  await untilReady(`http://127.0.0.1:${port}`);
  return `http://127.0.0.1:${port}`;
}

/** It listens before it has read its own storage, and answers 503 until then. */
async function untilReady(server: string): Promise<void> {
  const deadlineMs = performance.now() + 20_000;
  for (;;) {
    const answer = await fetch(`${server}/-/ready`);
    await answer.arrayBuffer();
    if (answer.ok) return;
    assert.ok(performance.now() < deadlineMs, "prometheus is not ready after 20 s");
    await setTimeout(50);
  }
}

/** Asks until the answer is this value, or any number for null; after 20 s whatever it is. */
async function untilValue(server: string, query: string, value: number | null): Promise<number> {
  const deadlineMs = performance.now() + 20_000;
  for (;;) {
    const answer = await fetch(`${server}/api/v1/query?query=${encodeURIComponent(query)}`);
    const { data } = (await answer.json()) as QueryAnswer;
    const found = Number(data.result[0]?.value[1]);
    const wanted = value === null ? Number.isFinite(found) : found === value;
    if (wanted || performance.now() > deadlineMs) return found;
    await setTimeout(100);
  }
}
