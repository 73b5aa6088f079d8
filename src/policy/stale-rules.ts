import { numberFromDigits } from "../model/decimal.ts";
import type { OutgoingHead, RawHeaders, ResponseHead } from "../model/exchange-types.ts";
import { fieldsFromText } from "../model/field-lines.ts";
import { FieldTable } from "../model/field-table.ts";
import { joinedHeader } from "../model/headers.ts";
import { originText } from "../model/outgoing.ts";
import { cacheDirectives, type CacheDirectives } from "./cache-directives.ts";

/**
 * Which answers may be kept to be told again when their upstream fails (RFC 5861 §4), and to whom. A stricter reading of
 * RFC 9111 §3 and §4.2.4 than a cache needs: what is not plainly allowed is not kept.
 */
export interface StaleRules {
  /** Longest time from an answer's arrival to its last repetition, in milliseconds. */
  readonly maxAgeMs: number;
  /** One caller may be told another's answer: the rules of a shared cache hold then, those of a private one otherwise. */
  readonly shared: boolean;
}

/** A request, as far as the rules look at it. */
export interface StaleRequest {
  /** As the client sent them. */
  readonly headers: RawHeaders;
  /** What the upstream gets, or would get. */
  readonly outgoing: OutgoingHead;
  /** The caller's sticky key; null when it has none. */
  readonly key: string | null;
}

/** What the rules say of a request. */
export interface StaleReading {
  /** Equal for requests that may share answers, apart from Vary. It holds secrets: keep no more than a digest. */
  readonly keyText: string;
  /** An answer to it may be kept. */
  readonly mayKeep: boolean;
  /** It may be answered with what was kept. */
  readonly mayTell: boolean;
}

/** Under which terms an answer is kept. */
export interface StaleTerms {
  /** How long from now, in milliseconds; above 0. */
  readonly keepMs: number;
  /** How old it was when it came, by its Age, in milliseconds. */
  readonly ageMs: number;
  /** Lower-case names of the request fields it was selected by, in alphabetical order. */
  readonly vary: readonly string[];
  /** Its entity tag as it came; null when it has none. */
  readonly etag: string | null;
}

/**
 * What an answer says about the one that is kept for the same request. good: it is the newer one. confirmed: the old one
 * still holds. silent: nothing. otherwise: the upstream is well and gives another answer now, so the old one is no longer
 * its last.
 */
export type Standing = "good" | "confirmed" | "silent" | "otherwise";

/**
 * "Good" are whole successes and permanent redirects, of the statuses that RFC 9110 §15.1 lets caches keep without being
 * told: not 404, 410 and the others of the list, which are errors and may be part of what goes wrong.
 */
const GOOD: ReadonlySet<number> = new Set([200, 203, 204, 301, 308]);

/** Part of an answer, or a "not now": these say nothing about what the resource is. */
const SILENT: ReadonlySet<number> = new Set([206, 408, 412, 416, 425, 429]);

/** How an answer with this status to this method stands to what is kept. */
export function standingOf(method: string, status: number): Standing {
  if (status < 200 || status >= 500) return "silent";
  // A request that changes something makes what is kept of its target obsolete, unless it failed (RFC 9111 §4.4).
  if (method !== "GET") return SAFE.has(method) || status >= 400 ? "silent" : "otherwise";
  if (GOOD.has(status)) return "good";
  if (status === 304) return "confirmed";
  return SILENT.has(status) ? "silent" : "otherwise";
}

const SAFE: ReadonlySet<string> = new Set(["HEAD", "OPTIONS", "TRACE", "PROPFIND", "REPORT", "SEARCH", "QUERY"]);

/** Reads a request; null for a caller without a key where answers are not shared: nothing is kept for it. */
export function readStaleRequest(request: StaleRequest, shared: boolean): StaleReading | null {
  if (!shared && request.key === null) return null;
  const { outgoing } = request;
  const seen = readFields(request.headers);
  const directives = cacheDirectives(seen.cacheControl);
  const isPlain = outgoing.body.kind === "none" && !seen.hasRange && !(shared && seen.authorization !== "");
  const caller = shared ? "" : textOfAll([request.key, seen.authorization, seen.cookie]);
  return {
    keyText: `${caller}${originText(outgoing.fields)}\r\n${outgoing.target}`,
    mayKeep: isPlain && outgoing.method === "GET" && !directives.noStore,
    mayTell: isPlain && (outgoing.method === "GET" || outgoing.method === "HEAD") && !directives.noCache,
  };
}

