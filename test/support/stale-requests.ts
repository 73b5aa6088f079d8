import assert from "node:assert/strict";
import type { Chunk, OutgoingHead, RequestHead, ResponseHead } from "../../src/model/exchange-types.ts";
import { outgoingFields } from "../../src/model/outgoing.ts";
import { readFacts } from "../../src/model/request-facts.ts";
import type { StaleRequest } from "../../src/policy/stale-rules.ts";
import type { StaleStore } from "../../src/proxy/stale-store.ts";
import { headOf } from "./heads.ts";

/** What a test says of a request; `key` null = the caller has none. */
export interface Asked extends Partial<RequestHead> {
  readonly key?: string | null;
}

/** A request as a store is asked about it, made by the rules that every request goes through. */
export function staleRequest({ key = "u1", headers = [], ...parts }: Asked = {}): StaleRequest {
  const host = headers.some((name) => name.toLowerCase() === "host") ? [] : ["host", "a.test"];
  const head = headOf({ headers: [...host, ...headers], ...parts });
  const facts = readFacts(head);
  assert.ok(typeof facts !== "string");
  const fields = outgoingFields(head, facts, {
    peerTrusted: true,
    requestId: "id-1",
    traceparent: "tp",
    traceBegun: false,
    viaName: "crossfade",
    controlHeaders: new Set(),
  });
  const outgoing: OutgoingHead = {
    method: head.method,
    target: facts.target.forward,
    fields,
    body: facts.body,
    expectsContinue: false,
    hasTrailers: false,
    bodyFollowsLater: false,
  };
  return { headers: head.headers, outgoing, key };
}

/** A 200 answer with these fields. */
export function answerHead(headers: readonly string[] = [], status: number = 200): ResponseHead {
  return { status, reason: "Told", headers };
}

/** Gives a whole answer to the store; false when it took none. */
export function offer(
  store: StaleStore,
  request: StaleRequest,
  head: ResponseHead,
  nowMs: number,
  body: Chunk,
): boolean {
  const capture = store.capture(request, head, "v1", nowMs);
  capture?.add(body);
  capture?.end();
  return capture !== null;
}

/** The body that the store tells, as text; null when it tells nothing. */
export function told(store: StaleStore, request: StaleRequest, nowMs: number): string | null {
  const answer = store.find(request, nowMs);
  if (answer === null) return null;
  return answer.body.map((piece) => (typeof piece === "string" ? piece : piece.toString("latin1"))).join("");
}
