import type { OutgoingAnswer, OutgoingHead } from "../model/exchange-types.ts";

/**
 * A request's head as text, one character per byte: request line, fields, framing fields, empty line. `head.fields` hold
 * no framing fields; a length of 0 is written as well.
 */
export function requestHeadText(head: OutgoingHead): string {
  const expect = head.expectsContinue ? "expect: 100-continue\r\n\r\n" : "\r\n";
  return `${head.method} ${head.target} HTTP/1.1\r\n${head.fields}${framingText(head)}${expect}`;
}

/** A final answer's head as text: status line, fields, `extra` (whole field lines, or nothing), empty line. */
export function answerHeadText(head: OutgoingAnswer, extra: string): string {
  return `HTTP/1.1 ${head.status} ${head.reason}\r\n${head.fields}${extra}\r\n`;
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
