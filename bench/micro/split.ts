/** Where a caller goes: the hash and the bucket of sticky keys of the usual lengths. Run: node bench/micro/split.ts */
import { bench, do_not_optimize, run, summary } from "mitata";
import { murmur3 } from "../../src/base/murmur3.ts";
import { bucketOfKey } from "../../src/model/split.ts";

/** Many keys, so that no engine can learn one by heart. */
const KEYS = 1_024;
const keysOf = (make: (index: number) => string): readonly string[] => Array.from({ length: KEYS }, (_, i) => make(i));
const kinds: readonly (readonly [string, readonly string[]])[] = [
  ["9 ASCII characters", keysOf((i) => `user-${String(i).padStart(4, "0")}`)],
  ["a UUID", keysOf((i) => `5f1f6f1e-6c2e-4a0e-9a55-${String(i).padStart(12, "0")}`)],
  ["200 ASCII characters", keysOf((i) => `${i}`.padStart(200, "token"))],
  ["24 characters, not ASCII", keysOf((i) => `büro-münchen-nutzer-${String(i).padStart(4, "0")}`)],
];

for (const [name, keys] of kinds) {
  summary(() => {
    let next = 0;
    bench(`murmur3, ${name}`, () => do_not_optimize(murmur3(keys[next++ % KEYS] as string)));
    bench(`bucketOfKey, ${name}`, () => do_not_optimize(bucketOfKey("orders-2026", keys[next++ % KEYS] as string)));
  });
}

await run();
