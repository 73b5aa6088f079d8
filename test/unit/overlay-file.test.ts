import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { describe, test } from "node:test";
import fc from "fast-check";
import type { StateEvent } from "../../src/base/state-event.ts";
import {
  diskOverlayFile,
  memoryOverlayFile,
  openOverlayFile,
  OVERLAY_FILE_NAME,
  OverlayFileError,
} from "../../src/journal/overlay-file.ts";
import type { OverlayFile } from "../../src/journal/overlay-file.ts";
import { EMPTY_OVERLAY } from "../../src/model/overlay.ts";
import type { Overlay } from "../../src/model/overlay.ts";
import { useFolder } from "../support/control-plane.ts";
import { fileScope } from "../support/scope.ts";

const entry = fc.record({ actor: fc.string(), reason: fc.string(), atMs: fc.nat() });
const overlays: fc.Arbitrary<Overlay> = fc.record({
  version: fc.constant(1 as const),
  killed: fc.option(entry),
  routes: fc.dictionary(
    fc.stringMatching(/^[a-z0-9][a-zA-Z0-9._-]{0,9}$/),
    fc.record({
      killed: fc.option(entry),
      split: fc.option(
        fc.record({
          candidatePpm: fc.nat(1_000_000),
          basedOn: fc.string(),
          cause: fc.constantFrom("split" as const, "rollback" as const),
          actor: fc.string(),
          reason: fc.string(),
          atMs: fc.nat(),
        }),
      ),
    }),
    { noNullPrototype: true },
  ),
});

const SOME: Overlay = { ...EMPTY_OVERLAY, killed: { actor: "ann", reason: "fire", atMs: 5 } };

const makers: Readonly<Record<string, () => OverlayFile>> = {
  "on disk": () => diskOverlayFile(path.join(useFolder(fileScope), "state")),
  "in memory": () => memoryOverlayFile(() => {}),
};

for (const [name, make] of Object.entries(makers)) {
  describe(`an overlay file ${name}`, () => {
    test("is empty at first", async () => {
      assert.deepEqual(await make().load(), EMPTY_OVERLAY);
    });

    test("gives back what was saved last, whatever the names and reasons contain", async () => {
      const file = make();
      await file.load();
      await fc.assert(
        fc.asyncProperty(overlays, async (overlay) => {
          await file.save(overlay);
          assert.deepEqual(JSON.parse(JSON.stringify(await file.load())), JSON.parse(JSON.stringify(overlay)));
        }),
        { numRuns: 40 },
      );
    });

    test("keeps the last of several saves that were begun at once", async () => {
      const file = make();
      await file.load();
      const later = { ...SOME, killed: { actor: "bob", reason: "", atMs: 6 } };
      await Promise.all([file.save(SOME), file.save(EMPTY_OVERLAY), file.save(later)]);
      assert.deepEqual(await file.load(), later);
    });
  });
}

test("an overlay on disk is there for the next process, and only its owner can read it", async (t) => {
  const folder = path.join(useFolder(t), "deep", "state");
  const first = diskOverlayFile(folder);
  assert.equal(first.durable, true);
  await first.load();
  await first.save(SOME);
  assert.deepEqual(await openOverlayFile(folder, () => {}).load(), SOME);
  assert.deepEqual(fs.readdirSync(folder), [OVERLAY_FILE_NAME]);
  assert.equal(fs.statSync(path.join(folder, OVERLAY_FILE_NAME)).mode & 0o777, 0o600);
});

test("without a state folder a warning says that changes will not outlive a restart", async () => {
  const events: StateEvent[] = [];
  const file = openOverlayFile(null, (event) => events.push(event));
  await file.load();
  assert.equal(file.durable, false);
  assert.equal(events.length, 1);
  assert.equal(events[0]?.level, "warn");
  assert.match(events[0]?.message ?? "", /will not outlive a restart/);
});

test("a save that fails leaves the old overlay and nothing beside it", async (t) => {
  const folder = useFolder(t);
  const file = diskOverlayFile(folder);
  await file.load();
  await file.save(SOME);
  fs.mkdirSync(path.join(folder, `${OVERLAY_FILE_NAME}.tmp`, "in the way"), { recursive: true });
  await assert.rejects(file.save(EMPTY_OVERLAY));
  fs.rmSync(path.join(folder, `${OVERLAY_FILE_NAME}.tmp`), { recursive: true, force: true });
  assert.deepEqual(await file.load(), SOME);
  await file.save(EMPTY_OVERLAY);
  assert.deepEqual(await file.load(), EMPTY_OVERLAY);
});

test("what a crash left half written beside the file is ignored", async (t) => {
  const folder = useFolder(t);
  const file = diskOverlayFile(folder);
  await file.save(SOME);
  fs.writeFileSync(path.join(folder, `${OVERLAY_FILE_NAME}.tmp`), '{"version":1,"kil');
  assert.deepEqual(await diskOverlayFile(folder).load(), SOME);
  await file.save(EMPTY_OVERLAY);
  assert.deepEqual(fs.readdirSync(folder), [OVERLAY_FILE_NAME]);
});

const damaged: Readonly<Record<string, readonly [string, RegExp]>> = {
  "is cut off": ['{"version":1,"kil', /is not JSON/],
  "is empty": ["", /is not JSON \(0 characters\)/],
  "comes from a later version": ['{"version":2,"killed":null,"routes":{}}', /has version 2, but only version 1/],
  "has a share above one": [
    '{"version":1,"killed":null,"routes":{"api":{"killed":null,"split":{"candidatePpm":1000001,"basedOn":"x","cause":"split","actor":"a","reason":"r","atMs":1}}}}',
    /has another shape: routes\.api\.split\.candidatePpm/,
  ],
  "has a field that nobody knows": ['{"version":1,"killed":null,"routes":{},"more":1}', /another shape/],
  "is a list": ["[]", /another shape/],
};

for (const [what, [text, expected]] of Object.entries(damaged)) {
  test(`an overlay file that ${what} is refused with what to do, and kept`, async (t) => {
    const folder = useFolder(t);
    const file = path.join(folder, OVERLAY_FILE_NAME);
    fs.writeFileSync(file, text);
    await assert.rejects(diskOverlayFile(folder).load(), (error: Error) => {
      assert.ok(error instanceof OverlayFileError);
      assert.match(error.message, expected);
      assert.match(error.message, /Restore the file, or delete it/);
      return true;
    });
    assert.equal(fs.readFileSync(file, "utf8"), text);
  });
}

test("an overlay file that cannot be read is refused, not taken for an empty one", async (t) => {
  const folder = useFolder(t);
  fs.mkdirSync(path.join(folder, OVERLAY_FILE_NAME));
  await assert.rejects(diskOverlayFile(folder).load(), /cannot be read/);
});

test("a state folder that cannot be used is refused with what to do", async (t) => {
  const file = path.join(useFolder(t), "file");
  fs.writeFileSync(file, "");
  await assert.rejects(
    diskOverlayFile(path.join(file, "state")).load(),
    /runtime\.stateDir: ".*" cannot be used \(.*\): give a folder/,
  );
});
