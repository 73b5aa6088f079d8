import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { wordEpoch, wordKilled, wordPpm } from "../../src/base/cells.ts";
import type { CellTable } from "../../src/control/cell-table.ts";
import type { Edit } from "../../src/control/edit.ts";
import type { SnapshotStore } from "../../src/control/snapshot-store.ts";
import type { Snapshot } from "../../src/model/snapshot.ts";
import { causeOf, configText, openBench, readingOf } from "../support/control-plane.ts";
import { fileScope } from "../support/scope.ts";

const FIRST = configText([{ name: "a" }, { name: "b", share: "50%" }, { name: "c", candidate: null }]);

const TEXTS = [
  FIRST,
  configText([{ name: "a" }, { name: "b", share: "60%" }]),
  configText([{ name: "a", salt: "s" }, { name: "b", candidate: "v3" }, { name: "d" }]),
  configText([{ name: "d", share: "0%" }]),
];

const routes = fc.constantFrom("a", "b", "c", "d", "nope");

const someRoutes = fc.option(fc.uniqueArray(routes, { minLength: 1, maxLength: 3 }));

const edits: fc.Arbitrary<Edit> = fc.oneof(
  fc.record({
    kind: fc.constant("split" as const),
    route: routes,
    candidatePpm: fc.constantFrom(0, 1, 250_000, 1_000_000),
  }),
  fc.record({ kind: fc.constant("rollback" as const), route: routes }),
  fc.record({ kind: fc.constant("kill" as const), routes: someRoutes }),
  fc.record({ kind: fc.constant("unkill" as const), routes: someRoutes }),
  fc.constantFrom(...TEXTS).map((text) => ({ kind: "config" as const, reading: readingOf(text) })),
);

function requireWordsToEqual(snapshot: Snapshot, cells: CellTable): void {
  for (const { cells: own, split } of snapshot.routes) {
    const word = Atomics.load(cells.words, own.word);
    assert.deepEqual(
      { ppm: wordPpm(word), killed: wordKilled(word), epoch: wordEpoch(word) },
      { ppm: split.candidatePpm, killed: snapshot.killed || split.killed, epoch: own.epoch },
    );
  }
}

/** What a caller gets, route by route. */
function effectOf(snapshot: Snapshot): readonly unknown[] {
  return snapshot.routes.map(({ name, split }) => [name, split.candidatePpm, snapshot.killed || split.killed]);
}

test("one after another: an applied proposal grows the generation by one, any other changes nothing", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(edits, { maxLength: 12 }), async (sequence) => {
      const { store, cells, file } = await openBench(fileScope, FIRST);
      const seen: Snapshot[] = [];
      store.subscribe((snapshot) => {
        requireWordsToEqual(snapshot, cells);
        seen.push(snapshot);
      });
      for (const edit of sequence) {
        const before = { snapshot: store.current, overlay: store.overlay, words: [...cells.words], count: seen.length };
        const result = await store.propose(causeOf(edit.kind), edit);
        if (result.ok && result.outcome === "applied") {
          assert.equal(store.current.generation, before.snapshot.generation + 1);
          assert.equal(seen.length, before.count + 1);
          assert.equal(seen.at(-1), store.current);
        } else {
          assert.equal(store.current, before.snapshot);
          assert.equal(store.overlay, before.overlay);
          assert.deepEqual([...cells.words], before.words);
          assert.equal(seen.length, before.count);
        }
        requireWordsToEqual(store.current, cells);
      }
      await store.idle();
      assert.deepEqual(file.saved, store.overlay);
    }),
    { numRuns: 60 },
  );
});

test("after any sequence, a restart on the same config gives every route what it had", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(edits, { maxLength: 10 }), async (sequence) => {
      const { store, file } = await openBench(fileScope, FIRST);
      let text = FIRST;
      for (const edit of sequence) {
        const result = await store.propose(causeOf(edit.kind), edit);
        if (edit.kind === "config" && result.ok) text = edit.reading.text;
      }
      await store.close();
      const again = await openBench(fileScope, text, { file });
      assert.deepEqual(effectOf(again.store.current), effectOf(store.current));
    }),
    { numRuns: 60 },
  );
});

/** The edits whose effect must be in force when their call returns. */
function requireInForce(store: SnapshotStore, edit: Edit): void {
  const { current } = store;
  if (edit.kind === "kill" && edit.routes === null) assert.equal(current.killed, true);
  if (edit.kind !== "rollback") return;
  const route = current.routes.find(({ name }) => name === edit.route);
  if (route !== undefined && route.split.candidate !== null) assert.equal(route.split.candidatePpm, 0);
}

test("all at once, on a disk that fails now and then: what was taken back last stays so, and the disk ends right", async () => {
  const failures = fc.nat(3);
  await fc.assert(
    fc.asyncProperty(fc.array(edits, { minLength: 2, maxLength: 12 }), failures, async (sequence, failureCount) => {
      const { store, cells, file } = await openBench(fileScope, FIRST);
      const generations: number[] = [];
      store.subscribe(({ generation }) => generations.push(generation));
      file.failures = failureCount;
      const results = sequence.map((edit) => {
        const result = store.propose(causeOf(edit.kind), edit);
        requireInForce(store, edit);
        return result;
      });
      const applied = (await Promise.all(results)).filter((result) => result.ok && result.outcome === "applied");
      await store.idle();
      assert.deepEqual(
        generations,
        applied.map((_, index) => index + 2),
      );
      assert.deepEqual(file.saved, store.overlay);
      requireWordsToEqual(store.current, cells);
      requireLastWord(store.current, sequence);
    }),
    { numRuns: 120 },
  );
});

/** Whoever asked last to take callers back, with nobody asking otherwise after, has it. */
function requireLastWord(snapshot: Snapshot, sequence: readonly Edit[]): void {
  const last = (matches: (edit: Edit) => boolean) => sequence.findLastIndex(matches);
  const killOfAll = last((edit) => edit.kind === "kill" && edit.routes === null);
  if (killOfAll > last((edit) => edit.kind === "unkill")) assert.equal(snapshot.killed, true);
  for (const { name, split } of snapshot.routes) {
    const rollback = last((edit) => edit.kind === "rollback" && edit.route === name);
    // A route that was not there when it was rolled back, or was gone in between, is as its config says.
    const otherwise = last((edit) => edit.kind === "config" || (edit.kind === "split" && edit.route === name));
    if (rollback > otherwise && split.candidate !== null && everThere(name, sequence)) {
      assert.equal(split.candidatePpm, 0, `${name} was rolled back last`);
    }
  }
}

function everThere(name: string, sequence: readonly Edit[]): boolean {
  const texts = sequence.flatMap((edit) => (edit.kind === "config" ? [edit.reading] : []));
  return [readingOf(FIRST), ...texts].every(({ config }) =>
    config.routes.some((route) => route.name === name && route.split.candidate !== null),
  );
}
