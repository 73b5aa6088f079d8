import assert from "node:assert/strict";
import dns from "node:dns";
import { test } from "node:test";
import { sharedLookup } from "../../src/control/probe-dial.ts";

type Answer = (error: Error | null, address: string, family: number) => void;

test("lookups of one name that are under way at once are one lookup", (t) => {
  const asked: { readonly host: string; readonly answer: Answer }[] = [];
  t.mock.method(dns, "lookup", (host: string, _options: object, answer: Answer) => {
    asked.push({ host, answer });
  });
  const heard: unknown[] = [];
  const ask = (host: string, family = 0): void =>
    sharedLookup(host, { family }, (error, ...found) => heard.push([host, error, ...found]));
  ask("v2");
  ask("v2");
  ask("v1");
  ask("v2", 6);
  assert.deepEqual(
    asked.map(({ host }) => host),
    ["v2", "v1", "v2"],
  );
  asked[0]?.answer(null, "10.0.0.2", 4);
  assert.deepEqual(heard, [
    ["v2", null, "10.0.0.2", 4],
    ["v2", null, "10.0.0.2", 4],
  ]);
  // It is over: the next one is a new lookup.
  ask("v2");
  assert.equal(asked.length, 4);
  const refused = new Error("ENOTFOUND");
  asked[3]?.answer(refused, "", 0);
  assert.deepEqual(heard.at(-1), ["v2", refused, "", 0]);
});
