const C1 = 0xcc9e2d51;
const C2 = 0x1b873593;

/**
 * MurmurHash3 x86 32-bit of the UTF-8 bytes of `text`; an unsigned 32-bit integer.
 * Source: Austin Appleby's public-domain definition. Bench: bench/micro/split.ts.
 */
export function murmur3(text: string, seed = 0): number {
  const length = text.length;
  // Pure ASCII keys, nearly all of them, are hashed from the string without a copy.
  for (let i = 0; i < length; i++) {
    if (text.charCodeAt(i) > 0x7f) return murmur3Bytes(Buffer.from(text, "utf8"), seed);
  }
  const tail = length & ~3;
  let hash = seed | 0;
  for (let i = 0; i < tail; i += 4) {
    const word =
      text.charCodeAt(i) |
      (text.charCodeAt(i + 1) << 8) |
      (text.charCodeAt(i + 2) << 16) |
      (text.charCodeAt(i + 3) << 24);
    hash = mixWord(hash, word);
  }
  let last = 0;
  for (let i = length - 1; i >= tail; i--) last = (last << 8) | text.charCodeAt(i);
  return finish(hash, last, length);
}

/** MurmurHash3 x86 32-bit of raw bytes; an unsigned 32-bit integer. */
export function murmur3Bytes(bytes: Uint8Array, seed = 0): number {
  const length = bytes.length;
  const tail = length & ~3;
  let hash = seed | 0;
  for (let i = 0; i < tail; i += 4) {
    const word =
      byteAt(bytes, i) | (byteAt(bytes, i + 1) << 8) | (byteAt(bytes, i + 2) << 16) | (byteAt(bytes, i + 3) << 24);
    hash = mixWord(hash, word);
  }
  let last = 0;
  for (let i = length - 1; i >= tail; i--) last = (last << 8) | byteAt(bytes, i);
  return finish(hash, last, length);
}

function byteAt(bytes: Uint8Array, index: number): number {
  return bytes[index] as number;
}

function mixWord(hash: number, word: number): number {
  const mixed = hash ^ scramble(word);
  return (Math.imul((mixed << 13) | (mixed >>> 19), 5) + 0xe6546b64) | 0;
}

function scramble(word: number): number {
  const product = Math.imul(word, C1);
  return Math.imul((product << 15) | (product >>> 17), C2);
}

function finish(hash: number, last: number, length: number): number {
  let h = hash;
  if ((length & 3) !== 0) h ^= scramble(last);
  h ^= length;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}
