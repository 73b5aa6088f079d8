import assert from "node:assert/strict";
import { test } from "node:test";
import { wordEpoch, wordKilled, wordPpm } from "../../src/base/cells.ts";
import { CellTable } from "../../src/control/cell-table.ts";
import { openSnapshotStore } from "../../src/control/snapshot-store.ts";
import type { ProposeResult, SnapshotStore } from "../../src/control/snapshot-store.ts";
import { memoryAuditLog } from "../../src/journal/audit-log.ts";
import type { AuditLog } from "../../src/journal/audit-log.ts";
import { memoryOverlayFile } from "../../src/journal/overlay-file.ts";
import { EMPTY_OVERLAY } from "../../src/model/overlay.ts";
import type { Snapshot } from "../../src/model/snapshot.ts";
import { causeOf, configText, openBench, readingOf, WilfulOverlayFile } from "../support/control-plane.ts";
import { until } from "../support/until.ts";

const API = configText([{ name: "api" }, { name: "web", candidate: null }]);

function split(store: SnapshotStore, share: number, route = "api"): Promise<ProposeResult> {
  return store.propose(causeOf("split"), { kind: "split", route, candidatePpm: share });
}

function rollBack(store: SnapshotStore, route = "api"): Promise<ProposeResult> {
  return store.propose(causeOf("rollback"), { kind: "rollback", route });
}

function kill(store: SnapshotStore, routes: readonly string[] | null = null): Promise<ProposeResult> {
  return store.propose(causeOf("kill"), { kind: "kill", routes });
}

function unkill(store: SnapshotStore, routes: readonly string[] | null = null): Promise<ProposeResult> {
  return store.propose(causeOf("unkill"), { kind: "unkill", routes });
}

function reload(store: SnapshotStore, text: string): Promise<ProposeResult> {
  return store.reload(causeOf("reload"), readingOf(text));
}

function shareOf(snapshot: Snapshot, name = "api"): number | undefined {
  return snapshot.routes.find((route) => route.name === name)?.split.candidatePpm;
}

function codeOf(result: ProposeResult): string {
  return result.ok ? result.outcome : result.code;
}

test("the first snapshot is generation 1, frozen, with its words stored", async (t) => {
  const { store, cells } = await openBench(t, API);
  assert.equal(store.current.generation, 1);
  assert.ok(Object.isFrozen(store.current) && Object.isFrozen(store.current.routes[0]?.cells));
  const word = Atomics.load(cells.words, store.current.routes[0]?.cells.word ?? -1);
  assert.deepEqual([wordPpm(word), wordKilled(word), wordEpoch(word)], [100_000, false, 1]);
});

test("a split by hand is on disk before anybody sees it", async (t) => {
  const { store, file, cells } = await openBench(t, API);
  const seen: number[] = [];
  store.subscribe((snapshot) => seen.push(snapshot.generation));
  file.hold();
  const result = split(store, 250_000);
  await until(() => file.begun === 1, "the save to begin");
  assert.deepEqual([store.current.generation, seen], [1, []]);
  assert.equal(wordPpm(Atomics.load(cells.words, 0)), 100_000);
  file.release();
  assert.deepEqual(await result, {
    ok: true,
    outcome: "applied",
    snapshot: store.current,
    durable: "now",
    warnings: [],
  });
  assert.equal(shareOf(store.current), 250_000);
  assert.equal(file.saved.routes["api"]?.split?.candidatePpm, 250_000);
  assert.deepEqual(seen, [2]);
});

test("a split that cannot be written down is refused and changes nothing", async (t) => {
  const { store, file } = await openBench(t, API);
  const before = store.current;
  file.failures = 1;
  const result = await split(store, 250_000);
  assert.ok(!result.ok);
  assert.equal(result.code, "not_durable");
  assert.match(result.problems[0]?.message ?? "", /cannot be written: ENOSPC/);
  assert.equal(store.current, before);
  await store.idle();
  assert.deepEqual(file.saved, store.overlay);
});

