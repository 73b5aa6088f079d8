import { inspect } from "node:util";
import type { ArmLabel, DecisionReason, FallbackKind } from "../base/cells.ts";
import type { Random } from "../base/clock.ts";
import type { AccessLogSpec } from "../model/snapshot.ts";
import { PPM } from "../model/split.ts";

/** What one finished exchange leaves in the access log: scalars only, so that a batch is cheap to post. */
export interface AccessRecord {
  /** Wall clock at the request's head, milliseconds since the Unix epoch. */
  readonly atMs: number;
  /** null when no route matched. */
  readonly route: string | null;
  readonly arm: ArmLabel;
  /** Why the arm was picked; null when none was. */
  readonly decision: DecisionReason | null;
  /** The upstream that served; null for a local reply. */
  readonly upstream: string | null;
  readonly method: string;
  /** Request target as `accessTarget` makes it. */
  readonly target: string;
  /** Status the client got; 499 when it left before one was sent. */
  readonly status: number;
  /** From the request's head to the end of the exchange. */
  readonly durationMs: number;
  /** The part of it spent on upstreams, all tries together; null when none was asked. */
  readonly upstreamMs: number | null;
  /** Body bytes from and to the client. */
  readonly bytesIn: number;
  readonly bytesOut: number;
  /** Tries against upstreams; 0 for a local reply. */
  readonly attempts: number;
  /** What answered instead of the arm; null = the arm did, or nobody. */
  readonly fallback: FallbackKind | null;
  readonly requestId: string;
  readonly traceId: string | null;
  readonly clientAddress: string;
  /** Code of the failure table; null when nothing failed. */
  readonly failure: string | null;
  /** The failure's cause as text, for operators only. */
  readonly cause: string | null;
  /** Generation of the snapshot that served. */
  readonly generation: number;
  /** Who ended the exchange: `upstream` when its answer, whole or cut, was the end of it. */
  readonly endedBy: "client" | "proxy" | "upstream";
}

/** Longest target and cause that are kept; what was cut is marked by an ellipsis. */
export const MAX_TEXT_LENGTH = 1024;

/** A request target for the log: without its query, where secrets travel, unless asked for; cut at 1 024 characters. */
export function accessTarget(target: string, keepQuery = false): string {
  const query = target.indexOf("?");
  return clip(keepQuery || query === -1 ? target : target.slice(0, query));
}

/** Cause of a failure as one text, whatever it is: an error's code and message, else what it looks like. */
export function causeText(cause: unknown): string | null {
  if (cause === null || cause === undefined) return null;
  if (typeof cause === "string") return clip(cause);
  if (!(cause instanceof Error)) return clip(inspect(cause, { depth: 1, breakLength: Infinity }));
  // Connecting to a name with several addresses fails with a code and an empty message.
  const { code = cause.name, message } = cause as NodeJS.ErrnoException;
  return clip(message.includes(code) || code === "Error" ? message : `${code}: ${message}`);
}

function clip(text: string): string {
  return text.length <= MAX_TEXT_LENGTH ? text : `${text.slice(0, MAX_TEXT_LENGTH)}…`;
}

/**
 * Whether an exchange gets a record. `errors` takes every status from 400 and everything that `failed` after its head
 * was sent; `share` takes those too, and `ppm` of the rest. `random` is asked for nothing else.
 */
export function shouldLog(spec: AccessLogSpec, status: number, failed: boolean, random: Random): boolean {
  switch (spec.mode) {
    case "none":
      return false;
    case "all":
      return true;
    case "errors":
      return failed || status >= 400;
    case "share":
      return failed || status >= 400 || random() * PPM < spec.ppm;
  }
}
