import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { cutFields } from "../../src/codec/fields.ts";
import { fieldsFromText, textFromFields, withKeptLines } from "../../src/model/field-lines.ts";

const name = fc.stringMatching(/^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,12}$/);
const value = fc.stringMatching(/^(?:[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]{0,12}[\x21-\x7e\x80-\xff])?)?$/);
const fields = fc.array(fc.tuple(name, value), { maxLength: 8 }).map((pairs) => pairs.flat());

test("fields are written one to a line", () => {
  assert.equal(textFromFields([]), "");
  assert.equal(textFromFields(["X-Sum", "é", "b", ""]), "X-Sum: é\r\nb: \r\n");
});

test("fields that were written are read as what they were", () => {
  fc.assert(fc.property(fields, (all) => assert.deepEqual(fieldsFromText(textFromFields(all)), all)));
});

test("kept lines are the same fields, copied in runs or written anew", () => {
  const law = fc.property(fields, fc.array(fc.boolean(), { minLength: 8, maxLength: 8 }), (all, keep) => {
    const text = `GET / HTTP/1.1\r\n${textFromFields(all)}\r\n`;
    const headers: string[] = [];
    const starts: number[] = [];
    assert.ok(cutFields(text, 16, text.length - 4, headers, starts));
    const isKept = (index: number): boolean => keep[index >> 1] === true;
    const expected = all.filter((_field, i) => keep[i >> 1] === true);
    const copied = withKeptLines("x: 1\r\n", headers, { text, starts }, isKept);
    const written = withKeptLines("x: 1\r\n", headers, undefined, isKept);
    assert.deepEqual(fieldsFromText(copied), ["x", "1", ...expected]);
    assert.deepEqual(fieldsFromText(written), ["x", "1", ...expected]);
  });
  fc.assert(law);
});
