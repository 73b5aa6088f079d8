import test, { type TestContext } from "node:test";
import fc from "fast-check";
import { assertSame, startPair } from "../support/differential.ts";
import { brokenRequests, requests } from "../support/differential-cases.ts";
import { assertNodeAgrees } from "../support/node-reader.ts";
import { fileScope } from "../support/scope.ts";

/** More finds more; the default keeps the file short. */
const RUNS = Number(process.env["DIFFERENTIAL_RUNS"] ?? 250);
const pair = await startPair(fileScope);

test("generated requests, several in a write, cut anywhere, arrive the same and are answered the same", async () => {
  await fc.assert(
    fc.asyncProperty(requests, (script) => assertSame(pair, script)),
    { numRuns: RUNS },
  );
});

test("so are requests in which some bytes are wrong", async () => {
  await fc.assert(
    fc.asyncProperty(brokenRequests, (script) => assertSame(pair, script)),
    { numRuns: RUNS },
  );
});

test("Node's own parser reads what was forwarded as the very same requests", async (t: TestContext) => {
  await assertNodeAgrees(t, pair.subject.upstream.connections);
});
