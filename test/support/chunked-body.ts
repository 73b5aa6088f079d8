import { ChunkedReader, type ChunkLimits } from "../../src/codec/chunked-reader.ts";

/** What a `ChunkedReader` made of some bytes. */
export interface ChunkedResult {
  readonly kind: "message" | "incomplete" | "malformed";
  readonly body: string;
  readonly trailers: readonly string[];
  /** Bytes that belong to the message. */
  readonly length: number;
  readonly problem: string | null;
}

/** Shows the pieces to a reader one after the other, each at offset `before` of a larger piece of memory. */
export function chunkedBodyOf(pieces: readonly string[], limits: ChunkLimits, before = 0): ChunkedResult {
  const reader = new ChunkedReader(limits);
  let body = "";
  let length = 0;
  for (const piece of pieces) {
    const bytes = Buffer.from("5".repeat(before) + piece + "5".repeat(before), "latin1");
    const ranges: number[] = [];
    length += reader.read(bytes, before, before + piece.length, ranges) - before;
    for (let i = 0; i < ranges.length; i += 2) body += bytes.toString("latin1", ranges[i], ranges[i + 1]);
    if (reader.done || reader.problem !== null) break;
  }
  const kind = reader.done ? "message" : reader.problem === null ? "incomplete" : "malformed";
  return { kind, body, trailers: reader.trailers ?? [], length, problem: reader.problem };
}
