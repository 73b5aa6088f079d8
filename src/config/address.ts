import { z } from "zod";
import { parsed, refused } from "./units.ts";
import type { Parsed } from "./units.ts";

/** A place to listen on. */
export interface Address {
  /** IPv4, IPv6 without brackets, or a host name. */
  readonly host: string;
  /** 0..65535; 0 = the system chooses. */
  readonly port: number;
}

/** One address of an upstream. */
export interface Endpoint {
  readonly scheme: "http" | "https";
  /** IPv4, IPv6 without brackets, or a host name; lower case. */
  readonly host: string;
  /** 1..65535; 0 for a Unix socket. */
  readonly port: number;
  /** Path of a Unix socket; null for TCP. */
  readonly socketPath: string | null;
}

const IPV4 = z.ipv4();
const IPV6 = z.ipv6();
const HOST_NAME = /^(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*\.?$/;
const LATER_SCHEMES = ["h2c", "grpc", "grpcs"];
/** What the address of a Unix socket holds on Linux, less the zero behind it. */
const LONGEST_SOCKET_PATH = 107;

/** True for a dotted IPv4 address. */
export function isIpv4(text: string): boolean {
  return IPV4.safeParse(text).success;
}

/** True for an IPv6 address without brackets or zone. */
export function isIpv6(text: string): boolean {
  return IPV6.safeParse(text).success;
}

/** True for a DNS name; labels of letters, digits, hyphens and underscores, at most 253 characters. */
export function isHostName(text: string): boolean {
  return HOST_NAME.test(text.toLowerCase()) && !/^[\d.]+$/.test(text);
}

/** Reads `0.0.0.0:8080`, `[::1]:0`, `localhost:9901`. */
export function addressFromText(text: string): Parsed<Address> {
  const hint = "write host:port, such as 127.0.0.1:8080, 0.0.0.0:8080 or [::1]:8080";
  const match = /^(?:\[([^\]]*)\]|([^:]*)):(\d{1,9})$/.exec(text);
  if (match === null) return refused(`is not an address; ${hint}`);
  const [, ipv6, plain, digits] = match;
  const port = Number(digits);
  if (port > 65_535) return refused("has a port above 65535");
  if (ipv6 !== undefined)
    return isIpv6(ipv6) ? parsed({ host: ipv6, port }) : refused(`has no valid IPv6 host; ${hint}`);
  const host = plain ?? "";
  if (host === "" || host === "*") return refused(`names no host; write 0.0.0.0:${port} to listen on every address`);
  if (!isIpv4(host) && !isHostName(host)) return refused(`has no valid host; ${hint}`);
  return parsed({ host, port });
}

/** The text of an address; IPv6 hosts in brackets. */
export function textFromAddress(address: Address): string {
  return `${bracketed(address.host)}:${address.port}`;
}

/** True when only this machine can reach the host: 127.0.0.0/8, ::1 or localhost. */
export function isLoopback(host: string): boolean {
  const lower = host.toLowerCase();
  if (lower === "localhost") return true;
  if (isIpv4(lower)) return lower.startsWith("127.");
  return isIpv6(lower) && canonicalIpv6(lower) === "::1";
}

/** True when the host stands for every address of the machine. */
export function isWildcard(host: string): boolean {
  return host === "0.0.0.0" || (isIpv6(host) && canonicalIpv6(host) === "::");
}

/** Reads `http://host:port`, `https://host` or `http+unix:///path`; other paths, queries and credentials are refused. */
export function endpointFromText(text: string): Parsed<Endpoint> {
  const match = /^([a-z][a-z0-9+.-]*):\/\/(.*)$/i.exec(text);
  if (match === null)
    return refused("is not an endpoint; write http://host:port, https://host:port or http+unix:///path");
  const scheme = (match[1] as string).toLowerCase();
  if (scheme === "http+unix") return socketEndpointFrom(match[2] as string);
  const rest = (match[2] as string).replace(/\/$/, "");
  if (LATER_SCHEMES.includes(scheme))
    return refused(`uses ${scheme}://, which this version (0.1) does not have yet; use http://`);
  if (scheme !== "http" && scheme !== "https")
    return refused(`uses ${scheme}://; allowed: http://, https://, http+unix://`);
  if (rest.includes("@")) return refused("holds credentials; an endpoint is only scheme, host and port");
  if (/[/?#]/.test(rest)) return refused("holds a path or a query; an endpoint is only scheme, host and port");
  return endpointFrom(scheme, rest);
}

/** Reads a CIDR block such as `10.0.0.0/8`; a bare address becomes a block of one. */
export function cidrFromText(text: string): Parsed<string> {
  const [host = "", bits, ...more] = text.split("/");
  const longest = isIpv4(host) ? 32 : isIpv6(host) ? 128 : -1;
  if (longest === -1 || more.length > 0)
    return refused("is not an IP block; write 10.0.0.0/8, fd00::/8 or one address");
  if (bits === undefined) return parsed(`${host}/${longest}`);
  if (!/^\d{1,3}$/.test(bits) || Number(bits) > longest) return refused(`has a prefix length outside 0..${longest}`);
  return parsed(`${host}/${Number(bits)}`);
}

function endpointFrom(scheme: "http" | "https", authority: string): Parsed<Endpoint> {
  const withPort = /:\d+$/.test(authority) ? authority : `${authority}:${scheme === "http" ? 80 : 443}`;
  const address = addressFromText(withPort);
  if (!address.ok) return refused(`has no valid host and port; write ${scheme}://host:port`);
  if (address.value.port === 0) return refused("has port 0; an endpoint needs a real port");
  return parsed({ scheme, host: address.value.host.toLowerCase(), port: address.value.port, socketPath: null });
}

function socketEndpointFrom(socketPath: string): Parsed<Endpoint> {
  if (!socketPath.startsWith("/") || socketPath.endsWith("/") || /[?#]/.test(socketPath))
    return refused("names no socket; write http+unix:// and an absolute path, such as http+unix:///run/local.sock");
  // oxlint-disable-next-line no-control-regex
  if (/[\x00-\x20\x7f]/.test(socketPath)) return refused("has blanks or control characters in its path");
  const bytes = Buffer.byteLength(socketPath);
  if (bytes > LONGEST_SOCKET_PATH)
    return refused(`has a path of ${bytes} bytes; a socket's has at most ${LONGEST_SOCKET_PATH}`);
  return parsed({ scheme: "http", host: "localhost", port: 0, socketPath });
}

function bracketed(host: string): string {
  return host.includes(":") ? `[${host}]` : host;
}

function canonicalIpv6(text: string): string {
  return new URL(`http://[${text}]/`).hostname.slice(1, -1);
}
