import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { blockView, EPOCH_MASK, THREAD_BLOCK } from "../../src/base/cells.ts";
import { seriesKeyText } from "../../src/base/series.ts";
import { CellTable, NO_ROUTE } from "../../src/control/cell-table.ts";
import type { RouteIdentity } from "../../src/control/cell-table.ts";

function route(name: string, digest = "d", candidate: string | null = "v2"): RouteIdentity {
  return { name, digest, split: { baseline: "v1", candidate }, fallback: [] };
}

test("the thread has block 0 and replies before a route have a block of their own", () => {
  const table = new CellTable(4);
  assert.equal(table.blockOf({ kind: "thread" }), THREAD_BLOCK);
  const noRoute = table.series().find(({ block }) => block === table.noRouteBlock);
  assert.deepEqual(noRoute?.key, { kind: "exchange", route: NO_ROUTE, arm: "none", upstream: "none" });
});

test("a route gets a word at epoch 1 and a block per series", () => {
  const [cells] = new CellTable(4).assign([route("api")]);
  assert.equal(cells?.epoch, 1);
  const { word, epoch: _epoch, fallbackBlocks: _none, ...blocks } = cells ?? assert.fail();
  assert.equal(new Set(Object.values(blocks)).size, Object.values(blocks).length);
  assert.equal(word, 0);
});

test("routes share no block", () => {
  const [a, b] = new CellTable(4).assign([route("a"), route("b")]);
  assert.ok(a !== undefined && b !== undefined);
  assert.notEqual(a.baselineBlock, b.baselineBlock);
  assert.notEqual(a.routeBlock, b.routeBlock);
  assert.notEqual(a.word, b.word);
});

test("a route without a candidate makes no series for one", () => {
  const table = new CellTable(4);
  const [cells] = table.assign([route("api", "d", null)]);
  assert.equal(cells?.candidateBlock, cells?.baselineBlock);
  assert.equal(
    table.series().some(({ key }) => key.kind === "exchange" && key.arm === "candidate"),
    false,
  );
});

test("an unchanged route keeps word and epoch, a changed one keeps its word under the next epoch", () => {
  const table = new CellTable(4);
  const [first] = table.assign([route("api", "d1")]);
  const [same] = table.assign([route("api", "d1")]);
  const [next] = table.assign([route("api", "d2")]);
  assert.deepEqual(same, first);
  assert.equal(next?.word, first?.word);
  assert.equal(next?.epoch, 2);
});

test("a route that comes back finds its counters and another epoch", () => {
  const table = new CellTable(1);
  const [first] = table.assign([route("api")]);
  table.assign([]);
  const [again] = table.assign([route("api")]);
  assert.equal(again?.routeBlock, first?.routeBlock);
  assert.equal(again?.baselineBlock, first?.baselineBlock);
  assert.equal(again?.epoch, 2);
});

test("a freed word is given out again only when no untouched one is left", () => {
  const table = new CellTable(2);
  table.assign([route("a")]);
  const [b] = table.assign([route("b")]);
  assert.equal(b?.word, 1);
  const [c] = table.assign([route("c")]);
  assert.deepEqual([c?.word, c?.epoch], [0, 2]);
});

test("more routes than words are refused before anything is freed", () => {
  const table = new CellTable(1);
  const [a] = table.assign([route("a")]);
  assert.throws(() => table.assign([route("b"), route("c")]), /2 routes need a control word each, but there are 1/);
  assert.deepEqual(table.assign([route("a")]), [a]);
});

test("the epoch of a word runs around at 2048", () => {
  const table = new CellTable(1);
  for (let i = 0; i <= EPOCH_MASK; i++) table.assign([route("a", `d${i}`)]);
  const [cells] = table.assign([route("a", "last")]);
  assert.equal(cells?.epoch, 1);
});

test("all regions have the same number of pages, also those made later", () => {
  const table = new CellTable(2048);
  const early = table.pagesOf(0);
  assert.equal(early.length, 1);
  table.assign(Array.from({ length: 600 }, (_, i) => route(`r${i}`)));
  assert.ok(early.length > 1);
  assert.equal(table.pagesOf(3).length, early.length);
  assert.equal(table.regions().length, 4);
  for (const { block } of table.series()) blockView(early, block);
});

test("a region keeps its pages, so a replaced thread keeps its counters", () => {
  const table = new CellTable(4);
  blockView(table.pagesOf(1), 1)[0] = 7;
  table.assign([route("a"), route("b")]);
  assert.equal(blockView(table.pagesOf(1), 1)[0], 7);
});

test("whatever snapshots follow one another, no block changes its series and no two routes share a word", () => {
  const snapshots = fc.array(
    fc.uniqueArray(
      fc.tuple(
        fc.constantFrom("a", "b", "c", "d", "e"),
        fc.constantFrom("d1", "d2"),
        fc.constantFrom("v2", "v3", null),
      ),
      {
        selector: ([name]) => name,
        maxLength: 4,
      },
    ),
    { maxLength: 30 },
  );
  fc.assert(
    fc.property(snapshots, (sequence) => {
      const table = new CellTable(5);
      const owners = new Map<number, string>();
      const meanings = new Map<string, string>();
      for (const [step, routes] of sequence.entries()) {
        const cells = table.assign(routes.map(([name, digest, candidate]) => route(name, digest, candidate)));
        assert.equal(new Set(cells.map(({ word }) => word)).size, cells.length);
        for (const { key, block } of table.series()) {
          assert.equal(owners.get(block) ?? seriesKeyText(key), seriesKeyText(key));
          owners.set(block, seriesKeyText(key));
        }
        for (const [index, [name, digest]] of routes.entries()) {
          const { word, epoch } = cells[index] ?? assert.fail();
          // One word and epoch stand for one digest of one route, for as long as it is there without a break.
          const place = `${word}:${epoch}`;
          assert.equal(meanings.get(place) ?? `${name} ${digest}`, `${name} ${digest}`, `step ${step}`);
          meanings.set(place, `${name} ${digest}`);
        }
      }
      assert.deepEqual(
        table.series().map(({ block }) => block),
        [...table.series().keys()],
      );
    }),
  );
});

test("gates outlive a config, are shared by nobody, and wholly other addresses make another upstream", () => {
  const table = new CellTable(1);
  const at = (...ports: number[]) =>
    table.assignUpstream({
      name: "v2",
      endpoints: ports.map((port) => ({ scheme: "http" as const, host: "127.0.0.1", port, socketPath: null })),
    });
  const first = at(1, 2);
  assert.deepEqual(at(2, 1), { ...first, endpointGates: first.endpointGates.toReversed() });
  const grown = at(2, 3);
  assert.deepEqual(
    [grown.gate, grown.endpointGates[0], grown.block],
    [first.gate, first.endpointGates[1], first.block],
  );
  const moved = at(4);
  const all = [first.gate, moved.gate, ...first.endpointGates, grown.endpointGates[1], ...moved.endpointGates];
  assert.equal(new Set(all).size, all.length);
});
