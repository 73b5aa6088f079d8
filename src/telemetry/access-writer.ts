import type { Logger } from "pino";
import type { AccessRecord } from "./access-log.ts";

/** Writes access records; lives on the lab thread, or beside the road in inline mode. */
export interface AccessWriter {
  /** Writes the batch and returns how many records the batcher may count as done. */
  write(batch: readonly AccessRecord[]): number;
}

/** A writer over the process logger. Its lines carry `log: "access"` and are written whatever the log level is. */
export function createAccessWriter(log: Logger): AccessWriter {
  // The fields of a record are closed and none is a secret: the masking formatter would only cost time.
  const access = log.child({ log: "access" }, { level: "info", formatters: { log: (fields) => fields } });
  return {
    write(batch) {
      for (const record of batch) access.info(lineFromRecord(record), "exchange ended");
      return batch.length;
    },
  };
}

/** The fields of a record's line: ISO time, and the overhead, which is the total less what upstreams took. */
export function lineFromRecord(record: AccessRecord): Record<string, unknown> {
  const { atMs, durationMs, upstreamMs, ...rest } = record;
  return {
    at: new Date(atMs).toISOString(),
    durationMs: rounded(durationMs),
    upstreamMs: upstreamMs === null ? null : rounded(upstreamMs),
    overheadMs: rounded(Math.max(0, durationMs - (upstreamMs ?? 0))),
    ...rest,
  };
}

// Microseconds are as fine as the clock is worth.
function rounded(ms: number): number {
  return Math.round(ms * 1000) / 1000;
}
