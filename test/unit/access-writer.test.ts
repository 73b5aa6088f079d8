import assert from "node:assert/strict";
import { test } from "node:test";
import type { AccessRecord } from "../../src/telemetry/access-log.ts";
import { createAccessWriter, lineFromRecord } from "../../src/telemetry/access-writer.ts";
import { createLogger } from "../../src/telemetry/log.ts";

const SERVED: AccessRecord = {
  atMs: 1_700_000_000_123,
  route: "api",
  arm: "candidate",
  decision: "bucket",
  upstream: "v2",
  method: "GET",
  target: "/api/x",
  status: 200,
  durationMs: 12.34567,
  upstreamMs: 11.1,
  bytesIn: 0,
  bytesOut: 110,
  attempts: 1,
  fallback: null,
  requestId: "r-1",
  traceId: "4bf92f3577b34da6a3ce929d0e0e4736",
  clientAddress: "10.0.0.9",
  failure: null,
  cause: null,
  generation: 3,
  endedBy: "upstream",
};

test("a record's line has every field, ISO time, and the overhead", () => {
  assert.deepEqual(lineFromRecord(SERVED), {
    at: "2023-11-14T22:13:20.123Z",
    durationMs: 12.346,
    upstreamMs: 11.1,
    overheadMs: 1.246,
    route: "api",
    arm: "candidate",
    decision: "bucket",
    upstream: "v2",
    method: "GET",
    target: "/api/x",
    status: 200,
    bytesIn: 0,
    bytesOut: 110,
    attempts: 1,
    fallback: null,
    requestId: "r-1",
    traceId: "4bf92f3577b34da6a3ce929d0e0e4736",
    clientAddress: "10.0.0.9",
    failure: null,
    cause: null,
    generation: 3,
    endedBy: "upstream",
  });
});

test("without an upstream the whole time is overhead, and overhead is never negative", () => {
  const local = lineFromRecord({ ...SERVED, upstream: null, upstreamMs: null });
  assert.equal(local["upstreamMs"], null);
  assert.equal(local["overheadMs"], 12.346);
  assert.equal(lineFromRecord({ ...SERVED, durationMs: 5, upstreamMs: 5.5 })["overheadMs"], 0);
});

test("a batch becomes one line per record, whatever the log level, and all of it is acknowledged", () => {
  const lines: string[] = [];
  const log = createLogger({ level: "error", destination: { write: (line) => void lines.push(line) } });
  assert.equal(createAccessWriter(log).write([SERVED, { ...SERVED, requestId: "r-2" }]), 2);
  const parsed = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
  assert.deepEqual(
    parsed.map(({ log: which, level, msg, requestId }) => ({ which, level, msg, requestId })),
    [
      { which: "access", level: "info", msg: "exchange ended", requestId: "r-1" },
      { which: "access", level: "info", msg: "exchange ended", requestId: "r-2" },
    ],
  );
});

test("bytes that a client put into its target cannot begin a new line", () => {
  const lines: string[] = [];
  const log = createLogger({ level: "info", destination: { write: (line) => void lines.push(line) } });
  createAccessWriter(log).write([{ ...SERVED, target: '/a\n{"level":"fatal"}\u001b[2J' }]);
  assert.equal(lines.length, 1);
  assert.equal(lines[0]?.trimEnd().includes("\n"), false);
  assert.equal(lines[0]?.includes("\u001b"), false);
});
