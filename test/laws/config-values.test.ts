import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  durationFromText,
  shareFromText,
  sizeFromText,
  textFromDuration,
  textFromShare,
  textFromSize,
} from "../../src/config/units.ts";
import { withVariables } from "../../src/config/variables.ts";
import { readSource } from "../../src/config/source-tree.ts";

test("a duration is printed so that it reads the same", () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 999_999_999 }), (ms) => {
      assert.deepEqual(durationFromText(textFromDuration(ms)), { ok: true, value: ms });
    }),
  );
});

test("a size is printed so that it reads the same", () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 999_999_999 }), (bytes) => {
      assert.deepEqual(sizeFromText(textFromSize(bytes)), { ok: true, value: bytes });
    }),
  );
});

test("every share from 0 to 1 000 000 ppm is printed so that it reads the same, exactly", () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 1_000_000 }), (ppm) => {
      assert.deepEqual(shareFromText(textFromShare(ppm)), { ok: true, value: ppm });
    }),
  );
});

test("a share of at most four decimals is read exactly, any finer or larger one is refused", () => {
  const decimals = fc.string({ unit: fc.constantFrom(..."0123456789"), maxLength: 7 });
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 200 }), decimals, (whole, digits) => {
      const result = shareFromText(digits === "" ? `${whole}%` : `${whole}.${digits}%`);
      const ppm = whole * 10_000 + Number(digits.slice(0, 4).padEnd(4, "0"));
      const good = digits.length <= 4 && ppm <= 1_000_000;
      assert.deepEqual(result.ok ? result.value : null, good ? ppm : null);
    }),
  );
});

test("no text makes the readers of values throw", () => {
  fc.assert(
    fc.property(fc.string(), (text) => {
      for (const read of [durationFromText, sizeFromText, shareFromText]) assert.equal(typeof read(text).ok, "boolean");
    }),
  );
});

test("a text whose $ are doubled comes out as it was, whatever the environment", () => {
  fc.assert(
    fc.property(fc.string(), (text) => {
      assert.deepEqual(withVariables(text.replaceAll("$", "$$$$"), {}), { ok: true, value: text });
    }),
  );
});

test("any JSON value without $ is read as JSON reads it", () => {
  const plain = fc.string().filter((text) => !text.includes("$"));
  const key = plain.filter((text) => text !== "<<" && text !== "__proto__");
  const value = fc.letrec((tie) => ({
    any: fc.oneof({ maxDepth: 4 }, tie("leaf"), tie("list"), tie("map")),
    leaf: fc.oneof(
      plain,
      fc.integer(),
      fc.boolean(),
      fc.constant(null),
      fc.double({ noNaN: true, noDefaultInfinity: true }),
    ),
    list: fc.array(tie("any"), { maxLength: 5 }),
    map: fc.dictionary(key, tie("any"), { maxKeys: 5 }),
  })).any;
  fc.assert(
    fc.property(fc.dictionary(key, value), fc.constantFrom(0, 1, "\t"), (json, indent) => {
      const text = JSON.stringify(json, null, indent);
      const { tree, issues } = readSource(text, "json", {});
      assert.deepEqual(issues, []);
      assert.deepEqual(JSON.parse(JSON.stringify(tree)), JSON.parse(text));
    }),
  );
});
