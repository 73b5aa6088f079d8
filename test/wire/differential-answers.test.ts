import test from "node:test";
import fc from "fast-check";
import {
  assertSame,
  assertUnharmed,
  startPair,
  type AnswerScript,
  type ClientScript,
} from "../support/differential.ts";
import { answers, brokenAnswers, cutAnswers } from "../support/differential-cases.ts";
import type { Scope } from "../support/scope.ts";
import { fileScope } from "../support/scope.ts";

/** More finds more; the default keeps the file short. */
const RUNS = Number(process.env["DIFFERENTIAL_RUNS"] ?? 150);
// One connection at most: whatever a case leaves behind on it is what the request after it would get.
const pair = await startPair(fileScope, { upstreams: { root: { pool: { minConnections: 0, maxConnections: 1 } } } });

async function holds(scope: Scope, cases: fc.Arbitrary<readonly [ClientScript, AnswerScript]>): Promise<void> {
  const property = fc.asyncProperty(cases, async ([client, answer]) => {
    await assertSame(pair, client, answer);
    await assertUnharmed(scope, pair);
  });
  await fc.assert(property, { numRuns: RUNS });
}

const OK = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const CONTINUE = "HTTP/1.1 100 Continue\r\n\r\n";
const EXPECT = "POST / HTTP/1.1\r\nHost: a.test\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello";
for (const [name, request, pieces] of [
  ["a 100 that was asked for", EXPECT, [CONTINUE, OK]],
  ["a 100 that nobody asked for", "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n", [CONTINUE + OK]],
  ["no 100 though it was asked for", EXPECT, [OK]],
] as const) {
  test(`${name} comes back the same`, async (t) => {
    const client = { pieces: [request], methods: ["GET"], sure: true };
    await assertSame(pair, client, { pieces, ending: "keep" });
    await assertUnharmed(t, pair);
  });
}

test("generated answers, cut anywhere, come back the same and leave nothing behind", async (t) => {
  await holds(t, answers);
});

test("so do answers that end too early", async (t) => {
  await holds(t, cutAnswers);
});

test("so do answers in which some bytes are wrong", async (t) => {
  await holds(t, brokenAnswers);
});
