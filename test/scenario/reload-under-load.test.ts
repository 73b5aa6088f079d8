import assert from "node:assert/strict";
import test from "node:test";
import { bucketOfKey } from "../../src/model/split.ts";
import { reload, setSplit } from "../support/admin-calls.ts";
import { openFiles } from "../support/faults.ts";
import { startLoad, type LoadAnswer, type LoadRequest } from "../support/load.ts";
import { assertMonotonic, scrape, scrapeUntil } from "../support/scrape.ts";
import { fileScope } from "../support/scope.ts";
import { useSidecar } from "../support/sidecar.ts";
import { spawnUpstream } from "../support/spawn-upstream.ts";
import { until } from "../support/until.ts";
import { openEchoSocket, type EchoSocket } from "../support/ws-peer.ts";

const RELOADS = 200;
const SPLIT_CHANGES = 20;
/** Reloads before memory is first looked at: until then code is compiled and pools fill. */
const WARM_UP = 80;
const MIB = 1_048_576;
/** Generous beside the noise of four heaps; far below 120 leaked snapshots with their pools. */
const RESIDENT_GROWTH_LIMIT = 20 * MIB;
/** Heaps that are kept small, so that the resident set shows what is held and not what was not collected yet. */
const SMALL_HEAPS = ["--max-semi-space-size=1", "--max-old-space-size=64"];

/** A share of a route and since when; it may have counted from `askedMs` on and did so from `answeredMs` on. */
interface ShareInForce {
  readonly ppm: number;
  readonly askedMs: number;
  readonly answeredMs: number;
}

const v1 = await spawnUpstream(fileScope, "v1");
const v2 = await spawnUpstream(fileScope, "v2");
const sidecar = await useSidecar(fileScope, configOf(0), { nodeArguments: SMALL_HEAPS });

/** What it holds at its start, and a few for what is opened with the first use: the scrape's own connection, say. */
const IDLE_FILES = openFiles(sidecar.pid) + 4;

/** Shares of the two routes with a split, oldest first: by hand on `api`, by the file on `web`. */
const history: Readonly<Record<string, ShareInForce[]>> = {
  api: [{ ppm: 300_000, askedMs: 0, answeredMs: 0 }],
  web: [{ ppm: fileShareOf(0) * 10_000, askedMs: 0, answeredMs: 0 }],
};

/** The share of `web` in the file at the n-th reload, in percent. */
function fileShareOf(n: number): number {
  return (Math.floor(n / 10) * 37) % 101;
}

/** The config of the n-th reload: timeouts, limits and other routes come and go, `web` moves, `api` is left alone. */
function configOf(n: number): object {
  const sticky = [{ header: "x-user-id" }];
  const removed = n > 50 && n % 2 === 1;
  const gone = { name: "gone", match: { pathPrefix: "/gone" }, split: { baseline: "v3" } };
  const extra = { name: "extra", match: { pathPrefix: "/extra" }, split: { baseline: "v2" } };
  const web = { baseline: "v1", candidate: "v2", share: `${fileShareOf(n)}%`, sticky, salt: "web" };
  return {
    runtime: { threads: 2 },
    downstream: { maxHeaders: 100 + (n % 3) },
    upstreams: {
      v1: { endpoints: [v1.url], timeouts: { idle: `${60 + (n % 7)}s` }, pool: { idleTimeout: "1s" } },
      v2: { endpoints: [v2.url], pool: { idleTimeout: "1s", maxConnections: 200 + (n % 5) } },
      ...(!removed && { v3: { endpoints: [v1.url] } }),
    },
    routes: [
      ...(removed ? [] : [gone]),
      ...(n % 4 === 0 ? [extra] : []),
      { name: "api", match: { pathPrefix: "/api" }, split: { ...web, share: "30%", salt: "api" } },
      { name: "web", match: { pathPrefix: "/web" }, split: web },
      { name: "rest", match: { pathPrefix: "/" }, split: { baseline: "v1" } },
    ],
  };
}

const TARGETS = ["/api", "/web", "/rest", "/extra", "/api"] as const;

function requestOf(n: number): LoadRequest {
  const key = `user-${(n * 7_919) % 5_000}`;
  return { target: TARGETS[n % TARGETS.length] as string, fields: [`x-user-id: ${key}`], key };
}

/** Shares that may have been in force at some moment between the request and its answer. */
function sharesDuring(route: string, answer: LoadAnswer): readonly number[] {
  const shares = history[route] as ShareInForce[];
  return shares
    .filter(({ askedMs }, i) => {
      const replacedMs = shares[i + 1]?.answeredMs ?? Infinity;
      return askedMs <= answer.answeredMs && replacedMs >= answer.askedMs;
    })
    .map(({ ppm }) => ppm);
}

