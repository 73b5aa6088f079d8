import assert from "node:assert/strict";
import { header } from "./message-reader.ts";
import type { Answer } from "./raw-client.ts";

/** The error object of a local reply. */
export interface LocalError {
  readonly code: string;
  readonly message: string;
  readonly requestId: string;
  /** Null when the request could not be read, so that it has no trace. */
  readonly traceId: string | null;
}

/** Asserts that an answer is a whole local reply of the public shape, and gives its error object. */
export function assertLocalReply(answer: Answer, status: number, code?: string): LocalError {
  assert.equal(answer.status, status, answer.text);
  assert.equal(answer.complete, true, "the local reply is whole");
  assert.match(header(answer, "content-type") ?? "", /^application\/json\b/);
  const parsed = JSON.parse(answer.body.toString("utf8")) as { readonly error: LocalError };
  assert.deepEqual(Object.keys(parsed), ["error"]);
  const { error } = parsed;
  assert.deepEqual(Object.keys(error).toSorted(), ["code", "message", "requestId", "traceId"]);
  assert.equal(header(answer, "x-crossfade-error"), error.code);
  assert.equal(header(answer, "x-request-id"), error.requestId);
  assert.match(error.code, /^[a-z][a-z0-9_]*$/);
  assert.notEqual(error.message, "");
  assert.notEqual(error.requestId, "");
  if (error.traceId !== null || !UNREADABLE.has(status)) assert.match(error.traceId ?? "", /^(?!0{32})[0-9a-f]{32}$/);
  if (code !== undefined) assert.equal(error.code, code);
  return error;
}

/** Statuses that may answer what was not a request at all. */
const UNREADABLE: ReadonlySet<number> = new Set([400, 408, 431]);
