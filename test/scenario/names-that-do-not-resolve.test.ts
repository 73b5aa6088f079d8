import assert from "node:assert/strict";
import test from "node:test";
import { reload } from "../support/admin-calls.ts";
import { askAs, chaosConfig, getOf, ON_V2, untilCircuit, untilServedByV2 } from "../support/chaos.ts";
import { useFolder } from "../support/control-plane.ts";
import { useNames } from "../support/faults.ts";
import { startLoad } from "../support/load.ts";
import { connectRaw } from "../support/raw-client.ts";
import { scrape, scrapeUntil } from "../support/scrape.ts";
import { useSidecar } from "../support/sidecar.ts";
import { spawnUpstream } from "../support/spawn-upstream.ts";
import { until } from "../support/until.ts";

const NAME = "v2.names.test";

test("when the name of v2 stops resolving, no GET fails, its circuit opens, and it comes back with the name", async (t) => {
  const names = useNames(useFolder(t));
  names.resolve(NAME);
  const [v1, v2] = await Promise.all([spawnUpstream(t, "v1"), spawnUpstream(t, "v2")]);
  // An open connection needs no name: each request must need one.
  await v2.behave({ kind: "closing" });
  const urls = { v1: v1.url, v2: `http://${NAME}:${v2.port}` };
  const sidecar = await useSidecar(t, chaosConfig(urls), names.options);
  const load = startLoad(t, { port: sidecar.port, connections: 12, requestsPerSecond: 200, request: getOf });
  await until(() => load.answers.some(({ servedBy }) => servedBy === "v2"), "an answer of v2");
  names.resolve();
  await untilCircuit(sidecar, "open");
  await load.more(50);
  names.resolve(NAME);
  await untilCircuit(sidecar, "closed");
  const back = load.answers.length;
  await until(() => load.answers.slice(back).some(({ servedBy }) => servedBy === "v2"), "an answer of v2");
  await load.stop();
  assert.deepEqual(load.failures, []);
  assert.deepEqual([...new Set(load.answers.map(({ status }) => status))], [200]);
  const after = await scrape(sidecar);
  const kind = "connect-failure";
  assert.ok(after.sum("crossfade_upstream_failures_total", { upstream: "v2", kind }) >= 3);
});

test("a health check whose name does not resolve says so, and its candidate gets nothing until it does", async (t) => {
  const names = useNames(useFolder(t));
  names.resolve();
  const [v1, v2] = await Promise.all([spawnUpstream(t, "v1"), spawnUpstream(t, "v2")]);
  const health = { http: { path: "/healthz" }, interval: "100ms", timeout: "100ms" };
  const config = chaosConfig({ v1: v1.url, v2: `http://${NAME}:${v2.port}` }, { v2: { health } });
  const sidecar = await useSidecar(t, config, names.options);
  const client = await connectRaw(t, sidecar.port);
  await scrapeUntil(sidecar, "a check that failed for its name", (now) => {
    return now.sum("crossfade_health_check_failures_total", { upstream: "v2", reason: "dns" }) >= 3;
  });
  assert.deepEqual(await askAs(client, ON_V2[0] as string), {
    status: 200,
    servedBy: "v1",
    fallback: null,
    error: null,
  });
  names.resolve(NAME);
  await untilServedByV2(client);
});

test("a reload to a name that does not exist sends v2's callers to v1; after the reload back the next probes bring them back", async (t) => {
  const [v1, v2] = await Promise.all([spawnUpstream(t, "v1"), spawnUpstream(t, "v2")]);
  const right = chaosConfig({ v1: v1.url, v2: `http://localhost:${v2.port}` });
  const sidecar = await useSidecar(t, right);
  const load = startLoad(t, { port: sidecar.port, connections: 12, requestsPerSecond: 200, request: getOf });
  await until(() => load.answers.some(({ servedBy }) => servedBy === "v2"), "an answer of v2");
  // RFC 6761 §6.4: never resolves.
  sidecar.writeConfig(chaosConfig({ v1: v1.url, v2: `http://v2.invalid:${v2.port}` }));
  await reload(sidecar);
  await untilCircuit(sidecar, "open");
  await load.more(50);
  sidecar.writeConfig(right);
  await reload(sidecar);
  // The circuit is the upstream's, whatever its address: it is still open.
  await untilCircuit(sidecar, "closed");
  const back = load.answers.length;
  await until(() => load.answers.slice(back).some(({ servedBy }) => servedBy === "v2"), "an answer of v2");
  await load.stop();
  assert.deepEqual(load.failures, []);
  assert.deepEqual([...new Set(load.answers.map(({ status }) => status))], [200]);
});
