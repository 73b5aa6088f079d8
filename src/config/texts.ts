import { endpointFromText, addressFromText, cidrFromText, isHostName, isIpv4, isIpv6 } from "./address.ts";
import type { Address, Endpoint } from "./address.ts";
import { text } from "./scalars.ts";
import type { ScalarField } from "./scalars.ts";
import { parsed, refused } from "./units.ts";
import type { Parsed } from "./units.ts";

/** What a route, upstream or segment may be called. */
export const NAME_PATTERN = "[A-Za-z0-9][A-Za-z0-9._-]{0,63}";
const NAME = new RegExp(`^${NAME_PATTERN}$`);
const TOKEN_PATTERN = "[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}";
const TOKEN = new RegExp(`^${TOKEN_PATTERN}$`);
const MAX_TEXT = 8_192;
const MAX_REGEX = 1_024;

/** Field names that frame a message or belong to one connection: no rule may set or send them (RFC 9110 §7.6.1). */
const RESERVED_HEADERS = new Set([
  "connection",
  "content-length",
  "content-type",
  "date",
  "host",
  "keep-alive",
  "proxy-authenticate",
  "proxy-authorization",
  "proxy-connection",
  "set-cookie",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);

/** True for an allowed route, upstream or segment name. */
export function isName(text: string): boolean {
  return NAME.test(text);
}

/** The rule for names in a sentence that follows the printed name. */
export const NAME_RULE =
  "is not a valid name; use 1 to 64 letters, digits, dots, hyphens and underscores, a letter or digit first";

/** True for an HTTP token: a header or cookie name, a method (RFC 9110 §5.6.2). */
export function isToken(text: string): boolean {
  return TOKEN.test(text);
}

/** The rule for header names in a sentence that follows the printed name. */
export const HEADER_RULE = "is not a valid header name; use letters, digits and hyphens";

/** The rule for cookie names in a sentence that follows the printed name. */
export const COOKIE_RULE = "is not a valid cookie name; use letters, digits, hyphens and underscores";

/** A name that something else in the file has. */
export function reference(description: string, title: string): ScalarField<string> {
  return text(description, { title, pattern: NAME_PATTERN, read: nameFromText });
}

/** A path of a file or directory on this machine; the file's text itself is refused. */
export function filePath(description: string): ScalarField<string> {
  return text(description, { title: "path", pattern: null, read: pathFromText });
}

/** `host:port`. */
export function address(description: string): ScalarField<Address> {
  return text(description, {
    title: "host:port",
    pattern: String.raw`(\[[0-9a-fA-F:.]+\]|[^:\s]+):\d{1,5}`,
    read: addressFromText,
  });
}

/** `http://host:port`, `https://host:port` or `http+unix:///path`. */
export function endpoint(description: string): ScalarField<Endpoint> {
  const pattern = String.raw`https?://[^/?#@\s]+/?|http\+unix:///[^?#\s]+`;
  return text(description, { title: "URL", pattern, read: endpointFromText });
}

/** An IP block; a bare address becomes a block of one. */
export function cidr(description: string): ScalarField<string> {
  return text(description, { title: "IP block", pattern: String.raw`[0-9a-fA-F.:]+(/\d{1,3})?`, read: cidrFromText });
}

/** A header name; result in lower case. */
export function headerName(description: string): ScalarField<string> {
  const read = (name: string): Parsed<string> => (isToken(name) ? parsed(name.toLowerCase()) : refused(HEADER_RULE));
  return text(description, { title: "header name", pattern: TOKEN_PATTERN, read });
}

/** The name of a response header that we add; result in lower case. */
export function answerHeaderName(description: string): ScalarField<string> {
  return text(description, { title: "header name", pattern: TOKEN_PATTERN, read: answerHeaderFromText });
}

/** A cookie name. */
export function cookieName(description: string): ScalarField<string> {
  const read = (name: string): Parsed<string> => (isToken(name) ? parsed(name) : refused(COOKIE_RULE));
  return text(description, { title: "cookie name", pattern: TOKEN_PATTERN, read });
}

/** A header or cookie value: printable, no line breaks, no blanks around it. */
export function fieldValue(description: string): ScalarField<string> {
  return text(description, { title: "text", pattern: null, read: fieldValueFromText });
}

/** Any text of 1 to 8192 characters. */
export function plainText(description: string, title = "text"): ScalarField<string> {
  return text(description, { title, pattern: null, read: plainFromText });
}

/** An HTTP method, upper case. */
export function method(description: string): ScalarField<string> {
  return text(description, { title: "method", pattern: "[A-Z][A-Z-]{0,31}", read: methodFromText });
}

/** A request path or its beginning. */
export function requestPath(description: string): ScalarField<string> {
  return text(description, { title: "path", pattern: String.raw`/[^?#\s]*`, read: requestPathFromText });
}

/** What a request asks for in origin form: a path and perhaps a query. */
export function requestTarget(description: string): ScalarField<string> {
  return text(description, { title: "path", pattern: String.raw`/[^#\s]*`, read: requestTargetFromText });
}

/** A JavaScript regular expression, without flags. */
export function regex(description: string): ScalarField<string> {
  return text(description, { title: "regular expression", pattern: null, read: regexFromText });
}

/** A host name or IP address without a port; result in lower case, IPv6 in brackets. */
export function hostName(description: string): ScalarField<string> {
  return text(description, { title: "host name", pattern: null, read: hostFromText });
}

/** A host name as above, with or without a port: what a Host field holds. */
export function authority(description: string): ScalarField<string> {
  return text(description, { title: "host[:port]", pattern: null, read: authorityFromText });
}

/** A host name as above, or `*.example.org` for every name below one. */
export function hostPattern(description: string): ScalarField<string> {
  return text(description, { title: "host name", pattern: null, read: hostPatternFromText });
}

/** An HTTP token, in any case. */
export function token(description: string): ScalarField<string> {
  const read = (word: string): Parsed<string> =>
    isToken(word) ? parsed(word) : refused("is not one word of letters, digits and hyphens");
  return text(description, { title: "word", pattern: TOKEN_PATTERN, read });
}

function nameFromText(name: string): Parsed<string> {
  return isName(name) ? parsed(name) : refused(NAME_RULE);
}

function pathFromText(path: string): Parsed<string> {
  if (path === "") return refused("is empty; write the path of a file");
  if (path.includes("-----BEGIN")) return refused("holds PEM text; write the path of the file that holds it");
  if (hasControl(path) || path.length > 4_096) return refused("is not a path");
  return parsed(path);
}

function answerHeaderFromText(name: string): Parsed<string> {
  if (!isToken(name)) return refused(HEADER_RULE);
  const lower = name.toLowerCase();
  return RESERVED_HEADERS.has(lower)
    ? refused("is a header with a meaning of its own; choose another name")
    : parsed(lower);
}

function fieldValueFromText(value: string): Parsed<string> {
  if (value === "" || value.length > MAX_TEXT) return refused(`must have 1 to ${MAX_TEXT} characters`);
  if (value.trim() !== value) return refused("has blanks around it, which no header can carry");
  return /^[\t\x20-\x7e\x80-\xff]*$/.test(value) ? parsed(value) : refused("has characters that no header can carry");
}

function plainFromText(value: string): Parsed<string> {
  return value === "" || value.length > MAX_TEXT ? refused(`must have 1 to ${MAX_TEXT} characters`) : parsed(value);
}

function methodFromText(name: string): Parsed<string> {
  if (/^[A-Z][A-Z-]{0,31}$/.test(name)) return parsed(name);
  const upper = name.toUpperCase();
  const hint = /^[A-Z][A-Z-]{0,31}$/.test(upper)
    ? `methods are upper case, write ${upper}`
    : "write GET, POST and the like";
  return refused(`is not a method; ${hint}`);
}

function requestPathFromText(path: string): Parsed<string> {
  if (!path.startsWith("/")) return refused("does not start with /");
  if (/[?#]/.test(path)) return refused("holds ? or #; a path ends before them");
  if (/\s/.test(path) || hasControl(path) || path.length > MAX_TEXT)
    return refused("has characters that no path can carry");
  return parsed(path);
}

function requestTargetFromText(target: string): Parsed<string> {
  if (!target.startsWith("/")) return refused("does not start with /");
  if (target.includes("#")) return refused("holds #, which no request carries");
  const fits = /^[\x21-\x7e]*$/.test(target) && target.length <= MAX_TEXT;
  return fits ? parsed(target) : refused("has characters that no request can carry; write them as %XX");
}

function regexFromText(source: string): Parsed<string> {
  if (source === "" || source.length > MAX_REGEX) return refused(`must have 1 to ${MAX_REGEX} characters`);
  try {
    return parsed(new RegExp(source).source === "" ? "" : source);
  } catch (error) {
    const reason = error instanceof Error ? error.message.slice(error.message.lastIndexOf(": ") + 2) : "";
    return refused(`is not a valid regular expression: ${reason.toLowerCase()}`);
  }
}

function hostFromText(host: string): Parsed<string> {
  const lower = host.toLowerCase();
  if (lower.startsWith("[") && lower.endsWith("]") && isIpv6(lower.slice(1, -1))) return parsed(lower);
  if (isIpv4(lower) || isHostName(lower)) return parsed(lower);
  return refused("is not a host name; write it without scheme, port or path");
}

function authorityFromText(authority: string): Parsed<string> {
  const address = addressFromText(authority);
  if (address.ok && address.value.port > 0) return parsed(authority.toLowerCase());
  const host = hostFromText(authority);
  return host.ok ? host : refused("is not a host name, with or without a port; write it without scheme or path");
}

function hostPatternFromText(host: string): Parsed<string> {
  const below = host.startsWith("*.") ? host.slice(2) : null;
  if (below === null)
    return host.includes("*") ? refused("has a wildcard that is not *. at its beginning") : hostFromText(host);
  return isHostName(below) ? parsed(host.toLowerCase()) : refused("is not *. and a host name");
}

function hasControl(value: string): boolean {
  // oxlint-disable-next-line no-control-regex
  return /[\x00-\x1f\x7f]/.test(value);
}
