import { randomFillSync } from "node:crypto";

const POOL_BYTES = 8_192;
const bytes = Buffer.alloc(POOL_BYTES);
let pool = "";
let used = 0;

/** Hex digits of chance, two per byte; cut from a pool, because a system call or a conversion for each would be slow. */
export function randomHex(count: number): string {
  const digits = 2 * count;
  if (used + digits > pool.length) {
    pool = randomFillSync(bytes).toString("hex");
    used = 0;
  }
  used += digits;
  return pool.slice(used - digits, used);
}
