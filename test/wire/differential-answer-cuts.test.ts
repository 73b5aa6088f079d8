import test from "node:test";
import { expanded, readAnswerCases } from "../support/corpus.ts";
import { startPair } from "../support/differential.ts";
import { assertCutsSame } from "../support/differential-cuts.ts";
import { fileScope } from "../support/scope.ts";

/** Longer ones are more of the same, and take a connection per byte. */
const MAX_BYTES = 300;
const pair = await startPair(fileScope, {
  upstreams: { root: { timeouts: { connect: "1s", responseHead: "4s", idle: "1s", request: "8s" } } },
});

for (const { name, method, clientVersion, expected, then, upstreamRaw } of readAnswerCases()) {
  const bytes = expanded(upstreamRaw);
  if (bytes.length > MAX_BYTES) continue;
  test(`answer ${name} is the same wherever it is cut`, async () => {
    const request = `${method} /case HTTP/${clientVersion ?? "1.1"}\r\nHost: a.test\r\n\r\n`;
    const mayDiffer = expected === "either";
    await assertCutsSame(pair, { method, request, answer: { bytes, ending: then }, mayDiffer });
  });
}
