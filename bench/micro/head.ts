/** The head of a request on its way up: judged in one pass, written in another. Run: node bench/micro/head.ts */
import { bench, do_not_optimize, run, summary } from "mitata";
import type { RequestFacts, RequestHead } from "../../src/model/exchange-types.ts";
import { outgoingHeaders, type ForwardedFacts } from "../../src/model/outgoing.ts";
import { readFacts } from "../../src/model/request-facts.ts";
import { SAMPLE_HEAD } from "./sample-head.ts";

const SMALL_HEAD: RequestHead = { ...SAMPLE_HEAD, target: "/", headers: ["Host", "127.0.0.1:8080", "x-user-id", "u1"] };

const add: ForwardedFacts = {
  peerTrusted: false,
  requestId: "5f1f6f1e-6c2e-4a0e-9a55-0d6e4c1a2b3c",
  traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
  traceBegun: false,
  viaName: "crossfade",
  controlHeaders: new Set(),
};

for (const [name, head] of [
  ["2 fields", SMALL_HEAD],
  ["14 fields", SAMPLE_HEAD],
] as const) {
  const facts = factsOf(head);
  summary(() => {
    bench(`readFacts, ${name}`, () => do_not_optimize(readFacts(head)));
    bench(`outgoingHeaders, ${name}`, () => do_not_optimize(outgoingHeaders(head, facts, add)));
  });
}

await run();

function factsOf(head: RequestHead): RequestFacts {
  const facts = readFacts(head);
  if (typeof facts === "string") throw new Error(`the sample head was refused: ${facts}`);
  return facts;
}
