import assert from "node:assert/strict";
import { test } from "node:test";
import {
  BLOCK_WORDS,
  blockView,
  DECISION_REASONS,
  EXCHANGE_STATUS,
  FALLBACK_KINDS,
  HISTOGRAM_BUCKETS,
  HISTOGRAM_SUM,
  PAGE_BYTES,
  pageOf,
  RETRY_REASONS,
  RETRY_SKIPS,
  ROUTE_WORDS,
  STATUS_SLOTS,
  statusSlot,
  THREAD_WORDS,
  UPSTREAM_WORDS,
} from "../../src/base/cells.ts";
import { FAILURE_KINDS } from "../../src/base/failure.ts";
import { BUCKET_COUNT } from "../../src/base/histogram.ts";
import { seriesKeyText } from "../../src/base/series.ts";

const BLOCKS_PER_PAGE = PAGE_BYTES / 8 / BLOCK_WORDS;

test("blocks do not overlap, on one page or across two", () => {
  const pages = [new SharedArrayBuffer(PAGE_BYTES), new SharedArrayBuffer(PAGE_BYTES)];
  const ids = [0, 1, BLOCKS_PER_PAGE - 1, BLOCKS_PER_PAGE, BLOCKS_PER_PAGE + 1, 2 * BLOCKS_PER_PAGE - 1];
  for (const id of ids) blockView(pages, id).fill(id + 1);
  for (const id of ids) {
    const view = blockView(pages, id);
    assert.equal(view.length, BLOCK_WORDS);
    assert.ok(
      view.every((word) => word === id + 1),
      `block ${id}`,
    );
  }
});

test("a block knows its page", () => {
  assert.equal(pageOf(0), 0);
  assert.equal(pageOf(BLOCKS_PER_PAGE - 1), 0);
  assert.equal(pageOf(BLOCKS_PER_PAGE), 1);
});

test("a block on a page that does not exist is refused with its number and its page", () => {
  assert.throws(() => blockView([], BLOCKS_PER_PAGE + 1), {
    name: "RangeError",
    message: `block ${BLOCKS_PER_PAGE + 1} is on page 1, but there are 0`,
  });
});

test("every listed status has a counter of its own; all others share the first", () => {
  const slots = new Set(STATUS_SLOTS.map((status) => statusSlot(status)));
  assert.equal(slots.size, STATUS_SLOTS.length);
  for (const status of [0, 1, 99, 199, 299, 418 + 1, 599, 999, 1000, -1]) {
    assert.equal(statusSlot(status), (STATUS_SLOTS as readonly number[]).includes(status) ? statusSlot(status) : 0);
  }
  assert.equal(statusSlot(599), 0);
  assert.equal(statusSlot(1000), 0);
});

test("the parts of an exchange block and of an upstream block do not run into one another", () => {
  assert.ok(EXCHANGE_STATUS + STATUS_SLOTS.length <= HISTOGRAM_SUM);
  assert.ok(HISTOGRAM_BUCKETS > HISTOGRAM_SUM);
  assert.ok(HISTOGRAM_BUCKETS + BUCKET_COUNT <= BLOCK_WORDS);
  const { failures, ...scalars } = UPSTREAM_WORDS;
  assert.ok(Math.max(...Object.values(scalars)) < failures);
  assert.ok(failures + FAILURE_KINDS.length <= HISTOGRAM_SUM);
});

test("the parts of a route block and of a thread block do not run into one another", () => {
  const { decisions, retries, retrySkips, fallbacks, ...counts } = ROUTE_WORDS;
  assert.ok(Math.max(...Object.values(counts)) < decisions);
  assert.ok(DECISION_REASONS.length <= 16);
  // Decisions are between two arms, whoever answers in the end.
  assert.ok(decisions + 16 * 2 <= retries);
  assert.ok(retries + RETRY_REASONS.length <= retrySkips);
  assert.ok(retrySkips + RETRY_SKIPS.length <= fallbacks);
  assert.ok(fallbacks + FALLBACK_KINDS.length <= BLOCK_WORDS);
  const { failures, ...scalars } = THREAD_WORDS;
  assert.ok(Math.max(...Object.values(scalars)) < failures);
  assert.ok(failures + FAILURE_KINDS.length <= BLOCK_WORDS);
  assert.equal(new Set(Object.values(scalars)).size, Object.values(scalars).length);
});

test("different series have different texts, even with names made to collide", () => {
  const texts = [
    seriesKeyText({ kind: "thread" }),
    seriesKeyText({ kind: "route", route: "thread" }),
    seriesKeyText({ kind: "upstream", upstream: "thread" }),
    seriesKeyText({ kind: "route", route: 'a","b' }),
    seriesKeyText({ kind: "exchange", route: "a", arm: "none", upstream: "b" }),
    seriesKeyText({ kind: "exchange", route: 'a","none', arm: "none", upstream: "b" }),
    seriesKeyText({ kind: "exchange", route: "a", arm: "none", upstream: 'none","b' }),
  ];
  assert.equal(new Set(texts).size, texts.length);
  assert.equal(seriesKeyText({ kind: "route", route: "a" }), seriesKeyText({ kind: "route", route: "a" }));
});
