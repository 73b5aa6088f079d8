import assert from "node:assert/strict";
import { test } from "node:test";
import { EMPTY_OVERLAY, reconcileOverlay } from "../../src/model/overlay.ts";
import type { Overlay, RouteOverlay } from "../../src/model/overlay.ts";

const KILL = { actor: "ann", reason: "fire", atMs: 1 };

function split(basedOn: string): NonNullable<RouteOverlay["split"]> {
  return { candidatePpm: 250_000, basedOn, cause: "split", actor: "ann", reason: "try", atMs: 1 };
}

function overlayOf(routes: Readonly<Record<string, RouteOverlay>>): Overlay {
  return { version: 1, killed: null, routes };
}

test("an overlay that fits its config comes back as it is", () => {
  const overlay = overlayOf({ api: { split: split("d1"), killed: null }, rest: { split: null, killed: KILL } });
  const result = reconcileOverlay(
    overlay,
    new Map([
      ["api", "d1"],
      ["rest", "d2"],
    ]),
  );
  assert.equal(result.overlay, overlay);
  assert.deepEqual(result.ended, []);
});

test("a share ends when its section was edited; a kill of the same route stays", () => {
  const overlay = overlayOf({ api: { split: split("old"), killed: KILL }, web: { split: split("old"), killed: null } });
  const result = reconcileOverlay(
    overlay,
    new Map([
      ["api", "new"],
      ["web", "new"],
    ]),
  );
  assert.deepEqual(result.overlay.routes, { api: { split: null, killed: KILL } });
  assert.deepEqual(result.ended, ["api", "web"]);
});

test("entries of routes that are gone end, kills too", () => {
  const overlay = overlayOf({ gone: { split: null, killed: KILL }, api: { split: split("d"), killed: null } });
  const result = reconcileOverlay(overlay, new Map([["api", "d"]]));
  assert.deepEqual(Object.keys(result.overlay.routes), ["api"]);
  assert.deepEqual(result.ended, ["gone"]);
});

test("a kill of everything outlives every edit", () => {
  const overlay: Overlay = { ...overlayOf({ gone: { split: split("d"), killed: null } }), killed: KILL };
  assert.deepEqual(reconcileOverlay(overlay, new Map()).overlay, { version: 1, killed: KILL, routes: {} });
});

test("the empty overlay cannot be changed", () => {
  assert.ok(Object.isFrozen(EMPTY_OVERLAY) && Object.isFrozen(EMPTY_OVERLAY.routes));
});
