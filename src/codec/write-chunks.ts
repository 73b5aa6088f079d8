import type { RawHeaders } from "../model/exchange-types.ts";
import { textFromFields } from "../model/field-lines.ts";

/** The line before a chunk of so many bytes (RFC 9112 §7.1); behind the chunk stands a CRLF. */
export function chunkSizeLine(length: number): string {
  return `${length.toString(16)}\r\n`;
}

/** What ends a chunked body: the last chunk, the trailers, an empty line. */
export function lastChunkText(trailers: RawHeaders | null): string {
  return `0\r\n${trailers === null ? "" : textFromFields(trailers)}\r\n`;
}
