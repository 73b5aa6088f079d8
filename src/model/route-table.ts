import type { RequestHead } from "./exchange-types.ts";
import { isNamed, textFromField } from "./headers.ts";
import type { MatchSpec } from "./snapshot.ts";
import type { Target } from "./target.ts";

/** Finds the route of a request: the first in config order whose conditions all hold. */
export interface RouteTable {
  /** Index of the route; -1 when none matches. */
  match(head: RequestHead, target: Target, authority: string | null): number;
}

/**
 * Builds a table over the matches in config order. Exact paths and prefixes are looked up by hash, so the cost of a
 * request does not grow with the number of routes; only routes with a regex or without a path are tried one by one.
 * Bench: bench/micro/route-table.ts.
 */
export function routeTableFrom(matches: readonly MatchSpec[]): RouteTable {
  const rules = matches.map(ruleFrom);
  const exact = new Map<string, number[]>();
  const prefixes = new Map<string, number[]>();
  const others: number[] = [];
  for (const [index, match] of matches.entries()) {
    if (match.path !== null) listAt(exact, match.path).push(index);
    else if (match.pathPrefix !== null) listAt(prefixes, match.pathPrefix).push(index);
    else others.push(index);
  }
  const prefixLengths = [...new Set([...prefixes.keys()].map((prefix) => prefix.length))];
  return {
    match(head, target, authority) {
      const { path } = target;
      const host = authority === null ? "" : hostOf(authority);
      let best = firstOf(exact.get(path), rules, head, path, host, rules.length);
      for (const length of prefixLengths) {
        if (length > path.length) continue;
        best = firstOf(prefixes.get(path.slice(0, length)), rules, head, path, host, best);
      }
      best = firstOf(others, rules, head, path, host, best);
      return best === rules.length ? -1 : best;
    },
  };
}

/** Host of an authority, lower case, without its port. */
export function hostOf(authority: string): string {
  const lower = authority.toLowerCase();
  if (lower.startsWith("[")) return lower.slice(0, lower.indexOf("]") + 1);
  const colon = lower.indexOf(":");
  return colon === -1 ? lower : lower.slice(0, colon);
}

interface Rule {
  readonly host: string | null;
  /** `.example.org` for `*.example.org`; null when the host is exact. */
  readonly hostSuffix: string | null;
  readonly methods: ReadonlySet<string> | null;
  readonly regex: RegExp | null;
  readonly headers: readonly (readonly [string, string])[];
}

function ruleFrom(match: MatchSpec): Rule {
  const host = match.host?.toLowerCase() ?? null;
  const wildcard = host !== null && host.startsWith("*.");
  return {
    host: wildcard ? null : host,
    hostSuffix: wildcard ? host.slice(1) : null,
    methods: match.methods === null ? null : new Set(match.methods),
    regex: match.pathRegex === null ? null : new RegExp(match.pathRegex),
    headers: Object.entries(match.headers ?? {}).map(([name, value]) => [name.toLowerCase(), value] as const),
  };
}

function firstOf(
  candidates: readonly number[] | undefined,
  rules: readonly Rule[],
  head: RequestHead,
  path: string,
  host: string,
  best: number,
): number {
  if (candidates === undefined) return best;
  for (const index of candidates) {
    if (index >= best) return best;
    if (holds(rules[index] as Rule, head, path, host)) return index;
  }
  return best;
}

function holds(rule: Rule, head: RequestHead, path: string, host: string): boolean {
  if (rule.methods !== null && !rule.methods.has(head.method)) return false;
  if (rule.host !== null && rule.host !== host) return false;
  if (rule.hostSuffix !== null && !host.endsWith(rule.hostSuffix)) return false;
  if (rule.regex !== null && !rule.regex.test(path)) return false;
  return rule.headers.every(([name, value]) => hasHeaderValue(head, name, value));
}

function hasHeaderValue(head: RequestHead, name: string, value: string): boolean {
  const { headers } = head;
  for (let i = 0; i < headers.length; i += 2) {
    if (isNamed(headers[i] as string, name) && textFromField(headers[i + 1] as string) === value) return true;
  }
  return false;
}

function listAt(map: Map<string, number[]>, key: string): number[] {
  let list = map.get(key);
  if (list === undefined) {
    list = [];
    map.set(key, list);
  }
  return list;
}
