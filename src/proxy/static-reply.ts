import { STATUS_CODES } from "node:http";
import { FALLBACK_HEADER, localAnswer } from "../model/answer.ts";
import type { OutgoingAnswer, RawHeaders } from "../model/exchange-types.ts";
import { HOP_BY_HOP } from "../model/headers.ts";
import type { FallbackStep } from "../model/snapshot.ts";

/** The answer of a `static` step, made once for all exchanges; its fields lack those of the exchange. */
export interface StaticReply {
  readonly head: OutgoingAnswer;
  /** latin1 text, one character per byte; not for HEAD. */
  readonly body: string;
}

/** Builds the answer of a `static` step. Framing fields and those of this hop are ours, whatever the step says. */
export function staticReply(step: Extract<FallbackStep, { readonly kind: "static" }>): StaticReply {
  const body = hasNoBody(step.status) ? "" : step.body;
  const fields = withoutOurs(step.headers);
  // Whoever caches it would go on with it when the upstream is well again.
  if (!names(step.headers).includes("cache-control")) fields.push("cache-control", "no-store");
  if (step.status !== 204 && step.status !== 304) fields.push("content-length", String(body.length));
  const head = localAnswer(step.status, STATUS_CODES[step.status] ?? "", fields);
  return { head: { ...head, hasLength: true }, body };
}

function withoutOurs(headers: RawHeaders): string[] {
  const all = names(headers);
  return headers.filter((_, i) => !OURS.has(all[i >> 1] as string));
}

function names(headers: RawHeaders): string[] {
  return headers.filter((_, i) => i % 2 === 0).map((name) => name.toLowerCase());
}

const OURS: ReadonlySet<string> = new Set([...HOP_BY_HOP, "content-length", "x-request-id", FALLBACK_HEADER]);

/** Statuses whose answers end with their head (RFC 9112 §6.3), and 205, whose body is empty. */
function hasNoBody(status: number): boolean {
  return status === 204 || status === 205 || status === 304;
}
