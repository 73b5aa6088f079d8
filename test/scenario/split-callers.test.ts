import assert from "node:assert/strict";
import test from "node:test";
import { kill, unkill } from "../support/admin-calls.ts";
import { bucketOfKey } from "../../src/model/split.ts";
import { servedBy } from "../support/arms.ts";
import { startHttpUpstream, type HttpHandler } from "../support/http-upstream.ts";
import { allHeaders, header } from "../support/message-reader.ts";
import { connectRaw, requestText, type Answer, type RawClient } from "../support/raw-client.ts";
import { scrape } from "../support/scrape.ts";
import { fileScope, type Scope } from "../support/scope.ts";
import { useSidecar } from "../support/sidecar.ts";

/** Answers with the Cache-Control that the query asks for, and with a cookie of its own. */
const handler: HttpHandler = (request, response) => {
  const control = new URL(request.url ?? "", "http://upstream").searchParams.get("cc");
  if (control !== null) response.setHeader("cache-control", control);
  response.setHeader("set-cookie", "theirs=1");
  response.end("ok");
};
const v1 = await startHttpUpstream(fileScope, { name: "v1", handler });
const v2 = await startHttpUpstream(fileScope, { name: "v2", handler });

/** One route per rule, each with its own path. */
const sidecar = await useSidecar(fileScope, {
  runtime: { threads: "inline" },
  upstreams: { v1: { endpoints: [v1.url] }, v2: { endpoints: [v2.url] } },
  segments: { beta: { keys: ["betty"], headers: { "x-tenant": ["acme", "initech"] } } },
  routes: [
    route("cookie", { share: "50%", onMissingKey: { setCookie: { name: "cf", maxAge: "30d" } } }),
    route("random", { share: "50%", onMissingKey: "random" }),
    route("baseline", { share: "100%", onMissingKey: "baseline" }),
    route("overrides", {
      share: "0%",
      overrides: [
        { header: { "x-crossfade-force": "v1" }, to: "baseline" },
        { header: { "x-crossfade-force": "v2" }, to: "candidate" },
        { cookie: { preview: "yes" }, to: "candidate" },
        { segment: "beta", to: "candidate" },
      ],
    }),
  ],
});

function route(name: string, over: object): object {
  const split = { baseline: "v1", candidate: "v2", sticky: [{ header: "x-user-id" }], ...over };
  return { name, match: { pathPrefix: `/${name}` }, split };
}

function askWith(client: RawClient, target: string, ...fields: readonly string[]): Promise<Answer> {
  return client.exchange(requestText("GET", target, fields));
}

async function ask(scope: Scope, target: string, ...fields: readonly string[]): Promise<Answer> {
  return askWith(await connectRaw(scope, sidecar.port), target, ...fields);
}

/** The key in our cookie; null when there is none. Also checks its attributes. */
function mintedKey(answer: Answer): string | null {
  const ours = allHeaders(answer, "set-cookie").filter((value) => value.startsWith("cf="));
  assert.ok(ours.length <= 1);
  if (ours[0] === undefined) return null;
  const match = /^cf=([0-9a-f]{32}); Path=\/; Max-Age=2592000; HttpOnly; SameSite=Lax$/.exec(ours[0]);
  assert.ok(match !== null, ours[0]);
  return match[1] as string;
}

test("a caller without a key gets one in a cookie, and its arm is what that key's bucket says", async (t) => {
  const client = await connectRaw(t, sidecar.port);
  const seen = new Set<string>();
  for (let i = 0; i < 30; i++) {
    const answer = await askWith(client, "/cookie");
    const key = mintedKey(answer) ?? "";
    assert.equal(servedBy(answer), bucketOfKey("cookie", key) < 500_000 ? "v2" : "v1");
    seen.add(key);
  }
  assert.equal(seen.size, 30, "every caller gets a key of its own");
});

test("a caller that brings the cookie back stays on its arm and gets no other", async (t) => {
  const client = await connectRaw(t, sidecar.port);
  for (let i = 0; i < 10; i++) {
    const first = await askWith(client, "/cookie");
    const again = await askWith(client, "/cookie", `Cookie: a=b; cf=${mintedKey(first)}`);
    assert.equal(servedBy(again), servedBy(first));
    assert.equal(mintedKey(again), null);
  }
});