test("a rollback is in force when the call returns, before any await and before the disk", async (t) => {
  const { store, file, cells } = await openBench(t, API);
  const words: number[] = [];
  store.subscribe(() => words.push(wordPpm(Atomics.load(cells.words, 0))));
  file.hold();
  const result = rollBack(store);
  assert.equal(shareOf(store.current), 0);
  assert.deepEqual(words, [0]);
  const accepted = await result;
  assert.ok(accepted.ok);
  assert.equal(accepted.durable, "later");
  assert.equal(store.overlayIsBehind, true);
  file.release();
  await store.idle();
  assert.equal(file.saved.routes["api"]?.split?.cause, "rollback");
  assert.equal(store.overlayIsBehind, false);
});

test("a kill is in force when the call returns and keeps the share for later", async (t) => {
  const { store, cells } = await openBench(t, API);
  const result = kill(store);
  const word = Atomics.load(cells.words, 0);
  assert.deepEqual([wordKilled(word), wordPpm(word)], [true, 100_000]);
  assert.equal(store.current.killed, true);
  assert.equal(codeOf(await result), "applied");
});

test("a kill that the disk refuses is tried again until it is written, with an alarm", async (t) => {
  const { store, file, events } = await openBench(t, API);
  file.failures = 3;
  await kill(store);
  await store.idle();
  assert.notEqual(file.saved.killed, null);
  const failed = events.filter(({ name }) => name === "overlay-write-failed");
  assert.deepEqual(
    failed.map(({ level, message, fields }) => [level, message, fields["failures"]]),
    [
      ["error", "overlay write failed", 1],
      ["error", "overlay write failed", 2],
      ["error", "overlay write failed", 3],
    ],
  );
  assert.equal(events.filter(({ name }) => name === "overlay-write-recovered").length, 1);
});

test("what was changed at run time outlives a restart", async (t) => {
  const first = await openBench(t, API);
  await split(first.store, 250_000);
  await kill(first.store, ["web"]);
  await first.store.close();
  const second = await openBench(t, API, { file: first.file });
  assert.equal(shareOf(second.store.current), 250_000);
  assert.deepEqual(
    second.store.current.routes.map((route) => route.split.killed),
    [false, true],
  );
  assert.equal(second.store.current.generation, 1);
});

test("an edit of the split section ends what was set by hand, an edit elsewhere does not", async (t) => {
  const { store, file, events } = await openBench(t, API);
  await rollBack(store);
  await reload(store, configText([{ name: "api" }, { name: "web", share: "1%" }]));
  assert.equal(shareOf(store.current), 0);
  await reload(
    store,
    configText([
      { name: "api", share: "11%" },
      { name: "web", share: "1%" },
    ]),
  );
  assert.equal(shareOf(store.current), 110_000);
  assert.deepEqual(file.saved.routes, {});
  assert.deepEqual(events.find(({ name }) => name === "overlay-ended")?.fields["routes"], ["api"]);
});

test("entries that ended while the process was down are told and removed from the disk", async (t) => {
  const first = await openBench(t, API);
  await split(first.store, 250_000);
  await first.store.close();
  const second = await openBench(t, configText([{ name: "api", share: "5%" }]), { file: first.file });
  assert.equal(shareOf(second.store.current), 50_000);
  await second.store.idle();
  assert.deepEqual(first.file.saved.routes, {});
  assert.ok(second.events.some(({ name }) => name === "overlay-ended"));
});

test("a kill stays through a reload until it is lifted", async (t) => {
  const { store } = await openBench(t, API);
  await kill(store, ["api"]);
  await reload(store, configText([{ name: "api", share: "50%" }]));
  assert.equal(store.current.routes[0]?.split.killed, true);
  assert.equal(codeOf(await unkill(store, ["api"])), "applied");
  assert.equal(store.current.routes[0]?.split.killed, false);
});

