/** What the store of last good answers costs an exchange: mostly one digest. Run: node bench/micro/stale.ts */
import { bench, do_not_optimize, run, summary } from "mitata";
import type { OutgoingHead, RequestHead } from "../../src/model/exchange-types.ts";
import { outgoingFields } from "../../src/model/outgoing.ts";
import { readFacts } from "../../src/model/request-facts.ts";
import { readStaleRequest, type StaleRequest } from "../../src/policy/stale-rules.ts";
import { StaleStore } from "../../src/proxy/stale-store.ts";
import { SAMPLE_ANSWER, SAMPLE_HEAD, SMALL_ANSWER, SMALL_HEAD } from "./sample-head.ts";

const BODY = "x".repeat(2_048);
const MAX_AGE_MS = 600_000;

summary(() => {
  for (const [name, request, answer] of [
    ["2 fields", requestFrom(SMALL_HEAD), SMALL_ANSWER],
    ["14 fields, credentials, Vary", requestFrom(withoutNoCache(SAMPLE_HEAD)), varying(SAMPLE_ANSWER)],
  ] as const) {
    const store = storeFor();
    const kept = (nowMs: number): void => {
      const capture = store.capture(request, answer, "v1", nowMs);
      capture?.add(BODY);
      capture?.end();
    };
    kept(0);
    if (store.find(request, 0) === null) throw new Error("the sample answer was not kept");
    bench(`read a request, ${name}`, () => do_not_optimize(readStaleRequest(request, false)));
    bench(`an answer that is kept already, ${name}`, () => do_not_optimize(store.capture(request, answer, "v1", 500)));
    let nowMs = 0;
    bench(`keep an answer, ${name}`, () => kept((nowMs += 1_000)));
    bench(`find an answer, ${name}`, () => do_not_optimize(store.find(request, nowMs)));
  }
});

summary(() => {
  const store = storeFor();
  let i = 0;
  bench("keep one of many answers in a full store", () => {
    const request = requestFrom({ ...SMALL_HEAD, target: `/${i++}` });
    const capture = store.capture(request, SMALL_ANSWER, "v1", i);
    capture?.add(BODY);
    capture?.end();
  });
});

await run();

function storeFor(): StaleStore {
  const sizes = { maxBytes: 16 * 1_048_576, maxEntryBytes: 1_048_576 };
  return new StaleStore({ maxAgeMs: MAX_AGE_MS, shared: false, versionHeader: "x-crossfade-upstream", ...sizes });
}

function withoutNoCache(head: RequestHead): RequestHead {
  return { ...head, headers: head.headers.map((value) => (value === "no-cache" ? "max-age=0" : value)) };
}

function varying(answer: typeof SAMPLE_ANSWER): typeof SAMPLE_ANSWER {
  const plain = answer.headers.filter((_, i) => !/^set-cookie$/i.test(answer.headers[i - (i % 2)] as string));
  return { ...answer, headers: [...plain, "Vary", "Accept-Encoding"] };
}

function requestFrom(head: RequestHead): StaleRequest {
  const facts = readFacts(head);
  if (typeof facts === "string") throw new Error(facts);
  const fields = outgoingFields(head, facts, {
    peerTrusted: false,
    requestId: "5f1f6f1e-6c2e-4a0e-9a55-0d6e4c1a2b3c",
    traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    traceBegun: false,
    viaName: "crossfade",
    controlHeaders: new Set(),
  });
  // Sent already, so that its text is in one piece, as it is when an answer comes.
  Buffer.from(fields, "latin1");
  const outgoing: OutgoingHead = {
    method: head.method,
    target: facts.target.forward,
    fields,
    body: facts.body,
    expectsContinue: false,
    hasTrailers: false,
    bodyFollowsLater: false,
  };
  return { headers: head.headers, outgoing, key: "user-4711" };
}
