import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { text } from "node:stream/consumers";
import { test } from "node:test";
import { getHeapSnapshot, getHeapStatistics } from "node:v8";
import { fieldsFromText } from "../../src/model/field-lines.ts";
import { headerValue } from "../../src/model/headers.ts";
import { StaleStore, type StaleStoreOptions } from "../../src/proxy/stale-store.ts";
import { answerHead, offer, staleRequest, told, type Asked } from "../support/stale-requests.ts";

const MINUTE_MS = 60_000;

function storeWith(over: Partial<StaleStoreOptions> = {}): StaleStore {
  const base = { maxAgeMs: MINUTE_MS, maxBytes: 1_048_576, maxEntryBytes: 65_536, shared: false };
  return new StaleStore({ ...base, versionHeader: "x-crossfade-upstream", ...over });
}

function keep(store: StaleStore, asked: Asked, body: string, nowMs = 0, headers: readonly string[] = []): boolean {
  return offer(store, staleRequest(asked), answerHead(headers), nowMs, body);
}

test("an answer is told with the fields of its own, its length and its age, and without those of its exchange", () => {
  const store = storeWith();
  const headers = [
    "Content-Type",
    "text/plain",
    "Date",
    "then",
    "Connection",
    "x-hop",
    "X-Hop",
    "1",
    "Content-Length",
    "5",
    "Age",
    "3",
    "X-Request-Id",
    "old",
    "X-Crossfade-Upstream",
    "evil",
    "x-crossfade-fallback",
    "stale",
    "ETag",
    '"a"',
  ];
  keep(store, {}, "hello", 1_000, headers);
  const answer = store.find(staleRequest(), 5_400) ?? assert.fail();
  assert.deepEqual(fieldsFromText(answer.head.fields), [
    "Content-Type",
    "text/plain",
    "Date",
    "then",
    "ETag",
    '"a"',
    "content-length",
    "5",
    "age",
    "7",
  ]);
  assert.deepEqual([answer.head.status, answer.head.hasLength, answer.head.hasDate], [200, true, true]);
  assert.deepEqual([answer.body, answer.servedBy, answer.ageMs], [["hello"], "v1", 4_400]);
});

test("an answer without a date gets that of its arrival, not of its repetition", () => {
  const store = storeWith();
  keep(store, {}, "x");
  const { head } = store.find(staleRequest(), 0) ?? assert.fail();
  assert.match(headerValue(fieldsFromText(head.fields), "date") ?? "", /GMT$/);
  assert.equal(head.hasDate, true);
});

test("a HEAD request is told the head of a GET, length included, and no body", () => {
  const store = storeWith();
  keep(store, {}, "hello");
  const answer = store.find(staleRequest({ method: "HEAD" }), 0) ?? assert.fail();
  assert.equal(headerValue(fieldsFromText(answer.head.fields), "content-length"), "5");
  assert.deepEqual(answer.body, []);
});

test("an answer to HEAD is not kept", () => {
  const store = storeWith();
  assert.equal(keep(store, { method: "HEAD" }, ""), false);
  assert.equal(store.size, 0);
});

test("a body that is never finished is not kept, and what it took is free again", () => {
  const store = storeWith();
  const capture = store.capture(staleRequest(), answerHead(), "v1", 0) ?? assert.fail();
  capture.add("half");
  assert.ok(store.bytes > 0);
  capture.drop();
  capture.add("more");
  capture.end();
  assert.deepEqual([store.size, store.bytes, told(store, staleRequest(), 0)], [0, 0, null]);
});

test("buffers are copied: the engine may read into them again", () => {
  const store = storeWith();
  const capture = store.capture(staleRequest(), answerHead(), "v1", 0) ?? assert.fail();
  for (const size of [3, 40_000]) {
    const bytes = Buffer.alloc(size, "a");
    capture.add(bytes);
    bytes.fill("b");
  }
  capture.add("\xff");
  capture.end();
  assert.equal(told(store, staleRequest(), 0), `${"a".repeat(40_003)}\xff`);
});

