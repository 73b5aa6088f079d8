import assert from "node:assert/strict";
import { test } from "node:test";
import { LeasePool } from "../../src/base/lease.ts";

test("two leases on one key share a value, which closes with the last of them", () => {
  const closed: string[] = [];
  const pool = new LeasePool<string>((value) => closed.push(value));
  const one = pool.take("k", () => "made");
  const other = pool.take("k", () => assert.fail("it exists"));
  assert.equal(one.value, other.value);
  one.drop();
  assert.deepEqual(closed, []);
  assert.equal(pool.size, 1);
  other.drop();
  assert.deepEqual(closed, ["made"]);
  assert.equal(pool.size, 0);
});

test("dropping a lease twice is harmless to the other holders", () => {
  const closed: string[] = [];
  const pool = new LeasePool<string>((value) => closed.push(value));
  const one = pool.take("k", () => "made");
  const other = pool.take("k", () => "never");
  one.drop();
  one.drop();
  assert.deepEqual(closed, []);
  other.drop();
  assert.deepEqual(closed, ["made"]);
});

test("a key whose value closed is made anew", () => {
  let made = 0;
  const pool = new LeasePool<number>(() => {});
  pool.take("k", () => ++made).drop();
  assert.equal(pool.take("k", () => ++made).value, 2);
});

test("taking the new lease before dropping the old one keeps the value alive across a reload", () => {
  const closed: number[] = [];
  let made = 0;
  const pool = new LeasePool<number>((value) => closed.push(value));
  let held = pool.take("k", () => ++made);
  for (let generation = 0; generation < 5; generation++) {
    const next = pool.take("k", () => ++made);
    held.drop();
    held = next;
  }
  assert.equal(made, 1);
  assert.deepEqual(closed, []);
});

test("when making a value fails, nothing is held under its key", () => {
  const pool = new LeasePool<number>(() => {});
  assert.throws(() =>
    pool.take("k", () => {
      throw new Error("no");
    }),
  );
  assert.equal(pool.size, 0);
  assert.equal(pool.take("k", () => 7).value, 7);
});