/** The terms for an answer with a good status; null when it may not be kept. */
export function staleTerms(head: ResponseHead, rules: StaleRules): StaleTerms | null {
  const { headers } = head;
  if (joinedHeader(headers, "set-cookie") !== null) return null;
  const directives = cacheDirectives(joinedHeader(headers, "cache-control"));
  // must-understand would lift no-store (RFC 9111 §5.2.2.3); we keep less than we might.
  if (directives.noStore || (rules.shared && directives.isPrivate)) return null;
  const vary = varyNames(joinedHeader(headers, "vary"));
  if (vary === null) return null;
  const ageMs = 1_000 * Math.max(0, numberFromDigits(joinedHeader(headers, "age") ?? "0"));
  const keepMs = Math.min(rules.maxAgeMs, 1_000 * usableSeconds(directives, rules.shared) - ageMs);
  return keepMs > 0 ? { keepMs, ageMs, vary, etag: joinedHeader(headers, "etag") } : null;
}

/** What a request says in the fields that an answer varies by: equal texts select the same answer (RFC 9111 §4.1). */
export function variantText(vary: readonly string[], { headers, outgoing }: StaleRequest): string {
  // Of most fields the upstream gets what the client sent; to take the rest out of its text costs more.
  const sent = vary.some(isWrittenByUs) ? fieldsFromText(outgoing.fields) : headers;
  return textOfAll(vary.map((name) => joinedHeader(isWrittenByUs(name) ? sent : headers, name)));
}

function isWrittenByUs(name: string): boolean {
  return name.startsWith("x-forwarded-") || WRITTEN_BY_US.has(name);
}

/** With x-forwarded-*, the fields whose values do not follow from the same fields of the client's; see model/outgoing.ts. */
const WRITTEN_BY_US: ReadonlySet<string> = new Set(["host", "via", "x-request-id", "traceparent"]);

/** True when a request may say nothing secret in any of these fields. */
export function isHarmless(vary: readonly string[]): boolean {
  return vary.every((name) => HARMLESS.has(name));
}

const HARMLESS: ReadonlySet<string> = new Set(["accept", "accept-encoding", "accept-language", "origin"]);

/** Age up to which an answer may be told, fresh or not; Infinity when only the config limits it. */
function usableSeconds(directives: CacheDirectives, shared: boolean): number {
  const freshS = (shared ? directives.sharedMaxAgeS : null) ?? directives.maxAgeS ?? 0;
  if (directives.noCache) return 0;
  // Each forbids stale answers (RFC 9111 §4.2.4; for s-maxage §5.2.2.10), but not fresh ones.
  const mustBeFresh = directives.proxyRevalidate || directives.sharedMaxAgeS !== null;
  if (directives.mustRevalidate || (shared && mustBeFresh)) return freshS;
  return directives.staleIfErrorS === null ? Infinity : freshS + directives.staleIfErrorS;
}

/** Null when an answer varies by more than the request says. */
function varyNames(vary: string | null): readonly string[] | null {
  if (vary === null) return NO_NAMES;
  const names = vary.split(",").map((name) => name.trim().toLowerCase());
  if (names.includes("*")) return null;
  return [...new Set(names.filter((name) => name !== ""))].toSorted();
}

const NO_NAMES: readonly string[] = [];

/** Texts with their lengths, so that no two lists look alike; null is not the same as "". */
function textOfAll(texts: readonly (string | null)[]): string {
  let all = "";
  for (const text of texts) all += text === null ? "-:" : `${text.length}:${text}`;
  return all;
}

interface SeenFields {
  cacheControl: string | null;
  authorization: string;
  cookie: string;
  hasRange: boolean;
}

function readFields(headers: RawHeaders): SeenFields {
  const seen: SeenFields = { cacheControl: null, authorization: "", cookie: "", hasRange: false };
  for (let i = 0; i < headers.length; i += 2) {
    const value = headers[i + 1] as string;
    switch (FIELDS.numberOf(headers[i] as string)) {
      case CACHE_CONTROL:
        seen.cacheControl = seen.cacheControl === null ? value : `${seen.cacheControl}, ${value}`;
        break;
      case AUTHORIZATION:
        seen.authorization += `${value}\n`;
        break;
      case COOKIE:
        seen.cookie += `${value}\n`;
        break;
      case RANGE:
        seen.hasRange = true;
        break;
      default:
        break;
    }
  }
  return seen;
}

const CACHE_CONTROL = 1;
const AUTHORIZATION = 2;
const COOKIE = 3;
const RANGE = 4;
const FIELDS = new FieldTable([
  ["cache-control", CACHE_CONTROL],
  ["authorization", AUTHORIZATION],
  ["cookie", COOKIE],
  ["range", RANGE],
]);