test("lifting the kill of all routes lifts those by name too", async (t) => {
  const { store } = await openBench(t, API);
  await kill(store, ["api"]);
  await kill(store);
  const one = await unkill(store, ["api"]);
  assert.equal(codeOf(one), "killed_globally");
  await unkill(store);
  assert.equal(store.current.killed, false);
  assert.ok(store.current.routes.every((route) => !route.split.killed));
  assert.deepEqual(store.overlay, EMPTY_OVERLAY);
});

test("asking for what is in force already makes no generation", async (t) => {
  const { store } = await openBench(t, API);
  assert.equal(codeOf(await split(store, 100_000)), "unchanged");
  assert.equal(codeOf(await unkill(store)), "unchanged");
  assert.equal(codeOf(await unkill(store, ["api"])), "unchanged");
  await kill(store);
  await kill(store, ["api"]);
  await rollBack(store);
  const { generation } = store.current;
  assert.equal(generation, 4);
  assert.equal(codeOf(await kill(store)), "unchanged");
  assert.equal(codeOf(await kill(store, ["api"])), "unchanged");
  assert.equal(codeOf(await rollBack(store)), "unchanged");
  assert.equal(codeOf(await reload(store, API)), "unchanged");
  assert.equal(store.current.generation, generation);
});

test("a rollback at a share of zero is recorded, so that it holds", async (t) => {
  const { store } = await openBench(t, configText([{ name: "api", share: "0%" }]));
  assert.equal(codeOf(await rollBack(store)), "applied");
  assert.equal(store.overlay.routes["api"]?.split?.cause, "rollback");
});

test("a route that does not exist is refused with the routes that do", async (t) => {
  const { store } = await openBench(t, API);
  for (const result of [
    await split(store, 1, "nope"),
    await rollBack(store, "nope"),
    await kill(store, ["api", "nope"]),
  ]) {
    assert.ok(!result.ok);
    assert.equal(result.code, "unknown_route");
    assert.deepEqual(result.problems, [
      { path: "route", value: '"nope"', message: "is not a route; routes are: api, web" },
    ]);
  }
  assert.equal(store.current.generation, 1);
});

test("a route without a candidate has no share to change", async (t) => {
  const { store } = await openBench(t, API);
  assert.equal(codeOf(await split(store, 1, "web")), "no_candidate");
  assert.equal(codeOf(await rollBack(store, "web")), "no_candidate");
  assert.equal(codeOf(await kill(store, ["web"])), "applied");
});

test("a rollback that comes while a split waits for the disk is not undone by it", async (t) => {
  const { store, file } = await openBench(t, API);
  file.hold();
  const waiting = split(store, 500_000);
  await until(() => file.begun === 1, "the save of the split to begin");
  const after = rollBack(store);
  file.release();
  assert.equal(codeOf(await waiting), "superseded");
  assert.equal(codeOf(await after), "applied");
  await store.idle();
  assert.equal(shareOf(store.current), 0);
  assert.deepEqual(file.saved, store.overlay);
});

test("a kill that comes while a split waits for the disk stays, and the split lands under it", async (t) => {
  const { store, file } = await openBench(t, API);
  file.hold();
  const waiting = split(store, 500_000);
  await until(() => file.begun === 1, "the save of the split to begin");
  await kill(store);
  file.release();
  assert.equal(codeOf(await waiting), "applied");
  await store.idle();
  assert.equal(store.current.killed, true);
  assert.equal(shareOf(store.current), 500_000);
  assert.deepEqual(file.saved, store.overlay);
});

test("a kill that comes while an unkill waits for its turn wins", async (t) => {
  const { store, file } = await openBench(t, API);
  await kill(store, ["api"]);
  await store.idle();
  file.hold();
  const before = file.begun;
  const lifting = unkill(store, ["api"]);
  await until(() => file.begun > before, "the save of the unkill to begin");
  await kill(store);
  file.release();
  assert.equal(codeOf(await lifting), "superseded");
  const liftingAll = unkill(store);
  await kill(store, ["web"]);
  assert.equal(codeOf(await liftingAll), "superseded");
  assert.equal(store.current.killed, true);
});

