import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { StaleStore, type StaleStoreOptions } from "../../src/proxy/stale-store.ts";
import type { StaleCapture } from "../../src/proxy/stale-capture.ts";
import { answerHead, offer, staleRequest, told, type Asked } from "../support/stale-requests.ts";

const MAX_AGE_MS = 60_000;

function storeWith(over: Partial<StaleStoreOptions>): StaleStore {
  const base = { maxAgeMs: MAX_AGE_MS, maxBytes: Infinity, maxEntryBytes: 4_096, shared: false };
  return new StaleStore({ ...base, versionHeader: "x-crossfade-upstream", ...over });
}

/** Who asks for what. */
const anyAsk = fc.record({
  key: fc.option(fc.constantFrom("u1", "u2"), { nil: null }),
  authorization: fc.constantFrom("", "a", "b"),
  cookie: fc.constantFrom("", "s=1"),
  target: fc.constantFrom("/a", "/b"),
  accept: fc.constantFrom("", "x", "y"),
});
type Ask = typeof anyAsk extends fc.Arbitrary<infer T> ? T : never;

const anyStep = fc.record({
  waitMs: fc.constantFrom(0, 999, 1_000, 30_000),
  ask: anyAsk,
  does: fc.oneof(
    fc.record({
      kind: fc.constant("offer" as const),
      size: fc.integer({ min: 30, max: 5_000 }),
      control: fc.constantFrom(
        "",
        "max-age=1",
        "stale-if-error=20",
        "no-store",
        "private",
        "must-revalidate, max-age=9",
      ),
      vary: fc.constantFrom("Accept", "Accept, Cookie"),
    }),
    fc.record({ kind: fc.constantFrom("find" as const, "delete" as const, "break" as const) }),
  ),
});

function asked({ key, authorization, cookie, target, accept }: Ask, method = "GET"): Asked {
  const headers: string[] = [];
  if (authorization !== "") headers.push("Authorization", authorization);
  if (cookie !== "") headers.push("Cookie", cookie);
  if (accept !== "") headers.push("Accept", accept);
  return { key, target, headers, method };
}

/** What an answer was made from, as its body says. */
interface Origin {
  readonly ask: Ask;
  readonly atMs: number;
  readonly control: string;
}

const KEPT_MS: Readonly<Record<string, number>> = {
  "": MAX_AGE_MS,
  "max-age=1": MAX_AGE_MS,
  private: MAX_AGE_MS,
  "stale-if-error=20": 20_000,
  "must-revalidate, max-age=9": 9_000,
};

function assertMayBeTold(origin: Origin, ask: Ask, nowMs: number, shared: boolean): void {
  const { target, accept, key, authorization, cookie } = origin.ask;
  assert.deepEqual([target, accept], [ask.target, ask.accept], "the same request");
  assert.ok(nowMs - origin.atMs <= (KEPT_MS[origin.control] ?? -1), `told after ${nowMs - origin.atMs} ms`);
  if (shared) {
    assert.equal(origin.control === "private", false, "a private answer is not shared");
    assert.deepEqual([authorization, ask.authorization], ["", ""], "credentials are not shared");
    return;
  }
  assert.notEqual(key, null);
  assert.deepEqual([key, authorization, cookie], [ask.key, ask.authorization, ask.cookie], "the same caller");
}

