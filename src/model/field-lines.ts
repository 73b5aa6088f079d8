import { withoutBlanks } from "./blanks.ts";
import type { FieldLines, RawHeaders } from "./exchange-types.ts";

/** Field lines as text, `name: value\r\n` for each, from a flat list. */
export function textFromFields(headers: RawHeaders): string {
  let text = "";
  for (let i = 0; i < headers.length; i += 2) text += lineOf(headers, i);
  return text;
}

/** The flat list of fields in a text of well-formed field lines. */
export function fieldsFromText(text: string): string[] {
  const out: string[] = [];
  let at = 0;
  while (at < text.length) {
    const colon = text.indexOf(":", at);
    const end = text.indexOf("\r\n", colon);
    out.push(text.slice(at, colon), withoutBlanks(text, colon + 1, end));
    at = end + 2;
  }
  return out;
}

/**
 * `before` and the lines of `headers` that `isKept` says yes to, by index of the name. Lines that came one after the
 * other and stay so are copied in one piece: it is the pieces that cost. Bench: bench/micro/head.ts.
 */
export function withKeptLines(
  before: string,
  headers: RawHeaders,
  lines: FieldLines | undefined,
  isKept: (index: number) => boolean,
): string {
  let out = before;
  if (lines === undefined) {
    for (let i = 0; i < headers.length; i += 2) if (isKept(i)) out += lineOf(headers, i);
    return out;
  }
  const { starts, text } = lines;
  let run = -1;
  for (let i = 0; i < headers.length; i += 2) {
    const start = starts[i >> 1] as number;
    if (isKept(i)) {
      if (run === -1) run = start;
    } else if (run !== -1) {
      out += text.slice(run, start);
      run = -1;
    }
  }
  return run === -1 ? out : out + text.slice(run, starts[headers.length >> 1]);
}

function lineOf(headers: RawHeaders, index: number): string {
  return `${headers[index] as string}: ${headers[index + 1] as string}\r\n`;
}
