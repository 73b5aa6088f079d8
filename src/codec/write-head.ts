import type { OutgoingHead, RawHeaders } from "../model/exchange-types.ts";

/**
 * A request's head as text, one character per byte: request line, fields, framing fields, empty line. `head.headers` hold
 * no framing fields; a length of 0 is written as well.
 */
export function requestHeadText(head: OutgoingHead): string {
  const fields = withFields(`${head.method} ${head.target} HTTP/1.1\r\n`, head.headers);
  return fields + framingText(head) + (head.expectsContinue ? "expect: 100-continue\r\n\r\n" : "\r\n");
}

/**
 * An answer's head as text: status line, fields, `extra` (whole field lines, or nothing), empty line. The reason may be
 * empty.
 */
export function answerHeadText(status: number, reason: string, headers: RawHeaders, extra: string): string {
  return `${withFields(`HTTP/1.1 ${status} ${reason}\r\n`, headers) + extra}\r\n`;
}

/** Fields as text: `name: value\r\n` for each. */
export function fieldsText(headers: RawHeaders): string {
  return withFields("", headers);
}

// Left to right on purpose: a text that grows at its end only is the cheapest to make flat. Bench: bench/micro/codec.ts.
function withFields(before: string, headers: RawHeaders): string {
  let text = before;
  for (let i = 0; i < headers.length; i += 2) {
    // oxlint-disable-next-line prefer-template
    text = text + (headers[i] as string) + ": " + (headers[i + 1] as string) + "\r\n";
  }
  return text;
}

function framingText(head: OutgoingHead): string {
  switch (head.body.kind) {
    case "none":
      return "";
    case "length":
      return `content-length: ${head.body.length}\r\n`;
    case "chunked":
      return "transfer-encoding: chunked\r\n";
  }
}