test("a rollback holds against a config that was proposed before it", async (t) => {
  const { store, file } = await openBench(t, API);
  await split(store, 300_000);
  file.hold();
  const before = file.begun;
  const waiting = reload(store, configText([{ name: "api", share: "60%" }]));
  await until(() => file.begun > before, "the save of the reload to begin");
  await rollBack(store);
  file.release();
  assert.equal(codeOf(await waiting), "applied");
  assert.equal(shareOf(store.current), 0);
  await store.idle();
  assert.deepEqual(file.saved, store.overlay);
  const again = await openBench(t, configText([{ name: "api", share: "60%" }]), { file });
  assert.equal(shareOf(again.store.current), 0);
});

test("a route that keeps its rules keeps its epoch, one whose rules change gets the next", async (t) => {
  const { store, cells } = await openBench(t, API);
  await reload(store, configText([{ name: "api", share: "20%" }]));
  assert.equal(wordEpoch(Atomics.load(cells.words, 0)), 1);
  await reload(store, configText([{ name: "api", share: "20%", salt: "other" }]));
  assert.equal(wordEpoch(Atomics.load(cells.words, 0)), 2);
  assert.equal(store.current.routes[0]?.cells.epoch, 2);
});

test("words are stored before subscribers are told, and one who stopped hears nothing", async (t) => {
  const { store, cells } = await openBench(t, API);
  const seen: number[] = [];
  const stop = store.subscribe(() => seen.push(wordPpm(Atomics.load(cells.words, 0))));
  await split(store, 200_000);
  stop();
  await split(store, 300_000);
  assert.deepEqual(seen, [200_000]);
});

test("reloads are counted by how they ended", async (t) => {
  const { store, events } = await openBench(t, API);
  assert.deepEqual(store.reloadCounts, { applied: 0, refused: 0, unchanged: 0, lastOk: true });
  await reload(store, configText([{ name: "api", share: "20%" }]));
  await reload(store, configText([{ name: "api", share: "20%" }]));
  const problems = [{ path: "routes[0].split.share", value: '"120%"', message: "is above 100%" }];
  const refused = await store.reload(causeOf("reload"), { ok: false, hash: "x", problems, paths: [] });
  assert.equal(codeOf(refused), "invalid_config");
  assert.deepEqual(store.reloadCounts, { applied: 1, refused: 1, unchanged: 1, lastOk: false });
  assert.deepEqual(store.lastReload.problems, problems);
  assert.deepEqual(
    events.map(({ name }) => name),
    ["config-applied", "config-unchanged", "config-refused"],
  );
  assert.deepEqual(events.at(-1)?.fields["problems"], ['routes[0].split.share: "120%" is above 100%']);
});

test("a config that does not compile changes nothing", async (t) => {
  const { store } = await openBench(t, API);
  const before = store.current;
  const text = configText([{ name: "api" }], {
    listen: [{ address: "127.0.0.1:0", tls: { cert: "tls.crt", key: "tls.key" } }],
  });
  const result = await reload(store, text);
  // Listeners need a restart, so the missing files of a new one are no reason to refuse the rest.
  assert.equal(codeOf(result), "applied");
  assert.deepEqual(store.restartNeeded, ["listen"]);
  const upstreams = { v1: { endpoints: ["https://127.0.0.1:1"], tls: { ca: "ca.crt" } } };
  const refused = await reload(store, configText([{ name: "api", candidate: null }], { upstreams }));
  assert.ok(!refused.ok);
  assert.equal(refused.code, "invalid_config");
  assert.equal(store.current.generation, before.generation + 1);
});

