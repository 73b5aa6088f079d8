import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { numberFromDigits } from "../../src/model/decimal.ts";
import { FieldTable } from "../../src/model/field-table.ts";
import { HOP_BY_HOP } from "../../src/model/headers.ts";

// Names that share their length and first letter, and one as long as the shape of a length goes and one longer.
const NAMES = [...HOP_BY_HOP, "x-forwarded-host", "x-forwarded-port", "h", "a".repeat(31), "a".repeat(63), "_x"];
const entries = NAMES.map((name, i) => [name, i + 1] as const);

const anyCase = (name: string): fc.Arbitrary<string> =>
  fc
    .array(fc.boolean(), { minLength: name.length, maxLength: name.length })
    .map((upper) => [...name].map((letter, i) => (upper[i] === true ? letter.toUpperCase() : letter)).join(""));

test("a table gives what a map of lower-case names gives, for names in it, near it and elsewhere", () => {
  const table = new FieldTable(entries);
  const map = new Map<string, number>(entries);
  const known = fc.constantFrom(...NAMES).chain(anyCase);
  const near = fc.tuple(known, fc.nat(70), fc.string({ maxLength: 1 })).map(([name, at, other]) => {
    return name.slice(0, at) + other + name.slice(at + 1);
  });
  const law = fc.property(fc.oneof(known, near, fc.string({ maxLength: 70 })), (name) => {
    assert.equal(table.numberOf(name), map.get(name.toLowerCase()) ?? 0);
  });
  fc.assert(law, { numRuns: 2_000 });
});

test("digits are read as Number reads them, and nothing else is a number", () => {
  const texts = fc.oneof(
    fc.bigInt({ min: 0n, max: 10n ** 17n }).map(String),
    fc.array(fc.constantFrom(..."0123456789"), { maxLength: 17 }).map((digits) => digits.join("")),
    fc.string({ maxLength: 5 }),
    fc.constantFrom("-1", "+1", "1e3", "0x5", " 1", "1 ", "1.0", "/", ":", "٣", "\uff11"),
  );
  const law = fc.property(texts, (text) => {
    assert.equal(numberFromDigits(text), /^[0-9]{1,15}$/.test(text) ? Number(text) : -1);
  });
  fc.assert(law, { numRuns: 2_000 });
});
