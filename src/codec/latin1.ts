interface Latin1Source {
  latin1Slice(start: number, end: number): string;
}

/** bytes[start, end) as latin1 text. The method that `toString("latin1")` ends up in, without the way there. */
export function latin1(bytes: Buffer, start: number, end: number): string {
  return (bytes as unknown as Latin1Source).latin1Slice(start, end);
}