test("settings that only a restart changes are named, and the rest of the config is applied", async (t) => {
  const { store, events } = await openBench(t, API);
  const text = configText([{ name: "api", share: "20%" }], {
    listen: [{ address: "127.0.0.1:1" }],
    engine: "library",
    admin: { address: "127.0.0.1:0" },
    metrics: { address: "127.0.0.1:0" },
    runtime: { threads: 3, stateDir: "/var/lib/x" },
  });
  await reload(store, text);
  const settings = ["listen", "engine", "admin", "metrics", "runtime.threads", "runtime.stateDir"];
  assert.deepEqual(store.restartNeeded, settings);
  assert.equal(shareOf(store.current), 200_000);
  const warned = events.find(({ name }) => name === "restart-needed");
  assert.deepEqual([warned?.level, warned?.fields["settings"]], ["warn", settings]);
  await reload(store, API);
  assert.deepEqual(store.restartNeeded, []);
});

test("TLS material follows the listeners that are open", async (t) => {
  const listen = (cert: string, port = 0) => [{ address: `127.0.0.1:${port}`, tls: { cert, key: "k" } }];
  const files = (entries: Record<string, string>) => new Map(Object.entries(entries));
  const text = (over: object) => configText([{ name: "api" }], { ...over });
  const cells = new CellTable(8);
  const { options } = await openBench(t, API, { cells });
  const first = readingOf(text({ listen: listen("a") }), files({ a: "A1", k: "K1" }));
  const opened = await openSnapshotStore(first, causeOf("start"), { ...options, overlayFile: new WilfulOverlayFile() });
  assert.ok(opened.ok);
  const { store } = opened;
  assert.equal(store.current.tls[0]?.cert, "A1");
  // The same paths, other content: a rotation.
  await store.reload(causeOf("reload"), readingOf(text({ listen: listen("a") }), files({ a: "A2", k: "K2" })));
  assert.deepEqual([store.current.tls[0]?.cert, store.current.tls[0]?.key], ["A2", "K2"]);
  // Another path for the open listener.
  await store.reload(causeOf("reload"), readingOf(text({ listen: listen("b") }), files({ b: "B1", k: "K3" })));
  assert.equal(store.current.tls[0]?.cert, "B1");
  // Another port: the open listener keeps what it has, though the text no longer names it.
  const plain = readingOf(text({ listen: [{ address: "127.0.0.1:1" }, { address: "127.0.0.1:2" }] }));
  await store.reload(causeOf("reload"), plain);
  assert.deepEqual(store.restartNeeded, ["listen"]);
  assert.equal(store.current.tls.length, 1);
  assert.deepEqual([store.current.tls[0]?.cert, store.current.tls[0]?.key], ["B1", "K3"]);
});

test("more routes than there are words are refused with the number", async (t) => {
  const { store } = await openBench(t, API, { cells: new CellTable(2) });
  const result = await reload(store, configText([{ name: "a" }, { name: "b" }, { name: "c" }]));
  assert.ok(!result.ok);
  assert.deepEqual(result.problems, [{ path: "routes", value: '"3 routes"', message: "is above 2" }]);
});

test("a first config that does not compile opens no store", async (t) => {
  const { options } = await openBench(t, API);
  const text = configText([{ name: "api", candidate: null }], {
    upstreams: { v1: { endpoints: ["https://127.0.0.1:1"], tls: { ca: "ca.crt" } } },
  });
  const opened = await openSnapshotStore(readingOf(text), causeOf("start"), options);
  assert.equal(opened.ok, false);
});

