import type { IncomingHttpHeaders } from "node:http";
import { isLoopback } from "../config/address.ts";
import { AdminError } from "./reply.ts";
import type { BearerToken } from "./token.ts";

/** The part of a request that decides whether it may come in. */
export interface GuardedRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
}

/** The name that is recorded when the caller gives none. */
const DEFAULT_ACTORS = { withToken: "token", withoutToken: "local" } as const;

/**
 * Lets a request in or throws. Without a token the server trusts whoever reaches its loopback address, so a web page
 * must not: Host must be a loopback name (a page that rebinds its own name to 127.0.0.1 sends that name), and what a
 * browser marks as coming from elsewhere is refused. The dashboard page holds no data and needs no token.
 */
export function guardRequest(request: GuardedRequest, token: BearerToken | null): void {
  if (token === null) refuseForeignHost(request.headers.host);
  if (request.path === "/") return;
  refuseForeignPage(request.headers);
  if (token !== null) requireToken(request.headers.authorization, token);
  if (changesState(request.method)) requireJson(request.headers);
}

/** Who asks: a name given in `x-crossfade-actor`, else what let the request in. */
export function actorOf(headers: IncomingHttpHeaders, token: BearerToken | null): string {
  const named = headers["x-crossfade-actor"];
  if (named === undefined) return token === null ? DEFAULT_ACTORS.withoutToken : DEFAULT_ACTORS.withToken;
  if (typeof named === "string" && /^[A-Za-z0-9][A-Za-z0-9 ._@+:/-]{0,63}$/.test(named)) return named;
  throw new AdminError(
    400,
    "bad_actor",
    `x-crossfade-actor: ${JSON.stringify(named)} is not a name of 1 to 64 letters, digits, blanks or ._@+:/-`,
  );
}

function changesState(method: string): boolean {
  return method !== "GET" && method !== "HEAD" && method !== "OPTIONS";
}

function refuseForeignHost(host: string | undefined): void {
  const name = host === undefined ? "" : hostName(host);
  if (isLoopback(name)) return;
  throw new AdminError(
    403,
    "host_refused",
    `Host ${JSON.stringify(host ?? "")} is not a loopback name. Without a token only 127.0.0.1, [::1] and localhost are served.`,
  );
}

function hostName(host: string): string {
  const match = /^(?:\[([^\]]+)\]|([^:]+))(?::\d+)?$/.exec(host);
  return match?.[1] ?? match?.[2] ?? "";
}

function refuseForeignPage(headers: IncomingHttpHeaders): void {
  const site = headers["sec-fetch-site"];
  if (site !== undefined && site !== "same-origin" && site !== "none") {
    throw new AdminError(403, "origin_refused", `Requests from other web pages (sec-fetch-site: ${site}) are refused.`);
  }
  const { origin, host } = headers;
  if (origin === undefined || origin === `http://${host}` || origin === `https://${host}`) return;
  throw new AdminError(403, "origin_refused", `Requests from the web page ${JSON.stringify(origin)} are refused.`);
}

function requireToken(authorization: string | undefined, token: BearerToken): void {
  const match = /^bearer +(\S+) *$/i.exec(authorization ?? "");
  // The comparison runs for a missing token too: how long it takes says nothing.
  const accepted = token.accepts(match?.[1] ?? "");
  if (accepted && match !== null) return;
  const challenge = match === null ? 'Bearer realm="crossfade"' : 'Bearer realm="crossfade", error="invalid_token"';
  const message =
    match === null ? "A bearer token is needed: Authorization: Bearer TOKEN." : "This bearer token is not the one.";
  throw new AdminError(401, "unauthorized", message, { headers: { "www-authenticate": challenge } });
}

/** A form on a web page can send everything but this type without asking first. */
function requireJson(headers: IncomingHttpHeaders): void {
  const type = headers["content-type"];
  const hasBody = headers["transfer-encoding"] !== undefined || Number(headers["content-length"] ?? 0) > 0;
  if (type === undefined && !hasBody) return;
  if (/^application\/json\s*(;|$)/i.test(type ?? "")) return;
  throw new AdminError(
    415,
    "unsupported_media_type",
    `content-type ${JSON.stringify(type ?? "")} is not understood; send application/json or no body.`,
  );
}