for (const shared of [false, true]) {
  for (const maxBytes of [Infinity, 9_000]) {
    const where = `${shared ? "shared" : "not shared"}, ${maxBytes} bytes`;
    test(`an answer is told only to whom it may be, not beyond its age, and never takes more than its bytes (${where})`, () => {
      fc.assert(
        fc.property(fc.array(anyStep, { maxLength: 60 }), (steps) => {
          const store = storeWith({ shared, maxBytes });
          const open: StaleCapture[] = [];
          let nowMs = 0;
          for (const { waitMs, ask, does } of steps) {
            nowMs += waitMs;
            const request = staleRequest(asked(ask));
            if (does.kind === "offer") {
              const origin: Origin = { ask, atMs: nowMs, control: does.control };
              const head = answerHead([
                "Vary",
                does.vary,
                ...(does.control === "" ? [] : ["Cache-Control", does.control]),
              ]);
              const body = JSON.stringify(origin);
              const padded = body.padEnd(does.size);
              offer(store, request, head, nowMs, nowMs % 2 === 0 ? padded : Buffer.from(padded));
            } else if (does.kind === "break") {
              const capture = store.capture(request, answerHead(["Vary", "Accept"]), "v1", nowMs);
              capture?.add("never complete");
              if (capture !== null) open.push(capture);
            } else if (does.kind === "delete") {
              store.capture(staleRequest(asked(ask, "DELETE")), answerHead([], 204), "v1", nowMs);
              assert.equal(told(store, request, nowMs), null, "a change makes what is kept obsolete");
            }
            const body = told(store, request, nowMs);
            if (body !== null) assertMayBeTold(JSON.parse(body) as Origin, ask, nowMs, shared);
            assert.ok(store.bytes <= maxBytes, `${store.bytes} bytes`);
            assert.ok(store.bytes >= 1_024 * store.size);
          }
          for (const capture of open) capture.drop();
          if (store.size === 0) assert.equal(store.bytes, 0);
        }),
        { numRuns: 300 },
      );
    });
  }
}

test("with room enough, the youngest good answer to the same request is told until its age is reached", () => {
  fc.assert(
    fc.property(fc.array(fc.record({ ask: anyAsk, waitMs: fc.constantFrom(1_000, 20_000, 60_001) })), (steps) => {
      const store = storeWith({});
      const last = new Map<string, { readonly body: string; readonly atMs: number }>();
      let nowMs = 0;
      for (const [i, { ask, waitMs }] of steps.entries()) {
        nowMs += waitMs;
        const request = staleRequest(asked(ask));
        const known = last.get(JSON.stringify(ask));
        const expected = known !== undefined && nowMs - known.atMs <= MAX_AGE_MS ? known.body : null;
        assert.equal(told(store, request, nowMs), expected);
        offer(store, request, answerHead(["Vary", "Accept"]), nowMs, `answer ${i}`);
        if (ask.key !== null) last.set(JSON.stringify(ask), { body: `answer ${i}`, atMs: nowMs });
      }
    }),
    { numRuns: 300 },
  );
});

const ROOM = 5;

test("when there is no room, the answers that were not used for the longest time go, and no others", () => {
  const anyUse = fc.record({ kind: fc.constantFrom("keep", "tell"), target: fc.integer({ min: 10, max: 19 }) });
  const one = storeWith({});
  offer(one, staleRequest({ target: "/10" }), answerHead(["Date", "then"]), 0, "10");
  // What is being kept needs room besides: a little for the new answer while the old one is still there.
  const options = { maxAgeMs: Infinity, maxBytes: (ROOM + 1) * one.bytes + 64 };
  fc.assert(
    fc.property(fc.array(anyUse, { maxLength: 80 }), (uses) => {
      const store = storeWith(options);
      /** The most recently used first. */
      let used: number[] = [];
      for (const [i, { kind, target }] of uses.entries()) {
        const request = staleRequest({ target: `/${target}` });
        if (kind === "keep") offer(store, request, answerHead(["Date", "then"]), i * 1_000, String(target));
        const isThere = told(store, request, i * 1_000) !== null;
        if (kind === "keep") assert.ok(isThere, `${target} was kept`);
        else assert.equal(isThere, used.slice(0, store.size).includes(target), `${target} among ${used.join()}`);
        if (isThere) used = [target, ...used.filter((other) => other !== target)];
        assert.ok(store.size >= Math.min(ROOM, used.length) && store.size <= ROOM + 1, `${store.size} are kept`);
      }
    }),
    { numRuns: 300 },
  );
});