test("a caller with a key of its own gets no cookie", async (t) => {
  const answer = await ask(t, "/cookie", "x-user-id: u1");
  assert.equal(mintedKey(answer), null);
  assert.equal(header(answer, "cache-control"), null);
});

test("the upstream's own cookies stay beside ours", async (t) => {
  const answer = await ask(t, "/cookie");
  assert.deepEqual(allHeaders(answer, "set-cookie").length, 2);
  assert.equal(allHeaders(answer, "set-cookie")[0], "theirs=1");
});

const CACHE_CONTROL: readonly (readonly [asked: string | null, given: string, cookie: boolean])[] = [
  [null, "private", true],
  ["max-age=60", "private, max-age=60", true],
  ["private, max-age=60", "private, max-age=60", true],
  ["no-store", "no-store", true],
  ["no-cache", "private, no-cache", true],
  ["public, max-age=60", "public, max-age=60", false],
  ["s-maxage=60", "s-maxage=60", false],
  ["max-age=60, S-MaxAge=60", "max-age=60, S-MaxAge=60", false],
  ["Public", "Public", false],
];

for (const [asked, given, cookie] of CACHE_CONTROL) {
  const told = cookie ? `becomes ${given} with our cookie` : "stays as it is, without our cookie";
  test(`an answer with Cache-Control ${asked ?? "absent"} ${told}`, async (t) => {
    const answer = await ask(t, asked === null ? "/cookie" : `/cookie?cc=${encodeURIComponent(asked)}`);
    assert.equal(header(answer, "cache-control"), given);
    assert.equal(mintedKey(answer) !== null, cookie);
  });
}

test("random callers land on both arms, and no cookie is given", async (t) => {
  const client = await connectRaw(t, sidecar.port);
  const arms = new Set<string>();
  // All on one arm by chance: once in 2^59 runs.
  for (let i = 0; i < 60; i++) {
    const answer = await askWith(client, "/random");
    arms.add(servedBy(answer));
    assert.equal(mintedKey(answer), null);
  }
  assert.deepEqual([...arms].toSorted(), ["v1", "v2"]);
});

test("callers without a key stay on the baseline where the config says so, those with one do not", async (t) => {
  const client = await connectRaw(t, sidecar.port);
  assert.equal(servedBy(await askWith(client, "/baseline")), "v1");
  assert.equal(servedBy(await askWith(client, "/baseline", "x-user-id: u1")), "v2");
  assert.equal(servedBy(await askWith(client, "/baseline", "x-user-id:")), "v1");
});

const FORCED: Readonly<Record<string, readonly string[]>> = {
  "a header": ["x-crossfade-force: v2"],
  "a header in another case": ["X-Crossfade-Force: v2"],
  "a cookie": ["Cookie: a=b; preview=yes"],
  "a segment's key": ["x-user-id: betty"],
  "a segment's header": ["x-tenant: initech"],
};

for (const [name, fields] of Object.entries(FORCED)) {
  test(`an override by ${name} beats the bucket`, async (t) => {
    assert.equal(servedBy(await ask(t, "/overrides", ...fields)), "v2");
  });
}

test("the first override that fits wins, and what fits none goes by its bucket", async (t) => {
  assert.equal(servedBy(await ask(t, "/overrides", "x-crossfade-force: v1", "Cookie: preview=yes")), "v1");
  assert.equal(servedBy(await ask(t, "/overrides", "x-crossfade-force: v3", "x-user-id: bob", "x-tenant: Acme")), "v1");
});

test("a kill beats every override", async (t) => {
  t.after(async () => {
    await unkill(sidecar);
  });
  await kill(sidecar);
  for (const fields of Object.values(FORCED)) assert.equal(servedBy(await ask(t, "/overrides", ...fields)), "v1");
});

test("the reason of every decision is counted", async () => {
  const now = await scrape(sidecar);
  const count = (route: string, reason: string) => now.sum("crossfade_decisions_total", { route, reason });
  for (const [route, reason] of [
    ["cookie", "minted"],
    ["cookie", "bucket"],
    ["random", "random"],
    ["baseline", "baseline"],
    ["overrides", "override"],
    ["overrides", "segment"],
    ["overrides", "killed"],
  ] as const) {
    assert.ok(count(route, reason) > 0, `${route} ${reason}`);
  }
});
