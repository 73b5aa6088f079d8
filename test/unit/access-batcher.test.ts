import assert from "node:assert/strict";
import { test } from "node:test";
import { AccessBatcher } from "../../src/telemetry/access-batcher.ts";
import type { AccessBatcherOptions } from "../../src/telemetry/access-batcher.ts";
import type { AccessRecord } from "../../src/telemetry/access-log.ts";

function record(requestId: string): AccessRecord {
  return { requestId } as AccessRecord;
}

function collecting(options: Partial<AccessBatcherOptions> = {}) {
  const batches: AccessRecord[][] = [];
  const counts = { dropped: 0 };
  const batcher = new AccessBatcher({
    send: (batch) => batches.push(batch),
    onDropped: () => counts.dropped++,
    ...options,
  });
  const sizes = (): number[] => batches.map((batch) => batch.length);
  return { batches, sizes, counts, batcher };
}

test("records go together, in order, when the first of them has waited long enough", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { batches, batcher } = collecting();
  batcher.add(record("1"));
  t.mock.timers.tick(60);
  batcher.add(record("2"));
  t.mock.timers.tick(39);
  assert.deepEqual(batches, []);
  t.mock.timers.tick(1);
  assert.deepEqual(batches, [[record("1"), record("2")]]);
  batcher.add(record("3"));
  t.mock.timers.tick(100);
  assert.deepEqual(batches[1], [record("3")]);
});

test("a full batch goes at once, and its timer with it", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { sizes, batcher } = collecting({ batchSize: 3 });
  for (const id of ["1", "2", "3"]) batcher.add(record(id));
  assert.deepEqual(sizes(), [3]);
  t.mock.timers.tick(1_000);
  assert.deepEqual(sizes(), [3]);
});

test("no more than 512 records go in one batch", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { sizes, batcher } = collecting();
  for (let i = 0; i < 1_100; i++) batcher.add(record(String(i)));
  batcher.flush();
  assert.deepEqual(sizes(), [512, 512, 76]);
});

test("beyond its capacity the newest record is dropped and counted, until the writer has caught up", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { batches, counts, batcher } = collecting({ capacity: 4, batchSize: 2 });
  for (const id of ["1", "2", "3", "4", "5", "6"]) batcher.add(record(id));
  assert.deepEqual(
    batches.flat().map(({ requestId }) => requestId),
    ["1", "2", "3", "4"],
  );
  assert.equal(counts.dropped, 2);
  assert.equal(batcher.underWay, 4);
  batcher.acknowledge(1);
  batcher.add(record("7"));
  batcher.add(record("8"));
  assert.equal(counts.dropped, 3);
  batcher.flush();
  assert.deepEqual(batches.at(-1), [record("7")]);
});

test("a writer that acknowledges too much does not make room that is not there", () => {
  const { batcher } = collecting({ capacity: 2, batchSize: 1 });
  batcher.acknowledge(100);
  assert.equal(batcher.underWay, 0);
});

test("when the writer is replaced, what it had is counted as dropped and there is room again", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { counts, batcher } = collecting({ capacity: 3, batchSize: 2 });
  for (const id of ["1", "2", "3"]) batcher.add(record(id));
  batcher.forget();
  assert.equal(counts.dropped, 2);
  assert.equal(batcher.underWay, 1);
});

test("flushing nothing sends nothing", () => {
  const { batches, batcher } = collecting();
  batcher.flush();
  assert.deepEqual(batches, []);
});

test("a waiting record does not keep the process alive", () => {
  const { batcher } = collecting();
  batcher.add(record("1"));
  assert.ok(!process.getActiveResourcesInfo().includes("Timeout"));
  batcher.flush();
});

test("a batch can be posted to another thread", () => {
  const full: AccessRecord = {
    atMs: 1,
    route: "api",
    arm: "candidate",
    decision: "bucket",
    upstream: "v2",
    method: "GET",
    target: "/",
    status: 200,
    durationMs: 1.5,
    upstreamMs: 1,
    bytesIn: 0,
    bytesOut: 2,
    attempts: 1,
    fallback: null,
    requestId: "r",
    traceId: null,
    clientAddress: "127.0.0.1",
    failure: null,
    cause: null,
    generation: 1,
    endedBy: "upstream",
  };
  assert.deepEqual(structuredClone([full]), [full]);
});
