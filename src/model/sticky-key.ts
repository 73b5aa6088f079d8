import type { RequestHead } from "./exchange-types.ts";
import { headerValue, textFromField } from "./headers.ts";
import type { StickySource } from "./snapshot.ts";

/** What a sticky key can be read from. */
export interface KeySources {
  readonly head: RequestHead;
  readonly cookie: string | null;
  readonly query: string;
  /** The caller's address, after trusted proxies were looked through. */
  readonly clientIp: string;
}

/** The caller's key from the first source that is present and not empty; null when there is none. */
export function stickyKey(sources: readonly StickySource[], from: KeySources): string | null {
  for (const source of sources) {
    const key = keyFrom(source, from);
    if (key !== null && key !== "") return key;
  }
  return null;
}

function keyFrom(source: StickySource, from: KeySources): string | null {
  switch (source.kind) {
    case "header":
      return textFromField(headerValue(from.head.headers, source.name));
    case "cookie":
      return textFromField(cookieValue(from.cookie, source.name));
    case "query":
      return queryValue(from.query, source.name);
    case "client-ip":
      return from.clientIp;
  }
}

/** The value of a cookie in a Cookie header (RFC 6265 §4.2), quotes removed; null when absent. */
export function cookieValue(cookies: string | null, name: string): string | null {
  if (cookies === null) return null;
  for (const pair of cookies.split(";")) {
    const equals = pair.indexOf("=");
    if (equals === -1 || pair.slice(0, equals).trim() !== name) continue;
    const value = pair.slice(equals + 1).trim();
    return value.length >= 2 && value.startsWith('"') && value.endsWith('"') ? value.slice(1, -1) : value;
  }
  return null;
}

/** The first value of a query parameter, decoded; null when absent. Broken escapes are kept as they are. */
export function queryValue(query: string, name: string): string | null {
  if (query === "") return null;
  for (const pair of query.split("&")) {
    const equals = pair.indexOf("=");
    const key = equals === -1 ? pair : pair.slice(0, equals);
    if (decodeFormText(key) === name) return decodeFormText(equals === -1 ? "" : pair.slice(equals + 1));
  }
  return null;
}

function decodeFormText(text: string): string {
  if (!text.includes("%") && !text.includes("+")) return text;
  try {
    return decodeURIComponent(text.replaceAll("+", " "));
  } catch {
    // Not UTF-8: the raw text is as good a name for a caller.
    return text;
  }
}