test("a body above the limit is not kept, whether its length was told before or not", () => {
  const store = storeWith({ maxEntryBytes: 10 });
  assert.equal(store.capture(staleRequest(), answerHead(["Content-Length", "11"]), "v1", 0), null);
  keep(store, {}, "12345678901");
  assert.deepEqual([store.size, store.bytes], [0, 0]);
  keep(store, {}, "1234567890");
  assert.equal(store.size, 1);
});

test("while one answer is being kept, others to the same request are not", () => {
  const store = storeWith();
  const first = store.capture(staleRequest(), answerHead(), "v1", 0) ?? assert.fail();
  assert.equal(store.capture(staleRequest(), answerHead(), "v1", 0), null);
  assert.notEqual(store.capture(staleRequest({ target: "/b" }), answerHead(), "v1", 0), null);
  first.drop();
  assert.notEqual(store.capture(staleRequest(), answerHead(), "v1", 0), null);
});

for (const [keepS, refreshMs] of [
  [600, 1_000],
  [60, 1_000],
  [30, 500],
] as const) {
  test(`an answer that is kept for ${keepS} s is replaced by one that comes ${refreshMs} ms later, not before`, () => {
    const store = storeWith({ maxAgeMs: keepS * 1_000 });
    keep(store, {}, "old");
    assert.equal(keep(store, {}, "new", refreshMs - 1), false);
    assert.equal(keep(store, {}, "new", refreshMs), true);
    assert.equal(told(store, staleRequest(), refreshMs), "new");
    assert.equal(store.size, 1);
  });
}

test("an answer that says otherwise takes the last good one away, also one that is still coming", () => {
  const store = storeWith();
  for (const [method, status] of [
    ["GET", 404],
    ["GET", 403],
    ["DELETE", 204],
    ["POST", 303],
  ] as const) {
    keep(store, {}, "good");
    const pending = store.capture(staleRequest(), answerHead(), "v1", 5_000);
    pending?.add("good");
    assert.equal(store.capture(staleRequest({ method }), answerHead([], status), "v1", 5_000), null);
    pending?.end();
    assert.deepEqual([told(store, staleRequest(), 5_000), store.bytes], [null, 0], `${method} ${status}`);
  }
});

test("an answer that is a failure leaves the last good one", () => {
  const store = storeWith();
  keep(store, {}, "good");
  for (const status of [429, 500, 502, 503]) store.capture(staleRequest(), answerHead([], status), "v1", 5_000);
  store.capture(staleRequest({ method: "PUT" }), answerHead([], 500), "v1", 5_000);
  assert.equal(told(store, staleRequest(), 5_000), "good");
});

test("a 304 with the same tag makes the last good answer young again; one with another tag or none does not", () => {
  const store = storeWith();
  keep(store, {}, "good", 0, ["ETag", '"a"', "Age", "9"]);
  const confirm = (tag: readonly string[], nowMs: number): unknown =>
    store.capture(staleRequest(), answerHead(tag, 304), "v1", nowMs);
  assert.equal(confirm(["ETag", '"a"'], 50_000), null);
  assert.equal(store.find(staleRequest(), 100_000)?.ageMs, 50_000);
  assert.match(store.find(staleRequest(), 100_000)?.head.fields ?? "", /\r\nage: 50\r\n$/);
  confirm(["ETag", '"b"'], 105_000);
  confirm([], 105_000);
  confirm(["ETag", '"a"', "Cache-Control", "no-store"], 105_000);
  assert.equal(told(store, staleRequest(), 110_000), "good");
  assert.equal(told(store, staleRequest(), 110_001), null);
});

test("a request is answered by the variant that was kept for what it says", () => {
  const store = storeWith();
  const asking = (language: string): Asked => ({ headers: ["Accept-Language", language] });
  keep(store, asking("en"), "hello", 0, ["Vary", "Accept-Language"]);
  keep(store, asking("de"), "hallo", 0, ["Vary", "accept-language"]);
  assert.equal(told(store, staleRequest(asking("en")), 0), "hello");
  assert.equal(told(store, staleRequest(asking("de")), 0), "hallo");
  assert.equal(told(store, staleRequest(asking("fr")), 0), null);
  assert.equal(told(store, staleRequest(), 0), null);
});

