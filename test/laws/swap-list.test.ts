import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { SwapList, type Listed } from "../../src/base/swap-list.ts";

test("a swap list holds what a set would hold, in whatever order", () => {
  const step = fc.record({ add: fc.boolean(), which: fc.nat(9) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const items: Listed[] = Array.from({ length: 10 }, () => ({ listIndex: -1 }));
      const list = new SwapList<Listed>();
      const model = new Set<Listed>();
      for (const { add, which } of steps) {
        const item = items[which] as Listed;
        if (!add) assert.equal(list.delete(item), model.delete(item));
        else if (!model.has(item)) {
          list.add(item);
          model.add(item);
        }
        assert.equal(list.size, model.size);
        assert.deepEqual(new Set(list.snapshot()), model);
        for (const member of model) assert.equal(list.at(member.listIndex), member);
      }
    }),
  );
});
