import { latin1 } from "../codec/latin1.ts";
import type { Chunk } from "../model/exchange-types.ts";

/**
 * One buffer per thread that every native socket reads into: what was read is parsed, passed on or copied before the next
 * read, so no read allocates. 64 KiB is what Node itself reads at a time.
 */
export const SHARED_BUFFER: Buffer = Buffer.allocUnsafeSlow(65_536);

/** Pieces up to this size travel as text, which joins heads and chunk sizes in one write; larger ones as buffers. */
const TEXT_LIMIT_BYTES = 16_384;

/** bytes[start, end) as a piece to pass on: text when it is small, else bytes of its own; `owned` = no read overwrites them. */
export function chunkOf(bytes: Buffer, start: number, end: number, owned: boolean): Chunk {
  if (end - start <= TEXT_LIMIT_BYTES) return latin1(bytes, start, end);
  const piece = bytes.subarray(start, end);
  return owned ? piece : Buffer.from(piece);
}
