import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { withoutBlanks } from "../../src/model/blanks.ts";

const texts = fc.array(fc.constantFrom(" ", "\t", "a", "é", "\u00a0")).map((characters) => characters.join(""));

test("a text without the blanks around it keeps everything else, those inside too", () => {
  const law = fc.property(texts, texts, texts, (before, text, after) => {
    const whole = before + text + after;
    const trimmed = withoutBlanks(whole, before.length, before.length + text.length);
    assert.equal(trimmed, text.replaceAll(/^[ \t]+|[ \t]+$/g, ""));
  });
  fc.assert(law);
});
