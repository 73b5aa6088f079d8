import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { LeasePool } from "../../src/base/lease.ts";
import type { Lease } from "../../src/base/lease.ts";

interface Value {
  readonly key: string;
  readonly id: number;
}

const anyStep = fc.oneof(
  fc.record({ kind: fc.constant("take" as const), key: fc.constantFrom("a", "b", "c") }),
  fc.record({ kind: fc.constant("drop" as const), index: fc.nat() }),
);

test("over any sequence of takes and drops, a value lives exactly while somebody holds it and closes once", () => {
  fc.assert(
    fc.property(fc.array(anyStep, { maxLength: 60 }), (steps) => {
      const closed: Value[] = [];
      let made = 0;
      const pool = new LeasePool<Value>((value) => closed.push(value));
      const taken: { readonly lease: Lease<Value>; held: boolean }[] = [];
      for (const step of steps) {
        if (step.kind === "take") {
          taken.push({ lease: pool.take(step.key, () => ({ key: step.key, id: made++ })), held: true });
        } else if (taken.length > 0) {
          // Drops what may have been dropped before: that must change nothing.
          const entry = taken[step.index % taken.length] as (typeof taken)[number];
          entry.lease.drop();
          entry.held = false;
        }
        const alive = new Set(taken.filter(({ held }) => held).map(({ lease }) => lease.value));
        assert.equal(pool.size, alive.size);
        assert.equal(new Set([...alive].map(({ key }) => key)).size, alive.size, "one value per key");
        assert.equal(closed.length + alive.size, made, "every value is either held or closed");
        assert.equal(new Set(closed).size, closed.length, "no value closes twice");
        assert.ok(closed.every((value) => !alive.has(value)));
      }
    }),
    { numRuns: 500 },
  );
});
