import assert from "node:assert/strict";
import { test } from "node:test";
import { retryAfterMs } from "../../src/policy/retry-after.ts";

/** Sun, 06 Nov 1994 08:49:37 GMT. */
const MOMENT = 784_111_777_000;

test("seconds are seconds, not milliseconds", () => {
  assert.equal(retryAfterMs("120", MOMENT), 120_000);
  assert.equal(retryAfterMs("0", MOMENT), 0);
  assert.equal(retryAfterMs("007", MOMENT), 7_000);
});

test("the three forms of a date say the same", () => {
  for (const text of ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"]) {
    assert.equal(retryAfterMs(text, MOMENT - 30_000), 30_000, text);
  }
});

test("a date that is past asks for no wait", () => {
  assert.equal(retryAfterMs("Sun, 06 Nov 1994 08:49:37 GMT", MOMENT + 1), 0);
});

test("nobody is believed for longer than 300 seconds", () => {
  assert.equal(retryAfterMs("301", MOMENT), 300_000);
  assert.equal(retryAfterMs("9".repeat(400), MOMENT), 300_000);
  assert.equal(retryAfterMs("Fri, 31 Dec 9999 23:59:59 GMT", MOMENT), 300_000);
});

test("an absent field and what is neither seconds nor a date ask for nothing", () => {
  const garbage = [
    "",
    " ",
    "-1",
    "+1",
    "1.5",
    "1e3",
    "0x10",
    "12s",
    "1, 2",
    "soon",
    "1994-11-06T08:49:37Z",
    "Sun, 06 Nov 1994 08:49:37 UTC",
    "Sun, 06 Nov 1994 08:49:37 +0000",
    "Sun, 6 Nov 1994 08:49:37 GMT",
    "sun, 06 nov 1994 08:49:37 gmt",
    "Sun, 06 Nov 1994 24:00:00 GMT",
    "Sun, 06 Nov 1994 08:60:00 GMT",
    "Sun, 31 Feb 1994 08:49:37 GMT",
    "Sun, 00 Nov 1994 08:49:37 GMT",
    "Sun, 06 Nov 0094 08:49:37 GMT",
    "Sunday, 06-Nov-1994 08:49:37 GMT",
    "Sun Nov 06 08:49:37 1994 GMT",
  ];
  assert.equal(retryAfterMs(null, MOMENT), null);
  for (const text of garbage) assert.equal(retryAfterMs(text, MOMENT), null, text);
});

test("a leap second is the first second of the next minute", () => {
  const newYear = Date.UTC(2017, 0, 1);
  assert.equal(retryAfterMs("Sat, 31 Dec 2016 23:59:60 GMT", newYear - 5_000), 5_000);
});

test("a leap day counts in leap years only", () => {
  const now = Date.UTC(2024, 1, 28, 23, 59, 0);
  assert.equal(retryAfterMs("Thu, 29 Feb 2024 00:00:00 GMT", now), 60_000);
  assert.equal(retryAfterMs("Wed, 29 Feb 2023 00:00:00 GMT", now), null);
});
