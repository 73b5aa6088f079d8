interface Latin1Source {
  latin1Slice(start: number, end: number): string;
}

/** bytes[start, end) as latin1 text. The method that `toString("latin1")` ends up in, without the way there. */
export function latin1(bytes: Buffer, start: number, end: number): string {
  return (bytes as unknown as Latin1Source).latin1Slice(start, end);
}

/** Most heads are shorter; text of what is behind them would be made for nothing. */
const USUAL_HEAD_BYTES = 2_048;

/**
 * `before` and as much of bytes[offset, end) as text as a head of at most `limit` bytes needs: a little when the head ends
 * in it, else all.
 */
export function withHead(before: string, bytes: Buffer, offset: number, end: number, limit: number): string {
  const all = Math.min(end, offset + limit - before.length);
  if (all - offset > USUAL_HEAD_BYTES) {
    const text = before + latin1(bytes, offset, offset + USUAL_HEAD_BYTES);
    if (text.includes("\r\n\r\n", before.length - 3)) return text;
  }
  return before + latin1(bytes, offset, all);
}
