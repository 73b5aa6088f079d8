import assert from "node:assert/strict";
import test from "node:test";
import { bucketOfKey } from "../../src/model/split.ts";
import { setSplit } from "../support/admin-calls.ts";
import { askAll, connectMany, expectedArms, onCandidate, servedBy, userKeys } from "../support/arms.ts";
import { startHttpUpstream } from "../support/http-upstream.ts";
import { connectRaw, requestText } from "../support/raw-client.ts";
import { fileScope, type Scope } from "../support/scope.ts";
import { startSidecar, useSidecar, type Sidecar } from "../support/sidecar.ts";

const KEYS = userKeys(400);
const STEPS = [1, 5, 25, 50, 100];
const v1 = await startHttpUpstream(fileScope, { name: "v1" });
const v2 = await startHttpUpstream(fileScope, { name: "v2" });

/** A split of `api` by x-user-id; `over` is laid on its split section. */
function configOf(share: string, threads: number | "inline", over: object = {}): object {
  return {
    runtime: { threads },
    upstreams: { v1: { endpoints: [v1.url] }, v2: { endpoints: [v2.url] } },
    routes: [
      {
        name: "api",
        match: { pathPrefix: "/" },
        split: { baseline: "v1", candidate: "v2", share, sticky: [{ header: "x-user-id" }], ...over },
      },
    ],
  };
}

async function assertArms(scope: Scope, sidecar: Sidecar, ppm: number): Promise<void> {
  const clients = await connectMany(scope, sidecar.port, 16);
  const expected = expectedArms(KEYS, "api", ppm);
  for (const from of [0, 7]) assert.deepEqual(await askAll(clients, KEYS, { from }), expected);
  for (const client of clients) client.destroy();
}

for (const threads of ["inline", 4] as const) {
  test(`a key's arm is what its bucket says, on every connection, with threads: ${threads}`, async (t) => {
    const sidecar = await useSidecar(t, configOf("25%", threads));
    await assertArms(t, sidecar, 250_000);
  });
}

test("a key keeps its arm over a restart", async (t) => {
  for (let life = 0; life < 2; life++) {
    const sidecar = await startSidecar(configOf("25%", 2));
    await assertArms(t, sidecar, 250_000);
    assert.equal((await sidecar.stop()).code, 0);
  }
});

test("a key keeps its arm over reloads that do not touch its share, and moves as it should over those that do", async (t) => {
  const sidecar = await useSidecar(t, configOf("25%", 2));
  const rewrite = async (percent: number, over: object): Promise<void> => {
    const seen = sidecar.logs.length;
    const base = configOf(`${percent}%`, 2) as { readonly upstreams: object };
    const upstreams = { ...base.upstreams, ...("upstreams" in over ? (over.upstreams as object) : {}) };
    sidecar.writeConfig({ ...base, ...over, upstreams });
    await sidecar.log("config applied", seen);
    await assertArms(t, sidecar, percent * 10_000);
  };
  await rewrite(25, { downstream: { keepAliveTimeout: "70s" } });
  await rewrite(25, { upstreams: { v3: { endpoints: [v1.url] } } });
  await rewrite(25, { log: { access: "errors" } });
  for (const percent of [1, 50, 5]) await rewrite(percent, {});
});

test("raising the share only moves callers to v2, lowering it only back", async (t) => {
  const sidecar = await useSidecar(t, configOf("0%", 2));
  const clients = await connectMany(t, sidecar.port, 16);
  let before = onCandidate(await askAll(clients, KEYS));
  assert.equal(before.size, 0);
  for (const percent of STEPS) {
    await setSplit(sidecar, "api", `${percent}%`);
    const after = onCandidate(await askAll(clients, KEYS));
    assert.ok(before.isSubsetOf(after), `at ${percent}% nobody came back`);
    before = after;
  }
  assert.equal(before.size, KEYS.length);
  for (const percent of [...STEPS.toReversed().slice(1), 0]) {
    await setSplit(sidecar, "api", `${percent}%`);
    const after = onCandidate(await askAll(clients, KEYS));
    assert.ok(after.isSubsetOf(before), `at ${percent}% nobody moved to v2`);
    before = after;
  }
  assert.equal(before.size, 0);
});

test("another salt deals the callers anew", async (t) => {
  const sidecar = await useSidecar(t, configOf("50%", "inline", { salt: "second try" }));
  const clients = await connectMany(t, sidecar.port, 4);
  const arms = await askAll(clients, KEYS);
  assert.deepEqual(arms, expectedArms(KEYS, "second try", 500_000));
  assert.notDeepEqual(arms, expectedArms(KEYS, "api", 500_000));
});

const SOURCES: Readonly<Record<string, { readonly key: string; readonly target: string; readonly fields: string[] }>> =
  {
    "a header": { key: "h", target: "/?user=q", fields: ["x-user-id: h", "cookie: session=c"] },
    "a cookie": { key: "c", target: "/?user=q", fields: ["cookie: other=1; session=c"] },
    "the query": { key: "q", target: "/?a=b&user=q", fields: [] },
    "the client's address": { key: "127.0.0.1", target: "/", fields: [] },
  };
const sticky = [{ header: "x-user-id" }, { cookie: "session" }, { query: "user" }, { clientIp: true }];
const manySources = await useSidecar(fileScope, configOf("0%", "inline", { sticky }));

for (const [name, { key, target, fields }] of Object.entries(SOURCES)) {
  test(`the first key that is present wins: ${name}`, async (t) => {
    const client = await connectRaw(t, manySources.port);
    const bucket = bucketOfKey("api", key);
    // A share that ends right behind the key's bucket, and one that ends right before it, tell which key was used.
    for (const [ppm, arm] of [
      [bucket + 1, "v2"],
      [bucket, "v1"],
    ] as const) {
      await setSplit(manySources, "api", `${ppm / 10_000}%`);
      assert.equal(servedBy(await client.exchange(requestText("GET", target, fields))), arm);
    }
  });
}
