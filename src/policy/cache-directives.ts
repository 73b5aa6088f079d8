import { numberFromDigits } from "../model/decimal.ts";

/** What a Cache-Control field asks for (RFC 9111 §5.2, RFC 5861 §4). Times in seconds; null = not said. */
export interface CacheDirectives {
  readonly noStore: boolean;
  /** Also when it is said of some fields only. */
  readonly noCache: boolean;
  /** Also when it is said of some fields only. */
  readonly isPrivate: boolean;
  readonly mustRevalidate: boolean;
  readonly proxyRevalidate: boolean;
  readonly maxAgeS: number | null;
  readonly sharedMaxAgeS: number | null;
  readonly staleIfErrorS: number | null;
}

/** Reads a joined Cache-Control field. Of repeats the shortest time counts, and a time that is no number is 0 (§4.2.1). */
export function cacheDirectives(list: string | null): CacheDirectives {
  if (list === null) return NONE;
  const found = new Map<string, number>();
  for (const [, name = "", quoted, plain] of list.matchAll(DIRECTIVE)) {
    const lower = name.toLowerCase();
    const seconds = Math.max(0, numberFromDigits(quoted ?? plain ?? ""));
    found.set(lower, Math.min(seconds, found.get(lower) ?? Infinity));
  }
  return {
    noStore: found.has("no-store"),
    noCache: found.has("no-cache"),
    isPrivate: found.has("private"),
    mustRevalidate: found.has("must-revalidate"),
    proxyRevalidate: found.has("proxy-revalidate"),
    maxAgeS: found.get("max-age") ?? null,
    sharedMaxAgeS: found.get("s-maxage") ?? null,
    staleIfErrorS: found.get("stale-if-error") ?? null,
  };
}

const NONE: CacheDirectives = {
  noStore: false,
  noCache: false,
  isPrivate: false,
  mustRevalidate: false,
  proxyRevalidate: false,
  maxAgeS: null,
  sharedMaxAgeS: null,
  staleIfErrorS: null,
};

/** A name, and its value if it has one: a quoted text, in which commas part nothing, or a token. */
const DIRECTIVE = /([!#$%&'*+\-.^_`|~0-9A-Za-z]+)(?:=(?:"((?:[^"\\]|\\.)*)"|([^\s,;"]*)))?/g;
