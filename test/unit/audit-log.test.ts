import assert from "node:assert/strict";
import fs from "node:fs";
import { open } from "node:fs/promises";
import type { FileHandle } from "node:fs/promises";
import path from "node:path";
import { describe, test } from "node:test";
import type { TestContext } from "node:test";
import fc from "fast-check";
import type { StateEvent } from "../../src/base/state-event.ts";
import { AUDIT_FILE_NAME, AUDIT_KEPT, openAuditLog, verifyAuditLog } from "../../src/journal/audit-log.ts";
import type { AuditLog } from "../../src/journal/audit-log.ts";
import { GENESIS_HASH } from "../../src/journal/audit-record.ts";
import type { AuditEntry } from "../../src/journal/audit-record.ts";
import { useFolder } from "../support/control-plane.ts";
import { fileScope } from "../support/scope.ts";

function entry(action: string, over: Partial<AuditEntry> = {}): AuditEntry {
  const before = { share: "10%" };
  const after = { share: "25%" };
  return { actor: "ann", action, reason: "a test", before, after, generation: 2, cause: "admin", ...over };
}

const AT_MS = Date.UTC(2026, 0, 2, 3, 4, 5, 6);

const ignore = (): void => {};

async function fill(log: AuditLog, count: number): Promise<void> {
  for (let i = 1; i <= count; i++) await log.append(entry(`change ${i}`), AT_MS + i);
}

const makers: Readonly<Record<string, () => Promise<AuditLog>>> = {
  "on disk": () => openAuditLog(useFolder(fileScope), ignore),
  "in memory": () => openAuditLog(null, ignore),
};

for (const [name, make] of Object.entries(makers)) {
  describe(`an audit log ${name}`, () => {
    test("gives records back newest first, as many as asked for", async () => {
      const log = await make();
      await fill(log, 5);
      assert.deepEqual(
        log.read(3).map(({ action }) => action),
        ["change 5", "change 4", "change 3"],
      );
      assert.deepEqual(log.read(0), []);
      assert.equal(log.read(100).length, 5);
      await log.close();
    });

    test("numbers and chains its records", async () => {
      const log = await make();
      await fill(log, 2);
      const [second, first] = log.read(2);
      assert.deepEqual([first?.seq, second?.seq], [1, 2]);
      assert.equal(first?.prev, GENESIS_HASH);
      assert.equal(second?.prev, first?.hash);
      assert.equal(first?.at, "2026-01-02T03:04:05.007Z");
      await log.close();
    });

    test("keeps the last thousand records at hand", async () => {
      const log = await make();
      await Promise.all(Array.from({ length: AUDIT_KEPT + 1 }, (_, i) => log.append(entry(`change ${i}`), AT_MS)));
      assert.equal(log.read(5000).length, AUDIT_KEPT);
      assert.equal(log.read(5000).at(-1)?.seq, 2);
      await log.close();
    });
  });
}

test("whatever is recorded, the chain verifies and survives a restart", async (t) => {
  const folder = useFolder(t);
  const file = path.join(folder, AUDIT_FILE_NAME);
  let count = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(fc.string(), fc.jsonValue(), fc.jsonValue()), { maxLength: 4 }),
      async (changes) => {
        const log = await openAuditLog(folder, (event) => assert.fail(event.message));
        await Promise.all(
          changes.map(([reason, before, after]) => log.append(entry("x", { reason, before, after }), AT_MS)),
        );
        await log.close();
        count += changes.length;
        assert.deepEqual(await verifyAuditLog(file), { ok: true, records: count, torn: false });
      },
    ),
    { numRuns: 30 },
  );
});

test("a torn last line is removed and reported, and the chain goes on", async (t) => {
  const folder = useFolder(t);
  const file = path.join(folder, AUDIT_FILE_NAME);
  const first = await openAuditLog(folder, ignore);
  await fill(first, 2);
  await first.close();
  fs.appendFileSync(file, '{"seq":3,"actor":"a');
  assert.deepEqual(await verifyAuditLog(file), { ok: true, records: 2, torn: true });

  const events: StateEvent[] = [];
  const second = await openAuditLog(folder, (event) => events.push(event));
  assert.deepEqual(
    events.map(({ name, fields }) => [name, fields["removed"]]),
    [["audit-torn-line", '{"seq":3,"actor":"a']],
  );
  const record = await second.append(entry("change 3"), AT_MS);
  assert.equal(record.seq, 3);
  await second.close();
  assert.deepEqual(await verifyAuditLog(file), { ok: true, records: 3, torn: false });
});

