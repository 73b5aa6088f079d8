import assert from "node:assert/strict";
import test from "node:test";
import { kill, rollBack, setSplit, unkill } from "../support/admin-calls.ts";
import { askAll, connectMany, expectedArms, userKeys } from "../support/arms.ts";
import { useFolder } from "../support/control-plane.ts";
import { startHttpUpstream } from "../support/http-upstream.ts";
import { fileScope, type Scope } from "../support/scope.ts";
import { startSidecar, useSidecar, type Sidecar } from "../support/sidecar.ts";

const KEYS = userKeys(100);
const PPM = 10_000;
const v1 = await startHttpUpstream(fileScope, { name: "v1" });
const v2 = await startHttpUpstream(fileScope, { name: "v2" });

interface Wish {
  /** Where the overlay is kept; null = nowhere. */
  readonly stateDir: string | null;
  readonly share?: string;
  /** Laid on the split section. */
  readonly split?: object;
  /** Laid on the whole config. */
  readonly over?: object;
}

function configOf({ stateDir, share = "30%", split = {}, over = {} }: Wish): object {
  return {
    runtime: { threads: "inline", stateDir },
    upstreams: { v1: { endpoints: [v1.url] }, v2: { endpoints: [v2.url] } },
    routes: [
      {
        name: "api",
        match: { pathPrefix: "/" },
        split: { baseline: "v1", candidate: "v2", share, sticky: [{ header: "x-user-id" }], ...split },
      },
    ],
    ...over,
  };
}

async function assertShare(scope: Scope, sidecar: Sidecar, percent: number): Promise<void> {
  const clients = await connectMany(scope, sidecar.port, 2);
  assert.deepEqual(await askAll(clients, KEYS), expectedArms(KEYS, "api", percent * PPM));
  for (const client of clients) client.destroy();
}

/** One life of a sidecar over a state folder: `during` may change things before it ends with SIGTERM. */
async function live(
  scope: Scope,
  wish: Wish,
  percent: number,
  during?: (s: Sidecar) => Promise<unknown>,
): Promise<void> {
  const sidecar = await startSidecar(configOf(wish));
  try {
    await assertShare(scope, sidecar, percent);
    await during?.(sidecar);
  } finally {
    assert.equal((await sidecar.stop()).code, 0);
  }
}

test("a split by hand outlives a restart", async (t) => {
  const stateDir = useFolder(t);
  await live(t, { stateDir }, 30, (s) => setSplit(s, "api", "70%"));
  await live(t, { stateDir }, 70);
});

test("a split by hand outlives a process that was killed right after it was answered", async (t) => {
  const stateDir = useFolder(t);
  const sidecar = await startSidecar(configOf({ stateDir }));
  const { durable } = await setSplit(sidecar, "api", "70%");
  assert.equal(durable, "now");
  sidecar.signal("SIGKILL");
  await sidecar.exited;
  await assert.rejects(sidecar.stop(), /SIGKILL/);
  await live(t, { stateDir }, 70);
});

test("a rollback is in force before it is on the disk, and outlives a restart", async (t) => {
  const stateDir = useFolder(t);
  await live(t, { stateDir }, 30, async (s) => {
    const { durable } = await rollBack(s, "api");
    assert.equal(durable, "later");
    await assertShare(t, s, 0);
  });
  await live(t, { stateDir }, 0);
});

test("a kill outlives a restart and an edit of the split, and ends with unkill", async (t) => {
  const stateDir = useFolder(t);
  await live(t, { stateDir }, 30, (s) => kill(s));
  await live(t, { stateDir, share: "50%" }, 0, async (s) => {
    await unkill(s);
    await assertShare(t, s, 50);
  });
  await live(t, { stateDir, share: "50%" }, 50);
});

test("an edit of the split section between two lives ends the split by hand", async (t) => {
  const stateDir = useFolder(t);
  await live(t, { stateDir }, 30, (s) => setSplit(s, "api", "70%"));
  await live(t, { stateDir, share: "40%" }, 40);
  // And it does not come back when the section says again what it said.
  await live(t, { stateDir }, 30);
});

test("an unrelated edit between two lives leaves the split by hand alone", async (t) => {
  const stateDir = useFolder(t);
  await live(t, { stateDir }, 30, (s) => setSplit(s, "api", "70%"));
  await live(t, { stateDir, over: { downstream: { keepAliveTimeout: "70s" } } }, 70);
});

test("without a state folder nothing outlives a restart", async (t) => {
  await live(t, { stateDir: null }, 30, async (s) => {
    const { durable } = await setSplit(s, "api", "70%");
    assert.equal(durable, "never");
    await assertShare(t, s, 70);
  });
  await live(t, { stateDir: null }, 30);
});

test("while it runs, an unrelated edit of the file leaves the split by hand alone, an edit of its section ends it", async (t) => {
  const stateDir = useFolder(t);
  const sidecar = await useSidecar(t, configOf({ stateDir }));
  await setSplit(sidecar, "api", "70%");
  const rewrite = async (wish: Partial<Wish>): Promise<void> => {
    const seen = sidecar.logs.length;
    sidecar.writeConfig(configOf({ stateDir, ...wish }));
    await sidecar.log("config applied", seen);
  };
  await rewrite({ over: { downstream: { keepAliveTimeout: "70s" } } });
  await assertShare(t, sidecar, 70);
  const seen = sidecar.logs.length;
  await rewrite({ share: "45%" });
  await assertShare(t, sidecar, 45);
  const { routes } = await sidecar.log("overlay ended by an edit of its section", seen);
  assert.deepEqual(routes, ["api"]);
});

test("an edit of anything in the section counts, not of the share alone", async (t) => {
  const stateDir = useFolder(t);
  await live(t, { stateDir }, 30, (s) => setSplit(s, "api", "70%"));
  await live(t, { stateDir, split: { onMissingKey: "baseline" } }, 30);
});
