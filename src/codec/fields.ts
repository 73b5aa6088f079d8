import { endBeforeBlanks, isBlank } from "../model/blanks.ts";
import { isNamed } from "../model/headers.ts";

// A head is tested whole by one sticky RegExp and then cut with indexOf. The test takes about half the time of charCodeAt
// against a table; one exec with captures per field was slower than both steps together. Bench: bench/micro/codec.ts.

/** A token (RFC 9110 §5.6.2), as the source of a RegExp. */
export const TOKEN = "[!#$%&'*+\\-.^_`|~0-9A-Za-z]+";
/**
 * A field value or a reason: HTAB, SP, visible and obs-text (RFC 9110 §5.5), as the source of a RegExp. In two parts,
 * because one range is tested faster than three; there is only one way to match, so a mismatch takes linear time too.
 */
export const TEXT = "[\\x20-\\x7e]*(?:[\\t\\x80-\\xff][\\t\\x20-\\x7e\\x80-\\xff]*)?";
/** Well-formed field lines, each with the CRLF before it, and the end of the head, as the source of a RegExp. */
export const FIELD_LINES = `(?:\\r\\n${TOKEN}:${TEXT})*\\r\\n\\r\\n`;

const GOOD_FIELD = new RegExp(`${TOKEN}:${TEXT}$`, "y");

/**
 * Cuts the field lines in text[start, end), which are known to be well-formed, and pushes name, value, … to `out`, where
 * each line begins and the last one ends to `starts`; `end` is where the CRLF of the last line begins. Whitespace around values is removed. False when another parser could take
 * the framing for something else.
 */
export function cutFields(text: string, start: number, end: number, out: string[], starts: number[]): boolean {
  let at = start;
  while (at < end) {
    starts.push(at);
    const colon = text.indexOf(":", at);
    const lineEnd = text.indexOf("\r", colon);
    const name = text.slice(at, colon);
    let valueStart = colon + 1;
    while (isBlank(text.charCodeAt(valueStart))) valueStart++;
    let valueEnd = lineEnd;
    if (isBlank(text.charCodeAt(valueEnd - 1))) {
      valueEnd = endBeforeBlanks(text, valueStart, lineEnd);
      // llhttp takes `chunked` with a tab behind it for another coding.
      if (isNamed(name, "transfer-encoding") && text.slice(valueEnd, lineEnd).includes("\t")) return false;
    }
    out.push(name, text.slice(valueStart, valueEnd));
    at = lineEnd + 2;
  }
  starts.push(at);
  return true;
}

/** What is wrong with the first field line in text[start, end) that is not well-formed. */
export function fieldProblem(text: string, start: number, end: number): string {
  for (const line of text.slice(start, end).split("\r\n")) {
    GOOD_FIELD.lastIndex = 0;
    if (!GOOD_FIELD.test(line)) return lineProblem(line);
  }
  return "a tab behind a transfer coding";
}

function lineProblem(line: string): string {
  if (line.includes("\n")) return "a bare LF";
  if (line.includes("\r")) return "a bare CR";
  if (/^[ \t]/.test(line)) return "a folded field line";
  const colon = line.indexOf(":");
  if (colon === -1) return "a field line without a colon";
  if (colon === 0) return "an empty field name";
  return /^[^ \t:]+[ \t]+:/.test(line) ? "a space before a colon" : "a byte that a field cannot hold";
}
