import type { FieldLines, RequestFacts, RequestHead } from "../model/exchange-types.ts";
import { readFacts } from "../model/request-facts.ts";
import { cutFields, FIELD_LINES, TEXT, TOKEN } from "./fields.ts";

/** Where a request came in: what its head says nothing of. */
export interface Origin {
  readonly peerAddress: string;
  readonly localPort: number;
  readonly encrypted: boolean;
}

const NOWHERE: Origin = { peerAddress: "", localPort: 0, encrypted: false };
const METHODS: readonly string[] = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"];
const VERSION = " HTTP/1.1";
const STRICT_HEAD = new RegExp(`(?:${METHODS.join("|")}) /[\\x21\\x22\\x24-\\x7e]* HTTP/1\\.1${FIELD_LINES}`, "y");
const PART_OF_FIELD = new RegExp(`^(?:\\r|${TOKEN}(?::${TEXT}\\r?)?)?$`);
const HEAD_END = "\r\n\r\n";

/**
 * Parses the head in text[start, end), `end` = index of its `\r\n\r\n`; one character per byte. null = outside of the
 * strict subset (RFC 9112 without its tolerances): the bytes must be given to the library engine, which serves or
 * refuses them. Never throws.
 */
export function parseRequestHead(text: string, start: number, end: number, origin: Origin): RequestHead | null {
  STRICT_HEAD.lastIndex = start;
  if (!STRICT_HEAD.test(text) || STRICT_HEAD.lastIndex !== end + HEAD_END.length) return null;
  const method = methodAt(text, start);
  const targetStart = start + method.length + 1;
  const targetEnd = text.indexOf(" ", targetStart);
  const headers: string[] = [];
  const starts: number[] = [];
  if (!cutFields(text, targetEnd + VERSION.length + 2, end, headers, starts)) return null;
  return judged(method, text.slice(targetStart, targetEnd), headers, origin, { text, starts });
}

/**
 * False when the incomplete head text[start…] can no longer become a strict one, so that it is handed over at once
 * instead of being waited for.
 */
export function mayBecomeStrict(text: string, start: number): boolean {
  const end = text.indexOf(HEAD_END, start);
  if (end !== -1) return parseRequestHead(text, start, end, NOWHERE) !== null;
  const lastLine = text.lastIndexOf("\r\n");
  if (lastLine < start) return mayBecomeRequestLine(text.slice(start));
  if (!PART_OF_FIELD.test(text.slice(lastLine + 2))) return false;
  // More fields can only make it worse, but for the Host that may still come.
  const lines = text.slice(start, lastLine);
  const host = /\r\nhost:/i.test(lines) ? "" : "\r\nhost: a";
  return parseRequestHead(lines + host + HEAD_END, 0, lines.length + host.length, NOWHERE) !== null;
}

function mayBecomeRequestLine(line: string): boolean {
  const space = line.indexOf(" ");
  if (space === -1) return METHODS.some((method) => method.startsWith(line));
  if (!METHODS.includes(line.slice(0, space))) return false;
  const rest = /^(?:\/[\x21\x22\x24-\x7e]*( .*)?)?$/s.exec(line.slice(space + 1));
  return rest !== null && (rest[1] === undefined || `${VERSION}\r`.startsWith(rest[1]));
}

/** The method at `start`, where one of the strict ones is. */
function methodAt(text: string, start: number): string {
  switch (text.charCodeAt(start)) {
    case 71:
      return "GET";
    case 72:
      return "HEAD";
    case 68:
      return "DELETE";
    case 79:
      return "OPTIONS";
    default:
      break;
  }
  const second = text.charCodeAt(start + 1);
  if (second === 79) return "POST";
  return second === 85 ? "PUT" : "PATCH";
}

type Unjudged = { -readonly [Key in keyof RequestHead]: RequestHead[Key] };

function judged(
  method: string,
  target: string,
  headers: string[],
  origin: Origin,
  lines: FieldLines,
): RequestHead | null {
  const head: Unjudged = {
    method,
    target,
    majorVersion: 1,
    minorVersion: 1,
    headers,
    peerAddress: origin.peerAddress,
    localPort: origin.localPort,
    encrypted: origin.encrypted,
    facts: null,
    lines,
  };
  const facts = readFacts(head);
  if (typeof facts === "string" || !isPlain(facts)) return null;
  head.facts = facts;
  return head;
}

/** What asks for more than one request and its answer is the library engine's. */
function isPlain(facts: RequestFacts): boolean {
  if (facts.upgrade !== null || facts.expect !== null) return false;
  if (facts.connection === null || facts.connection === "keep-alive" || facts.connection === "close") return true;
  const connection = facts.connection.toLowerCase();
  return connection === "keep-alive" || connection === "close";
}