test("a damaged end is put aside, each time under another name, and a new log is begun", async (t) => {
  const folder = useFolder(t);
  const file = path.join(folder, AUDIT_FILE_NAME);
  for (const name of ["damaged-1", "damaged-2"]) {
    fs.writeFileSync(file, "this is no record\n");
    const events: StateEvent[] = [];
    const log = await openAuditLog(folder, (event) => events.push(event));
    assert.deepEqual(
      events.map((event) => [event.name, event.fields["aside"]]),
      [["audit-damaged", `${file}.${name}`]],
    );
    assert.equal((await log.append(entry("x"), AT_MS)).seq, 1);
    await log.close();
    fs.rmSync(file);
  }
});

const forgeries: Readonly<Record<string, readonly [(lines: string[]) => void, number, RegExp]>> = {
  "a changed actor": [
    (lines) => void (lines[1] = lines[1]?.replace('"ann"', '"bob"') ?? ""),
    2,
    /record 2 was altered/,
  ],
  "a removed line": [(lines) => void lines.splice(1, 1), 2, /record 3 stands where record 2 belongs/],
  "two lines that changed places": [
    (lines) => void lines.splice(0, 2, lines[1] ?? "", lines[0] ?? ""),
    1,
    /record 2 stands/,
  ],
  "a line of another kind": [(lines) => void (lines[2] = "{}"), 3, /is not an audit record/],
};

for (const [what, [forge, line, expected]] of Object.entries(forgeries)) {
  test(`verifying finds ${what}`, async (t) => {
    const folder = useFolder(t);
    const file = path.join(folder, AUDIT_FILE_NAME);
    const log = await openAuditLog(folder, ignore);
    await fill(log, 3);
    await log.close();
    const lines = fs.readFileSync(file, "utf8").trimEnd().split("\n");
    forge(lines);
    fs.writeFileSync(file, `${lines.join("\n")}\n`);
    const verdict = await verifyAuditLog(file);
    assert.ok(!verdict.ok);
    assert.equal(verdict.line, line);
    assert.match(verdict.problem, expected);
  });
}

test("verifying finds a record of another chain", async (t) => {
  const folders = [useFolder(t), useFolder(t)];
  const lines: string[] = [];
  for (const [index, folder] of folders.entries()) {
    const log = await openAuditLog(folder, ignore);
    await log.append(entry("first", { actor: `actor ${index}` }), AT_MS);
    await log.append(entry("second"), AT_MS);
    await log.close();
    lines.push(...fs.readFileSync(path.join(folder, AUDIT_FILE_NAME), "utf8").trimEnd().split("\n"));
  }
  const mixed = path.join(folders[0] ?? "", "mixed.jsonl");
  fs.writeFileSync(mixed, `${lines[0]}\n${lines[3]}\n`);
  assert.deepEqual(await verifyAuditLog(mixed), {
    ok: false,
    line: 2,
    problem: "record 2 does not follow the one before it",
  });
});

test("a record that could not be written leaves no half of it, and is written with the next one", async (t) => {
  const folder = useFolder(t);
  const file = path.join(folder, AUDIT_FILE_NAME);
  const log = await openAuditLog(folder, ignore);
  await fill(log, 1);
  await failNextSync(t, file);
  await assert.rejects(log.append(entry("change 2"), AT_MS), /ENOSPC/);
  assert.equal(log.read(1)[0]?.action, "change 2");
  assert.deepEqual(await verifyAuditLog(file), { ok: true, records: 1, torn: false });
  await log.append(entry("change 3"), AT_MS);
  assert.deepEqual(await verifyAuditLog(file), { ok: true, records: 3, torn: false });
  await log.close();
});

test("closing writes what could not be written before", async (t) => {
  const folder = useFolder(t);
  const file = path.join(folder, AUDIT_FILE_NAME);
  const log = await openAuditLog(folder, ignore);
  await failNextSync(t, file);
  await assert.rejects(log.append(entry("change 1"), AT_MS), /ENOSPC/);
  await log.close();
  assert.deepEqual(await verifyAuditLog(file), { ok: true, records: 1, torn: false });
});

/** The next write of any file reaches the disk only in part. */
async function failNextSync(t: TestContext, file: string): Promise<void> {
  const probe = await open(file);
  const datasync = t.mock.method(Object.getPrototypeOf(probe) as FileHandle, "datasync");
  await probe.close();
  datasync.mock.mockImplementationOnce(() => Promise.reject(new Error("ENOSPC")));
}

test("a log of many chunks is read back line by line", async (t) => {
  const folder = useFolder(t);
  const log = await openAuditLog(folder, ignore);
  await Promise.all(Array.from({ length: 50 }, (_, i) => log.append(entry(`${i} ${"é".repeat(5000)}`), AT_MS)));
  await log.close();
  const again = await openAuditLog(folder, ignore);
  assert.equal(again.read(100).length, 50);
  await again.close();
});
