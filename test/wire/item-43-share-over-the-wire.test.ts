import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import test from "node:test";
import { fileURLToPath } from "node:url";
import { bucketOfKey, PPM } from "../../src/model/split.ts";
import { setSplit } from "../support/admin-calls.ts";
import { askAll, connectMany, expectedArms, onCandidate, servedBy, userKeys } from "../support/arms.ts";
import { startHttpUpstream } from "../support/http-upstream.ts";
import { exchangeOnce, requestText } from "../support/raw-client.ts";
import { fileScope } from "../support/scope.ts";
import { scrape } from "../support/scrape.ts";
import { useSidecar } from "../support/sidecar.ts";

const KEYS = userKeys(2_000);
const SHARES = [1, 10, 33.3333, 75];
const MAIN = fileURLToPath(new URL("../../src/main.ts", import.meta.url));
const v1 = await startHttpUpstream(fileScope, { name: "v1" });
const v2 = await startHttpUpstream(fileScope, { name: "v2" });
const sidecar = await useSidecar(fileScope, configOf({}));

/** Half of the callers by x-user-id; `over` is laid on the split. */
function configOf(over: object): object {
  const split = { baseline: "v1", candidate: "v2", share: "50%", sticky: [{ header: "x-user-id" }], ...over };
  return {
    upstreams: { v1: { endpoints: [v1.url] }, v2: { endpoints: [v2.url] } },
    routes: [{ name: "api", match: { pathPrefix: "/" }, split }],
  };
}

for (const percent of SHARES) {
  test(`at ${percent}% the callers on v2 are those that anybody can compute, and as many as they should be`, async (t) => {
    await setSplit(sidecar, "api", `${percent}%`);
    const before = v2.requests.length;
    const arms = await askAll(await connectMany(t, sidecar.port, 8), KEYS);
    assert.deepEqual(arms, expectedArms(KEYS, "api", Math.round(percent * 10_000)));
    const share = percent / 100;
    const deviation = Math.abs(onCandidate(arms).size - KEYS.length * share);
    const sigma = Math.sqrt(KEYS.length * share * (1 - share));
    t.diagnostic(`${onCandidate(arms).size} of ${KEYS.length} callers, ${(deviation / sigma).toFixed(2)} sigma off`);
    assert.ok(deviation <= 3 * sigma);
    assert.equal(v2.requests.length - before, onCandidate(arms).size, "what the header says is what happened");
    const scraped = (await scrape(sidecar)).sum("crossfade_split_share", { route: "api" });
    assert.ok(Math.abs(scraped - share) < 1e-9);
  });
}

test("the smallest step of a share moves exactly the callers below it", async (t) => {
  const [lowest, next] = KEYS.map((key) => ({ key, bucket: bucketOfKey("api", key) })).toSorted(
    (a, b) => a.bucket - b.bucket,
  );
  assert.ok(lowest !== undefined && next !== undefined);
  for (const [ppm, expected] of [
    [lowest.bucket, ["v1", "v1"]],
    [lowest.bucket + 1, ["v2", "v1"]],
    [next.bucket + 1, ["v2", "v2"]],
  ] as const) {
    await setSplit(sidecar, "api", `${(ppm * 100) / PPM}%`);
    const arms = await askAll(await connectMany(t, sidecar.port, 1), [lowest.key, next.key]);
    assert.deepEqual([...arms.values()], expected);
  }
});

test("a key that is not ASCII has one bucket, however it comes, and it is the one that anybody can compute", async (t) => {
  const sticky = [{ header: "x-user-id" }, { cookie: "user" }, { query: "user" }];
  const many = await useSidecar(t, configOf({ sticky }));
  const [client] = await connectMany(t, many.port, 1);
  assert.ok(client !== undefined);
  for (const key of ["jürgen", "ñandú", "用户-7", "🦊"]) {
    const bytes = Buffer.from(key, "utf8").toString("latin1");
    const requests = [
      requestText("GET", "/", [`x-user-id: ${bytes}`]),
      requestText("GET", "/", [`Cookie: a=b; user=${bytes}`]),
      requestText("GET", `/?user=${encodeURIComponent(key)}`),
    ];
    const expected = expectedArms([key], "api", 500_000).get(key);
    for (const request of requests) assert.equal(servedBy(await client.exchange(request)), expected, request);
  }
});

test("crossfade explain names the arm that a request gets", async (t) => {
  const plain = await useSidecar(t, configOf({ share: "40%" }));
  for (const key of ["user-1", "user-2", "jürgen", "用户-7"]) {
    const field = `x-user-id: ${Buffer.from(key, "utf8").toString("latin1")}`;
    const answer = await exchangeOnce(t, plain.port, requestText("GET", "/api", [field]));
    const args = [MAIN, "explain", plain.configFile, "--request", "GET /api", "--header", `x-user-id: ${key}`];
    const text = execFileSync(process.execPath, args, { encoding: "utf8" });
    const upstream = servedBy(answer) === "v2" ? /candidate.*v2/s : /baseline.*v1/s;
    assert.match(text, upstream, `${key}: ${text}`);
  }
});