test("of more than 8 variants the one that was kept first goes", () => {
  const store = storeWith();
  const asking = (i: number): Asked => ({ headers: ["Accept", `${i}`] });
  for (let i = 0; i < 9; i++) keep(store, asking(i), `${i}`, 0, ["Vary", "Accept"]);
  assert.equal(store.size, 8);
  assert.equal(told(store, staleRequest(asking(0)), 0), null);
  assert.equal(told(store, staleRequest(asking(8)), 0), "8");
});

test("when answers begin to vary by other fields, those that were kept before go", () => {
  const store = storeWith();
  keep(store, { headers: ["Accept", "a"] }, "one", 0, ["Vary", "Accept"]);
  keep(store, { headers: ["Accept", "a"] }, "two", 5_000, ["Vary", "Accept, Origin"]);
  assert.equal(store.size, 1);
  assert.equal(told(store, staleRequest({ headers: ["Accept", "a"] }), 5_000), "two");
});

test("an answer without a body is kept as one", () => {
  const store = storeWith();
  const capture = store.capture(staleRequest(), answerHead(["Date", "then"], 204), "v1", 0) ?? assert.fail();
  capture.end();
  const { head, body } = store.find(staleRequest(), 0) ?? assert.fail();
  assert.deepEqual([head.status, head.fields, body], [204, "Date: then\r\nage: 0\r\n", []]);
});

test("what may no longer be told goes as other answers come", () => {
  const store = storeWith();
  for (let i = 0; i < 20; i++) keep(store, { target: `/old/${i}` }, "x");
  for (let i = 0; i < 10; i++) keep(store, { target: `/new/${i}` }, "x", MINUTE_MS + 1);
  assert.equal(store.size, 10);
});

test("no secret of a request is kept as it came", async () => {
  const store = storeWith();
  const [seed, mark] = [randomBytes(16), randomBytes(16)];
  // Held as bytes only, so that the heap has no text of them but what the store keeps.
  const keepSecretly = (): void => {
    const secret = seed.toString("hex");
    const headers = ["Authorization", `${secret}1`, "Cookie", `${secret}2`, "X-Api-Key", `${secret}3`];
    keep(store, { key: `${secret}0`, headers }, mark.toString("hex"), 0, ["Vary", "X-Api-Key"]);
  };
  keepSecretly();
  const heap = await text(getHeapSnapshot());
  assert.equal(store.size, 1);
  assert.ok(heap.includes(mark.toString("hex")), "the store was looked into");
  assert.ok(!heap.includes(seed.toString("hex")));
});

test("an answer does not keep the text alive that its head was read from", async () => {
  const store = storeWith({ maxBytes: 64 * 1_048_576 });
  const body = "x".repeat(1_000);
  const usedBytes = async (): Promise<number> => {
    await text(getHeapSnapshot());
    return getHeapStatistics().used_heap_size;
  };
  const keepOne = (i: number): void => {
    const whole = Buffer.alloc(65_536, `x-answer: ${"y".repeat(80)} ${i}`).toString("latin1");
    const part = (from: number, to: number): string => whole.slice(from, to);
    const head = { status: 200, reason: part(0, 20), headers: ["X-Answer", part(10, 100), "ETag", part(100, 140)] };
    const outgoing = staleRequest({ target: `/${i}` });
    offer(store, outgoing, head, 0, Buffer.from(body));
  };
  keepOne(0);
  const before = await usedBytes();
  for (let i = 1; i <= 500; i++) keepOne(i);
  const took = (await usedBytes()) - before;
  assert.equal(store.size, 501);
  assert.ok(took < 3 * store.bytes, `${took} bytes for ${store.bytes} counted`);
});
