/** Heads on their way through: a request's judged in one pass and rewritten in another, an answer's rewritten. Run: node bench/micro/head.ts */
import { bench, do_not_optimize, run, summary } from "mitata";
import type { RequestFacts, RequestHead } from "../../src/model/exchange-types.ts";
import { answerProblem, outgoingAnswer, type AnswerAdditions } from "../../src/model/answer.ts";
import { outgoingFields, type ForwardedFacts } from "../../src/model/outgoing.ts";
import { readFacts } from "../../src/model/request-facts.ts";
import { SAMPLE_ANSWER, SAMPLE_HEAD, SMALL_ANSWER, SMALL_HEAD } from "./sample-head.ts";

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
    bench(`outgoingFields, ${name}`, () => do_not_optimize(outgoingFields(head, facts, add)));
  });
}

const additions: AnswerAdditions = {
  versionHeader: "x-crossfade-upstream",
  servedBy: "v1",
  requestId: add.requestId,
  fallback: null,
  mintedCookie: null,
};

for (const [name, head] of [
  ["5 fields", SMALL_ANSWER],
  ["12 fields", SAMPLE_ANSWER],
] as const) {
  summary(() => {
    bench(`answerProblem, ${name}`, () => do_not_optimize(answerProblem(head)));
    bench(`outgoingAnswer, ${name}`, () => do_not_optimize(outgoingAnswer(head, additions)));
  });
}

await run();

function factsOf(head: RequestHead): RequestFacts {
  const facts = readFacts(head);
  if (typeof facts === "string") throw new Error(`the sample head was refused: ${facts}`);
  return facts;
}
