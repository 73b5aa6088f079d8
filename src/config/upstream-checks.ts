import { endpointText } from "../model/endpoint.ts";
import { endpointFromText } from "./address.ts";
import type { Endpoint } from "./address.ts";
import type { Issue } from "./issue.ts";
import type { Path } from "./schema-walk.ts";
import {
  FRAMING_HEADERS,
  checkExactlyOne,
  checkHeaderNames,
  checkOrder,
  msOf,
  ppmOf,
  refuseHeaderNames,
  textOf,
} from "./shared-checks.ts";
import { NAME_RULE, isName } from "./texts.ts";
import { entriesOf, fieldOf, listOf, mapOf } from "./tree-edit.ts";

/** Rules inside upstreams; see cross-checks.ts. */
export function checkUpstreams(tree: unknown, issues: Issue[]): void {
  const upstreams = fieldOf(tree, "upstreams");
  const isLibrary = fieldOf(tree, "engine") === "library";
  for (const [name, upstream] of entriesOf(upstreams)) {
    checkUpstream(name, upstream, issues);
    if (isLibrary) checkPipelining(name, upstream, issues);
  }
  if (mapOf(upstreams) === null || entriesOf(upstreams).length > 0) return;
  issues.push({ path: ["upstreams"], value: undefined, message: "has no entries; name at least one upstream" });
}

function checkUpstream(name: string, upstream: unknown, issues: Issue[]): void {
  const path: Path = ["upstreams", name];
  if (!isName(name)) issues.push({ path, value: undefined, message: NAME_RULE });
  const endpoints = checkEndpoints([...path, "endpoints"], fieldOf(upstream, "endpoints"), issues);
  checkPool([...path, "pool"], fieldOf(upstream, "pool"), issues);
  checkUpstreamTls([...path, "tls"], mapOf(fieldOf(upstream, "tls")), endpoints, issues);
  checkHealth([...path, "health"], mapOf(fieldOf(upstream, "health")), endpoints, issues);
  checkCircuit([...path, "circuitBreaker"], mapOf(fieldOf(upstream, "circuitBreaker")), issues);
  const ejection = { shorter: "ejectionTime", shorterDefault: "30s", longer: "maxEjectionTime" };
  checkOrder([...path, "outlierDetection"], fieldOf(upstream, "outlierDetection"), ejection, issues);
}

function checkPool(path: Path, pool: unknown, issues: Issue[]): void {
  const least = Number(fieldOf(pool, "minConnections") ?? 0);
  const most = Number(fieldOf(pool, "maxConnections") ?? 256);
  if (!(least > most)) return;
  const message = `makes minConnections (${least}) larger than maxConnections (${most})`;
  issues.push({ path: [...path, "minConnections"], value: least, message });
}

function checkPipelining(name: string, upstream: unknown, issues: Issue[]): void {
  const pipelining = fieldOf(fieldOf(upstream, "pool"), "pipelining");
  if (!(Number(pipelining) > 1)) return;
  const message =
    "needs engine: native, since the library engine keeps one request in flight per connection; write 1 or remove the line";
  issues.push({ path: ["upstreams", name, "pool", "pipelining"], value: pipelining, message });
}

/** Reports endpoints that are given twice; returns those that could be read. */
function checkEndpoints(path: Path, endpoints: unknown, issues: Issue[]): readonly Endpoint[] {
  const seen = new Map<string, Endpoint>();
  for (const [index, text] of listOf(endpoints).entries()) {
    const endpoint = typeof text === "string" ? endpointFromText(text) : null;
    if (endpoint === null || !endpoint.ok) continue;
    const canonical = endpointText(endpoint.value);
    if (seen.has(canonical)) issues.push({ path: [...path, index], value: text, message: "is given twice; keep one" });
    seen.set(canonical, endpoint.value);
  }
  return [...seen.values()];
}

function checkUpstreamTls(path: Path, tls: object | null, endpoints: readonly Endpoint[], issues: Issue[]): void {
  if (tls === null) return;
  const hasCert = fieldOf(tls, "cert") !== undefined;
  const hasKey = fieldOf(tls, "key") !== undefined;
  const missing = hasCert ? "key" : "cert";
  if (hasCert !== hasKey)
    issues.push({ path: [...path, missing], value: undefined, message: "is required: cert and key go together" });
  if (endpoints.length === 0 || endpoints.some(({ scheme }) => scheme === "https")) return;
  issues.push({ path, value: undefined, message: "is given, but no endpoint is https; write https:// or remove it" });
}

function checkHealth(path: Path, health: object | null, endpoints: readonly Endpoint[], issues: Issue[]): void {
  if (health === null) return;
  checkExactlyOne(path, health, ["http", "grpc", "tcp"], issues);
  checkProbe([...path, "http"], fieldOf(health, "http"), issues);
  checkTimeout(path, health, issues);
  const port = fieldOf(health, "port");
  if (port === undefined || endpoints.every(({ socketPath }) => socketPath === null)) return;
  issues.push({ path: [...path, "port"], value: port, message: "means nothing to a Unix socket, which has no ports" });
}

function checkProbe(path: Path, http: unknown, issues: Issue[]): void {
  const headers = fieldOf(http, "headers");
  checkHeaderNames([...path, "headers"], headers, issues);
  checkHeaderNames([...path, "expectHeaders"], fieldOf(http, "expectHeaders"), issues);
  const isRefused = (name: string): boolean => name === "host" || FRAMING_HEADERS.has(name);
  const why = "is a header with a meaning of its own; remove it (for the host there is the setting host)";
  refuseHeaderNames([...path, "headers"], headers, isRefused, why, issues);
  const expected = fieldOf(http, "expectBody");
  if (expected === undefined || fieldOf(http, "method") !== "HEAD") return;
  issues.push({ path: [...path, "expectBody"], value: expected, message: "needs method: GET; HEAD gives no body" });
}

function checkTimeout(path: Path, health: object, issues: Issue[]): void {
  const timeout = fieldOf(health, "timeout");
  const interval = textOf(health, "interval", "5s");
  const timeoutMs = timeout === undefined ? null : msOf(timeout);
  const intervalMs = msOf(interval);
  if (timeoutMs === null || intervalMs === null || timeoutMs <= intervalMs) return;
  const message = `is longer than interval (${interval}); a probe must end before the next`;
  issues.push({ path: [...path, "timeout"], value: timeout, message });
}

function checkCircuit(path: Path, circuit: object | null, issues: Issue[]): void {
  if (circuit === null) return;
  const slowShare = ppmOf(fieldOf(circuit, "slowCallRatio") ?? "0%");
  const rules = [Number(fieldOf(circuit, "consecutiveFailures") ?? 3), ppmOf(fieldOf(circuit, "errorRatio") ?? "50%")];
  if ([...rules, slowShare].every((rule) => rule === 0)) {
    const message = "has every rule off; give consecutiveFailures, errorRatio or slowCallRatio, or remove the section";
    issues.push({ path, value: undefined, message });
  }
  if ((slowShare ?? 0) > 0 && fieldOf(circuit, "slowCallDuration") === undefined) {
    const message = "is required with slowCallRatio; write what counts as slow, such as 500ms";
    issues.push({ path: [...path, "slowCallDuration"], value: undefined, message });
  }
  checkOrder(path, circuit, { shorter: "openFor", shorterDefault: "30s", longer: "maxOpenFor" }, issues);
}
