import type { RawHeaders } from "./exchange-types.ts";

/** First value of a field, by lower-case name; null when absent. */
export function headerValue(headers: RawHeaders, lowerName: string): string | null {
  for (let i = 0; i < headers.length; i += 2) {
    if (isNamed(headers[i] as string, lowerName)) return headers[i + 1] as string;
  }
  return null;
}

/** All values of a field joined as a list (RFC 9110 §5.3); null when absent. */
export function joinedHeader(headers: RawHeaders, lowerName: string): string | null {
  let joined: string | null = null;
  for (let i = 0; i < headers.length; i += 2) {
    if (!isNamed(headers[i] as string, lowerName)) continue;
    joined = joined === null ? (headers[i + 1] as string) : `${joined}, ${headers[i + 1] as string}`;
  }
  return joined;
}

/** True when a comma-separated list holds `lowerToken`, ignoring case and parameters. */
export function listHasToken(list: string | null, lowerToken: string): boolean {
  if (list === null) return false;
  for (const element of list.split(",")) {
    const semicolon = element.indexOf(";");
    const token = semicolon === -1 ? element : element.slice(0, semicolon);
    if (token.trim().toLowerCase() === lowerToken) return true;
  }
  return false;
}

/** Field names compare without case; most arrive in the case we ask for, so the cheap test comes first. */
export function isNamed(name: string, lowerName: string): boolean {
  return name === lowerName || (name.length === lowerName.length && name.toLowerCase() === lowerName);
}

/** Fields that end at each hop, both ways (RFC 9110 §7.6.1, and what other proxies learned to drop); lower case. */
export const HOP_BY_HOP: ReadonlySet<string> = new Set([
  "connection",
  "keep-alive",
  "proxy-connection",
  "proxy-authenticate",
  "proxy-authorization",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
  "http2-settings",
  "alt-svc",
]);

const UTF8 = new TextDecoder("utf-8", { fatal: true });

/**
 * Header fields come as one character per byte. A name in UTF-8 is read as what it says, so that the same caller has the
 * same bucket by header, by cookie, by query and on somebody else's calculator.
 */
export function textFromField(value: string | null): string | null {
  // Nearly all keys are ASCII. What is no byte was typed by a person, who means what it says.
  if (value === null || !/[\x80-\xff]/.test(value) || /[\u0100-\uffff]/.test(value)) return value;
  try {
    return UTF8.decode(Uint8Array.from(value, (character) => character.charCodeAt(0)));
  } catch {
    // Not UTF-8: the bytes are as good a name for a caller.
    return value;
  }
}
