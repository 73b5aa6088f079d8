import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { timeFromHttpDate } from "../../src/policy/http-date.ts";
import { retryAfterMs } from "../../src/policy/retry-after.ts";

const LONG_DAYS = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const DAY_MS = 86_400_000;

/** Whole seconds between 1970 and 2170. */
const anyTime = fc.integer({ min: 0, max: 200 * 365 * 86_400 }).map((seconds) => seconds * 1_000);

function rfc850(atMs: number): string {
  const [, day = "", month = "", year = "", time = ""] = new Date(atMs).toUTCString().split(" ");
  return `${LONG_DAYS[new Date(atMs).getUTCDay()]}, ${day}-${month}-${year.slice(2)} ${time} GMT`;
}

function asctime(atMs: number): string {
  const [weekday = "", day = "", month = "", year = "", time = ""] = new Date(atMs).toUTCString().split(" ");
  return `${weekday.slice(0, 3)} ${month} ${day.replace(/^0/, " ")} ${time} ${year}`;
}

test("what Date writes is read as the same time, in the usual form and as asctime", () => {
  fc.assert(
    fc.property(anyTime, anyTime, (atMs, nowMs) => {
      assert.equal(timeFromHttpDate(new Date(atMs).toUTCString(), nowMs), atMs);
      assert.equal(timeFromHttpDate(asctime(atMs), nowMs), atMs);
    }),
  );
});

test("a year of two digits is the one that is at most 50 years ahead and less than 50 behind", () => {
  const anyOffset = fc.integer({ min: -49 * 365, max: 49 * 365 }).map((days) => days * DAY_MS);
  fc.assert(
    fc.property(anyTime, anyOffset, (nowMs, offsetMs) => {
      const atMs = nowMs + offsetMs;
      if (atMs < 0) return;
      assert.equal(timeFromHttpDate(rfc850(atMs), nowMs), atMs, rfc850(atMs));
    }),
  );
});

test("a Retry-After is the time until its date, or its seconds, between 0 and 300 seconds", () => {
  fc.assert(
    fc.property(anyTime, fc.integer({ min: -1_000, max: 1_000 }), (nowMs, seconds) => {
      const expected = Math.min(Math.max(0, seconds), 300) * 1_000;
      assert.equal(retryAfterMs(new Date(nowMs + seconds * 1_000).toUTCString(), nowMs), expected);
      if (seconds >= 0) assert.equal(retryAfterMs(String(seconds), nowMs), expected);
    }),
  );
});

test("any text gives null or a number in range, and is never an error", () => {
  fc.assert(
    fc.property(fc.string(), anyTime, (text, nowMs) => {
      const wait = retryAfterMs(text, nowMs);
      assert.ok(wait === null || (wait >= 0 && wait <= 300_000), `${wait}`);
    }),
  );
});