function armsAllowed(route: string, answer: LoadAnswer): readonly string[] {
  const bucket = bucketOfKey(route, answer.key);
  return [...new Set(sharesDuring(route, answer).map((ppm) => (bucket < ppm ? "v2" : "v1")))];
}

async function note(route: string, ppm: number, change: () => Promise<unknown>): Promise<void> {
  const askedMs = performance.now();
  const entry = { ppm, askedMs, answeredMs: Infinity };
  (history[route] as ShareInForce[]).push(entry);
  await change();
  entry.answeredMs = performance.now();
}

/** The n-th reload by one of the three ways that there are; resolves when it is in force. */
async function reloadBy(n: number): Promise<void> {
  sidecar.writeConfig(configOf(n));
  if (n % 10 === 3) sidecar.signal("SIGHUP");
  else if (n % 10 !== 7) {
    await reload(sidecar);
    return;
  }
  // With neither a signal nor a call, the watch on the folder finds it.
  await until(() => sidecar.logs.filter(({ msg }) => msg === "config applied").length >= n, `reload ${n} in the log`);
}

async function splitBy(n: number): Promise<void> {
  const percent = (n * 23) % 101;
  await note("api", percent * 10_000, () => setSplit(sidecar, "api", `${percent}%`));
}

async function echoAll(sockets: readonly EchoSocket[], n: number): Promise<void> {
  await Promise.all(sockets.map((socket, i) => socket.echo(`message ${n} on socket ${i}`)));
}

test("200 reloads and 20 changes by hand under load fail no request, close no socket and cost no memory", async (t) => {
  const wsUrl = sidecar.url.replace("http:", "ws:");
  const sockets = await Promise.all(["/api", "/web", "/gone"].map((path) => openEchoSocket(t, `${wsUrl}${path}/ws`)));
  const load = startLoad(t, { port: sidecar.port, connections: 50, requestsPerSecond: 800, request: requestOf });
  await load.more(100);
  const first = await scrape(sidecar);
  const generation = first.sum("crossfade_config_generation");
  let warmBytes = 0;
  for (let n = 1; n <= RELOADS; n++) {
    const changes = [note("web", fileShareOf(n) * 10_000, () => reloadBy(n))];
    // Now and then in the middle of the reload.
    if (n % (RELOADS / SPLIT_CHANGES) === 0) changes.push(splitBy(n));
    await Promise.all(changes);
    if (n % 10 === 0) await echoAll(sockets, n);
    if (n === WARM_UP) warmBytes = sidecar.residentBytes();
  }
  await load.more(200);
  const growth = (sidecar.residentBytes() - warmBytes) / MIB;
  await load.stop();

  t.diagnostic(
    `${load.answers.length} answers, resident ${growth.toFixed(1)} MiB more after ${RELOADS - WARM_UP} reloads`,
  );
  assert.deepEqual(load.failures, []);
  assert.deepEqual([...new Set(load.answers.map(({ status }) => status))], [200]);
  assert.deepEqual(
    sockets.map(({ closed }) => closed),
    [null, null, null],
  );
  const wrong = load.answers.flatMap((answer) => {
    const route = answer.target.slice(1);
    if (!(route in history)) return [];
    const allowed = armsAllowed(route, answer);
    return allowed.includes(answer.servedBy ?? "") ? [] : [{ ...answer, allowed }];
  });
  assert.deepEqual(wrong, []);
  const last = await scrape(sidecar);
  assertMonotonic(first, last);
  assert.equal(last.sum("crossfade_config_generation"), generation + RELOADS + SPLIT_CHANGES);
  assert.ok(growth * MIB < RESIDENT_GROWTH_LIMIT, `resident ${growth.toFixed(1)} MiB more`);
});

test("what the removed upstreams and plans held is given back", async () => {
  const quiet = await scrapeUntil(
    sidecar,
    "every connection to be closed",
    (now) => {
      return now.sum("crossfade_downstream_connections") === 0 && now.sum("crossfade_pool_connections") === 0;
    },
    10_000,
  );
  assert.equal(quiet.sum("crossfade_upgrades_open"), 0);
  assert.equal(quiet.sum("crossfade_requests_in_flight"), 0);
  await until(() => openFiles(sidecar.pid) <= IDLE_FILES, `the sidecar to hold ${IDLE_FILES} files again`, {
    detail: () => `it holds ${openFiles(sidecar.pid)}`,
  });
});
