/** A request target taken apart for routing. What goes upstream stays byte-exact. */
export interface Target {
  /** Origin form (or `*`) exactly as it goes upstream. */
  readonly forward: string;
  /** Authority of an absolute-form target, which replaces Host; null otherwise. */
  readonly authority: string | null;
  /** Normalised path that routes are matched on: decoded, slashes merged, dot segments removed; `/` for `*`. */
  readonly path: string;
  /** Raw query without `?`; empty when there is none. */
  readonly query: string;
}

const ABSOLUTE = /^https?:\/\//i;
const NEEDS_NORMALISING = /%|\/\/|\/\.|\\/;

/**
 * Takes a target apart; null when it must be refused: fragment, user info, another scheme, broken escapes, an
 * escaped NUL, asterisk form on anything but OPTIONS, authority form.
 */
export function parseTarget(raw: string, method: string): Target | null {
  if (raw.includes("#")) return null;
  if (raw === "*") return method === "OPTIONS" ? { forward: "*", authority: null, path: "/", query: "" } : null;
  if (raw.charCodeAt(0) === 47) return originForm(raw, null);
  if (!ABSOLUTE.test(raw)) return null;
  return absoluteForm(raw, method);
}

function absoluteForm(raw: string, method: string): Target | null {
  const start = raw.indexOf("//") + 2;
  let end = start;
  while (end < raw.length && raw[end] !== "/" && raw[end] !== "?") end++;
  const authority = raw.slice(start, end);
  if (authority === "" || authority.includes("@")) return null;
  const rest = raw.slice(end);
  // RFC 9112 §3.2.4: an OPTIONS request with an empty path becomes the asterisk form.
  if (rest === "" && method === "OPTIONS") return { forward: "*", authority, path: "/", query: "" };
  return originForm(rest.startsWith("/") ? rest : `/${rest}`, authority);
}

function originForm(forward: string, authority: string | null): Target | null {
  const mark = forward.indexOf("?");
  const rawPath = mark === -1 ? forward : forward.slice(0, mark);
  const path = NEEDS_NORMALISING.test(rawPath) ? normalisePath(rawPath) : rawPath;
  if (path === null) return null;
  return { forward, authority, path, query: mark === -1 ? "" : forward.slice(mark + 1) };
}

/**
 * The one form of a path that rules are compared with, so that no spelling of `/admin` slips past a rule for it.
 * An escaped slash stays escaped (`%2F`): decoding it would merge segments that the upstream may keep apart.
 */
export function normalisePath(rawPath: string): string | null {
  const decoded = decodeEscapes(rawPath);
  if (decoded === null) return null;
  const kept: string[] = [];
  const segments = decoded.replaceAll("\\", "/").split("/");
  for (const [index, segment] of segments.entries()) {
    const last = index === segments.length - 1;
    if (segment === "..") kept.pop();
    else if (segment !== "." && segment !== "") kept.push(segment);
    if (last && (segment === "" || segment === "." || segment === "..")) kept.push("");
  }
  const joined = `/${kept.join("/")}`;
  return joined === "//" ? "/" : joined;
}

function decodeEscapes(path: string): string | null {
  if (!path.includes("%")) return path;
  let broken = false;
  const decoded = path.replaceAll(/%(.{0,2})/g, (_whole, hex: string) => {
    if (!/^[0-9a-f]{2}$/i.test(hex)) {
      broken = true;
      return "";
    }
    const code = Number.parseInt(hex, 16);
    if (code === 0) broken = true;
    // Latin1 on purpose: bytes compare with bytes, and no UTF-8 sequence can fail to decode.
    return code === 0x2f ? "%2F" : code === 0x25 ? "%25" : String.fromCharCode(code);
  });
  return broken ? null : decoded;
}
