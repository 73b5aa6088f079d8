import { pino } from "pino";
import type { DestinationStream, Logger } from "pino";
import type { StateEventSink } from "../base/state-event.ts";

/** How to log. */
export interface LoggerOptions {
  /** The least important level that is written: trace, debug, info, warn, error, fatal or silent. */
  readonly level: string;
  /** Default: standard output, written before the call returns, so that a crash loses nothing. */
  readonly destination?: DestinationStream;
}

/**
 * The logger of the process: one JSON object per line, with `level` as a word and `time` in ISO 8601. Fields that
 * carry secrets are masked by name, at any depth, whatever their case. Bind a thread's name with `log.child`.
 */
export function createLogger({ level, destination }: LoggerOptions): Logger {
  return pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }), log: (fields) => maskSecrets(fields) },
      serializers: { ...SECRET_SERIALIZERS, err: (error: Error) => maskSecrets({ ...pino.stdSerializers.err(error) }) },
    },
    destination ?? pino.destination({ fd: 1, sync: true }),
  );
}

/** What is printed in place of a secret. */
export const MASK = "[masked]";

/** Fields that are never printed, lower-case. */
export const SECRET_FIELDS: readonly string[] = [
  "authorization",
  "proxy-authorization",
  "cookie",
  "set-cookie",
  "token",
  "password",
];

// Fields bound with `log.child` do not pass the formatter; their serializers mask them.
const SECRET_SERIALIZERS = Object.fromEntries(SECRET_FIELDS.map((name) => [name, () => MASK]));

/** Deeper than this nothing is logged by us; the bound keeps a cyclic object from looping. */
const MAX_DEPTH = 6;

/** A copy of plain objects and lists in which the values of secret fields are masked; other values are shared. */
export function maskSecrets(fields: Record<string, unknown>, depth = 0): Record<string, unknown> {
  const masked: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(fields)) {
    masked[name] = SECRET_FIELDS.includes(name.toLowerCase()) ? MASK : maskValue(value, depth);
  }
  return masked;
}

function maskValue(value: unknown, depth: number): unknown {
  if (typeof value !== "object" || value === null) return value;
  if (depth >= MAX_DEPTH) return "[too deep]";
  if (Array.isArray(value)) return value.map((element) => maskValue(element, depth + 1));
  return isPlain(value) ? maskSecrets(value, depth + 1) : value;
}

function isPlain(value: object): value is Record<string, unknown> {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

/** A sink that writes each change of state as one line, labelled by its name in the field `event`. */
export function stateEventLogger(log: Logger): StateEventSink {
  return ({ level, name, message, fields }) => log[level]({ event: name, ...fields }, message);
}
