import type { RequestFacts, RequestHead } from "./exchange-types.ts";
import { HOP_BY_HOP, listHasToken } from "./headers.ts";
import { hopsLeft } from "./request-facts.ts";

/** What the road knows about the caller and adds to the request. */
export interface ForwardedFacts {
  /** The peer is in a trusted range: its x-forwarded-* are believed and extended. */
  readonly peerTrusted: boolean;
  readonly requestId: string;
  readonly traceparent: string;
  /** The trace begins here, so a tracestate that came belongs to none (Trace Context §3.4). */
  readonly traceBegun: boolean;
  /** Our name in Via, `1.1 NAME`. */
  readonly viaName: string;
  /** Lower-case x-crossfade-* names that override rules use; they alone survive. */
  readonly controlHeaders: ReadonlySet<string>;
}

/**
 * Header fields of a request as it goes upstream: end-to-end fields in their order and case, then ours. The client's
 * `Connection` is obeyed before ours are added, so it cannot remove them. Framing fields are the engine's to add.
 */
export function outgoingHeaders(head: RequestHead, facts: RequestFacts, add: ForwardedFacts): string[] {
  const out: string[] = [];
  const named = connectionNamed(facts.connection);
  if (facts.authority !== null) out.push("host", facts.authority);
  const hops = hopsLeft(facts, head.method);
  const { headers } = head;
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i] as string;
    const lower = name.toLowerCase();
    if (DROPPED_REQUEST_FIELDS.has(lower) || (named !== null && named.has(lower))) continue;
    if (lower === "tracestate" && add.traceBegun) continue;
    // Only trusted proxies may say on whose behalf they ask.
    if (lower === "forwarded" && !add.peerTrusted) continue;
    if (lower.charCodeAt(0) === 120 && isControlHeader(lower) && !add.controlHeaders.has(lower)) continue;
    out.push(name, hops !== null && lower === "max-forwards" ? String(hops - 1) : (headers[i + 1] as string));
  }
  pushForwarded(out, head, facts, add);
  if (listHasToken(facts.te, "trailers")) out.push("te", "trailers");
  out.push("x-request-id", add.requestId, "traceparent", add.traceparent);
  return out;
}

/** True for x-crossfade-*, also spelled with underscores, which some upstreams fold into the same name. */
export function isControlHeader(lowerName: string): boolean {
  return lowerName.startsWith("x") && lowerName.replaceAll("_", "-").startsWith("x-crossfade-");
}

/** Fields named by a Connection header, lower case; null when it names none beyond the usual. */
export function connectionNamed(connection: string | null): ReadonlySet<string> | null {
  if (connection === null || connection === "keep-alive" || connection === "close") return null;
  const names = new Set<string>();
  for (const token of connection.split(",")) names.add(token.trim().toLowerCase());
  return names;
}

/** True when our own Via is already there: the request goes in circles. */
export function hasPassedHere(via: string | null, viaName: string): boolean {
  if (via === null) return false;
  return via.split(",").some((hop) => hop.trim().split(/[ \t]+/)[1] === viaName);
}

function pushForwarded(out: string[], head: RequestHead, facts: RequestFacts, add: ForwardedFacts): void {
  const scheme = head.encrypted ? "https" : "http";
  const believed = add.peerTrusted;
  const before = believed ? facts.forwardedFor : null;
  out.push("x-forwarded-for", before === null ? head.peerAddress : `${before}, ${head.peerAddress}`);
  out.push("x-forwarded-proto", (believed ? facts.forwardedProto : null) ?? scheme);
  const host = (believed ? facts.forwardedHost : null) ?? facts.authority;
  if (host !== null) out.push("x-forwarded-host", host);
  out.push("x-forwarded-port", (believed ? facts.forwardedPort : null) ?? String(head.localPort));
  const hop = `${head.minorVersion === 0 ? "1.0" : "1.1"} ${add.viaName}`;
  out.push("via", facts.via === null ? hop : `${facts.via}, ${hop}`);
}

/** Fields that end here or that we write ourselves. */
const DROPPED_REQUEST_FIELDS: ReadonlySet<string> = new Set([
  ...HOP_BY_HOP,
  "host",
  "content-length",
  "expect",
  "x-forwarded-for",
  "x-forwarded-proto",
  "x-forwarded-host",
  "x-forwarded-port",
  "x-request-id",
  "traceparent",
  "via",
]);