test("every change is recorded with who, why, before and after", async (t) => {
  const auditLog = memoryAuditLog();
  const { store } = await openBench(t, API, { auditLog });
  await store.propose(causeOf("split api 25%", "bob", "week two"), {
    kind: "split",
    route: "api",
    candidatePpm: 250_000,
  });
  const [record] = auditLog.read(1);
  assert.deepEqual(
    { ...record, hash: "", prev: "" },
    {
      seq: 2,
      at: "2026-01-01T00:00:00.000Z",
      actor: "bob",
      action: "split api 25%",
      reason: "week two",
      before: { routes: { api: { baseline: "v1", candidate: "v2", share: "10%", killed: false } } },
      after: { routes: { api: { baseline: "v1", candidate: "v2", share: "25%", killed: false } } },
      generation: 2,
      cause: "admin",
      hash: "",
      prev: "",
    },
  );
  await kill(store);
  assert.deepEqual([auditLog.read(1)[0]?.before, auditLog.read(1)[0]?.after], [{ killed: false }, { killed: true }]);
  await reload(store, configText([{ name: "api" }]));
  const after = auditLog.read(1)[0]?.after as { readonly routes: object };
  assert.deepEqual(after.routes, { web: null });
});

test("refused and unchanged proposals are not recorded as changes", async (t) => {
  const auditLog = memoryAuditLog();
  const { store } = await openBench(t, API, { auditLog });
  await split(store, 1, "nope");
  await split(store, 100_000);
  assert.equal(auditLog.read(10).length, 1);
});

test("an audit log that cannot be written does not stop a change, but says so", async (t) => {
  const auditLog: AuditLog = { ...memoryAuditLog(), append: () => Promise.reject(new Error("EIO")) };
  const { store, events } = await openBench(t, API, { auditLog });
  assert.equal(codeOf(await split(store, 200_000)), "applied");
  const failed = events.filter(({ name }) => name === "audit-write-failed");
  assert.deepEqual(
    failed.map(({ fields }) => [fields["generation"], fields["error"]]),
    [
      [1, "EIO"],
      [2, "EIO"],
    ],
  );
});

test("each kind of change has its event", async (t) => {
  const { store, events } = await openBench(t, API);
  await split(store, 200_000);
  await rollBack(store);
  await kill(store);
  await unkill(store);
  await kill(store, ["api"]);
  assert.deepEqual(
    events.map(({ name, fields }) => [name, fields["route"] ?? fields["routes"]]),
    [
      ["split-changed", "api"],
      ["rollback-applied", "api"],
      ["kill-set", "all"],
      ["kill-lifted", "all"],
      ["kill-set", ["api"]],
    ],
  );
});

test("warnings of a config come with the result and the event", async (t) => {
  const { store, events } = await openBench(t, API);
  const result = await reload(store, configText([{ name: "api", candidate: "v3" }]));
  assert.ok(result.ok);
  assert.ok(result.warnings.some((warning) => warning.includes("v2")));
  assert.deepEqual(events.at(-1)?.fields["warnings"], result.warnings);
});

test("without a state folder changes are never durable", async (t) => {
  const { store } = await openBench(t, API, { overlayFile: memoryOverlayFile(() => {}) });
  for (const result of [await split(store, 1), await rollBack(store), await rollBack(store)]) {
    assert.ok(result.ok);
    assert.equal(result.durable, "never");
  }
});

test("a closed store refuses, and has tried once more to write what was behind", async (t) => {
  const { store, file } = await openBench(t, API, { retryDelays: { firstMs: 60_000, maxMs: 60_000 } });
  file.failures = 1;
  await kill(store);
  await until(() => file.begun === 1 && file.failures === 0, "the first save to fail");
  const pending = await rollBack(store);
  assert.ok(pending.ok);
  assert.equal(pending.durable, "later");
  await store.close();
  assert.deepEqual(file.saved, store.overlay);
  assert.equal(codeOf(await kill(store)), "closed");
});

test("closing ends even when the disk never takes the overlay", async (t) => {
  const { store, file, events } = await openBench(t, API);
  file.failures = Number.POSITIVE_INFINITY;
  await kill(store);
  await store.close();
  assert.ok(events.filter(({ name }) => name === "overlay-write-failed").length >= 1);
  assert.equal(file.saved.killed, null);
});
