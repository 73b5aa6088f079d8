import { createReadStream } from "node:fs";

/** One line of a file. */
export interface FileLine {
  readonly text: string;
  /** False for a last line without its newline: a write that was cut short. */
  readonly complete: boolean;
  /** Bytes from the start of the file to the end of this line, newline included. */
  readonly endOffset: number;
}

const NEWLINE = 0x0a;

/** The lines of a file in order, without holding all of it in memory. */
export async function* linesOf(path: string): AsyncGenerator<FileLine> {
  let rest: Buffer = Buffer.alloc(0);
  let offset = 0;
  for await (const chunk of createReadStream(path) as AsyncIterable<Buffer>) {
    let bytes: Buffer = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    for (let end = bytes.indexOf(NEWLINE); end !== -1; end = bytes.indexOf(NEWLINE)) {
      offset += end + 1;
      yield { text: bytes.toString("utf8", 0, end), complete: true, endOffset: offset };
      bytes = bytes.subarray(end + 1);
    }
    rest = bytes;
  }
  if (rest.length > 0) yield { text: rest.toString("utf8"), complete: false, endOffset: offset + rest.length };
}
