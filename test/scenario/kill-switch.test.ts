import assert from "node:assert/strict";
import test from "node:test";
import { kill, rollBack, setSplit, unkill, type Change } from "../support/admin-calls.ts";
import { startHttpUpstream, sendJson } from "../support/http-upstream.ts";
import { startLoad } from "../support/load.ts";
import { fileScope } from "../support/scope.ts";
import { useSidecar, type Sidecar } from "../support/sidecar.ts";

const ROUNDS = 5;
const WANTED_MS = 10;

/** When each request reached v2, by target; `performance.now()`. */
const arrivals = new Map<string, number>();
const v1 = await startHttpUpstream(fileScope, { name: "v1" });
const v2 = await startHttpUpstream(fileScope, {
  name: "v2",
  handler: (request, response) => {
    arrivals.set(request.url ?? "", performance.now());
    sendJson(response, {});
  },
});
const sidecar = await useSidecar(fileScope, {
  runtime: { threads: 2 },
  upstreams: { v1: { endpoints: [v1.url] }, v2: { endpoints: [v2.url] } },
  routes: [
    {
      name: "api",
      match: { pathPrefix: "/" },
      split: { baseline: "v1", candidate: "v2", share: "100%", sticky: [{ header: "x-user-id" }] },
    },
  ],
});

interface Lever {
  readonly pull: (sidecar: Sidecar) => Promise<Change>;
  readonly undo: (sidecar: Sidecar) => Promise<Change>;
}

const LEVERS: Readonly<Record<string, Lever>> = {
  "the kill switch": { pull: (s) => kill(s), undo: (s) => unkill(s) },
  "the kill switch of one route": { pull: (s) => kill(s, ["api"]), undo: (s) => unkill(s, ["api"]) },
  "a rollback": { pull: (s) => rollBack(s, "api"), undo: (s) => setSplit(s, "api", "100%") },
  "a split of 0%": { pull: (s) => setSplit(s, "api", "0%"), undo: (s) => setSplit(s, "api", "100%") },
};

for (const [name, { pull, undo }] of Object.entries(LEVERS)) {
  test(`no request that begins after the answer to ${name} reaches v2`, async (t) => {
    const request = (n: number) => ({ target: `/${name.length}-${n}`, fields: [`x-user-id: u${n}`], key: `u${n}` });
    const load = startLoad(t, { port: sidecar.port, connections: 4, requestsPerSecond: "back-to-back", request });
    const tookMs: number[] = [];
    // The first call of its kind finds cold code, which is not what is measured.
    await pull(sidecar);
    await undo(sidecar);
    for (let round = 0; round < ROUNDS; round++) {
      await load.more(200);
      const from = load.answers.length;
      const calledMs = performance.now();
      await pull(sidecar);
      const answeredMs = performance.now();
      await load.more(200);
      const begunAfter = load.answers.slice(from).filter(({ askedMs }) => askedMs > answeredMs);
      assert.ok(begunAfter.length >= 50, "the load went on");
      assert.deepEqual([...new Set(begunAfter.map(({ servedBy }) => servedBy))], ["v1"]);
      assert.deepEqual(
        begunAfter.filter(({ target }) => arrivals.has(target)),
        [],
        "nothing that began after the answer is seen at v2",
      );
      tookMs.push(Math.max(0, Math.max(...arrivals.values()) - calledMs));
      await undo(sidecar);
      const undoneMs = performance.now();
      await load.more(200);
      const after = load.answers.filter(({ askedMs }) => askedMs > undoneMs);
      assert.deepEqual([...new Set(after.map(({ servedBy }) => servedBy))], ["v2"], "and it can be undone");
    }
    await load.stop();
    assert.deepEqual(load.failures, []);
    assert.ok(load.answers.every(({ status }) => status === 200));
    const sorted = tookMs.toSorted((a, b) => a - b).map((ms) => ms.toFixed(1));
    t.diagnostic(
      `from the call of ${name} to the last request at v2: ${sorted.join(", ")} ms (wanted: < ${WANTED_MS})`,
    );
  });
}
