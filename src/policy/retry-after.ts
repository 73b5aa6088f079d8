import { timeFromHttpDate } from "./http-date.ts";

/** The longest wait that we believe; a longer one is cut to it. */
const MAX_RETRY_AFTER_MS = 300_000;

/**
 * Milliseconds that a Retry-After field asks to wait (RFC 9110 §10.2.3), 0..300 000: its whole seconds, or the time from
 * `wallMs` to its HTTP-date, 0 when that is past. null when the field is absent or is neither.
 */
export function retryAfterMs(value: string | null, wallMs: number): number | null {
  if (value === null) return null;
  if (/^[0-9]+$/.test(value)) return Math.min(Number(value) * 1_000, MAX_RETRY_AFTER_MS);
  const atMs = timeFromHttpDate(value, wallMs);
  return atMs === null ? null : Math.min(Math.max(0, atMs - wallMs), MAX_RETRY_AFTER_MS);
}
