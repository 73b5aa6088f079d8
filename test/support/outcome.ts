import { isDeepStrictEqual } from "node:util";
import { FAILURES } from "../../src/base/failure.ts";
import { bodyOf, valuesOf, type HttpMessage } from "./message-reader.ts";
import type { SeenRequest } from "./raw-upstream.ts";

/** A request as it reached the upstream, without what differs from one request to the next. */
export interface Arrived {
  readonly method: string;
  readonly target: string;
  readonly headers: readonly string[];
  readonly framing: HttpMessage["framing"];
  readonly body: string;
  readonly trailers: readonly string[];
  readonly complete: boolean;
}

/** An answer as it reached the client, without what differs from one answer to the next. */
export interface Returned {
  readonly status: number;
  readonly reason: string;
  readonly headers: readonly string[];
  readonly closes: boolean;
  readonly framing: HttpMessage["framing"];
  readonly body: string;
  readonly trailers: readonly string[];
  readonly complete: boolean;
  /** Interim answers before it, their fields by name with repeats joined: an engine may join them. */
  readonly interim: readonly string[];
  /** The code of an answer that the proxy made itself; null = the upstream's. */
  readonly failure: string | null;
}

/** All that came of one case in one sidecar. */
export interface Outcome {
  readonly arrived: readonly Arrived[];
  readonly returned: readonly Returned[];
  /** The sidecar has ended the client's connection. */
  readonly ended: boolean;
  /** What a strict reader could not make sense of, on either side; null = nothing. */
  readonly malformed: string | null;
}

/** A request for comparison; `sent` is what the client wrote. */
export function arrivedFrom(request: SeenRequest, sent: string): Arrived {
  const { message, method, target } = request;
  const headers = pairsOf(message.rawHeaders)
    .filter(([name]) => !FRAMING.has(name.toLowerCase()))
    .map(([name, value]): [string, string] => [name, withoutPlace(name.toLowerCase(), value, sent)]);
  const parts = partsOf(message);
  // Trailers that were not announced may be dropped, and whether they are depends on how the body came.
  const trailers = /^trailer:/im.test(sent) ? parts.trailers : [];
  const empty = parts.complete && parts.body === "" && trailers.length === 0;
  // There are three ways to say that a body is empty.
  if (empty) return { ...parts, method, target, trailers, framing: "none", headers: withoutZero(headers).flat() };
  return { ...parts, method, target, trailers, headers: headers.flat() };
}

/** An answer for comparison, with the interim ones before it; `sent` is what client and upstream wrote. */
export function returnedFrom(message: HttpMessage, interim: readonly HttpMessage[], sent: string): Returned {
  const connection = valuesOf(message.rawHeaders, "connection").join().toLowerCase();
  const failure = valuesOf(message.rawHeaders, "x-crossfade-error")[0] ?? null;
  const headers = pairsOf(message.rawHeaders)
    .filter(([name]) => !FRAMING.has(name.toLowerCase()) && name.toLowerCase() !== "date")
    .map(([name, value]) => [name, name.toLowerCase() === "x-request-id" ? withoutChance(value, sent) : value]);
  const parts = partsOf(message);
  return {
    ...parts,
    // The local reply's body names the ids of its request.
    body: failure === null ? parts.body : withoutChance(parts.body, sent),
    status: statusOf(message),
    reason: message.startLine.slice(13),
    headers: headers.flat(),
    closes: connection === "close",
    interim: interim.map(interimText),
    failure,
  };
}

/** True for a 1xx that a final answer follows. */
export function isInterim(message: HttpMessage): boolean {
  return statusOf(message) < 200 && statusOf(message) !== 101;
}

/**
 * In what two outcomes differ, in a word or two; null when they are the same in the sense of `tellTheSame`. `mayRefuse`:
 * the other one may take an answer of the upstream for broken that the first one understands, never the other way round.
 */
export function differenceOf(one: Outcome, other: Outcome, mayRefuse = false): string | null {
  if (one.malformed !== null || other.malformed !== null) return "something malformed";
  const [whole, otherWhole] = [one, other].map(({ arrived }) => arrived.filter(({ complete }) => complete));
  if (!isDeepStrictEqual(whole, otherWhole)) return "requests at the upstream";
  if (!cutAlike(one, other)) return "an unfinished request at the upstream";
  const count = Math.max(one.returned.length, other.returned.length);
  for (let i = 0; i < count; i++) {
    const [first, second] = [one.returned[i] ?? null, other.returned[i] ?? null];
    if (areEqual(first, second)) continue;
    if (mayRefuse && second !== null && isUpstreamFailure(second)) return null;
    const missing = (first === null && !one.ended) || (second === null && !other.ended);
    // Behind failures of two kinds, one connection may go on and the other not.
    return !missing && tellTheSame(first, second) ? null : `answer ${i + 1}`;
  }
  return one.ended === other.ended ? null : "the end of the connection";
}

/**
 * True when two answers tell their client the same; null = the connection ended without one.
 *
 * Equal answers do. So do two failures of the upstream that the client can see, because timing decides which of them it
 * is: whether the upstream's reset is read before or behind its head, and whether our own head has left when the body
 * turns out to be broken. Seen by the client, a failure of the upstream is a local reply that blames it (502, 503, 504),
 * an answer that ends too early (of two such, heads agree and one body begins the other), or a connection that ends
 * without an answer. A refusal that blames the client must be the same one: bytes alone decide it, time does not.
 */
export function tellTheSame(one: Returned | null, other: Returned | null): boolean {
  if (areEqual(one, other)) return true;
  if (!isUpstreamFailure(one) || !isUpstreamFailure(other)) return false;
  if (one === null || other === null || one.complete || other.complete) return true;
  return areEqual({ ...one, body: "" }, { ...other, body: "" }) && oneBeginsTheOther(one.body, other.body);
}

/** Of a reason phrase that comes in several packets, undici gives the last piece. */
function areEqual(one: Returned | null, other: Returned | null): boolean {
  if (one === null || other === null) return one === other;
  const reasonsAgree = one.reason.endsWith(other.reason) || other.reason.endsWith(one.reason);
  return reasonsAgree && isDeepStrictEqual({ ...one, reason: "" }, { ...other, reason: "" });
}

function isUpstreamFailure(answer: Returned | null): boolean {
  if (answer === null || !answer.complete) return true;
  return Object.values(FAILURES).some((row) => row.code === answer.failure && row.fault !== "client");
}

/** A request that its client broke off may have begun upstream or not, by the time of the break; not two different ones. */
function cutAlike(one: Outcome, other: Outcome): boolean {
  const [cut, otherCut] = [one, other].map(({ arrived }) => arrived.filter(({ complete }) => !complete));
  if (cut?.length !== 1 || otherCut?.length !== 1) return (cut?.length ?? 0) <= 1 && (otherCut?.length ?? 0) <= 1;
  const [first, second] = [cut[0], otherCut[0]] as [Arrived, Arrived];
  return (
    isDeepStrictEqual({ ...first, body: "" }, { ...second, body: "" }) && oneBeginsTheOther(first.body, second.body)
  );
}

function oneBeginsTheOther(one: string, other: string): boolean {
  return one.startsWith(other) || other.startsWith(one);
}

/** Fields whose place among the others, or presence, is the engine's own business; `framing` and `closes` stand for them. */
const FRAMING: ReadonlySet<string> = new Set(["transfer-encoding", "connection", "keep-alive"]);

function partsOf(message: HttpMessage): Pick<Arrived, "framing" | "body" | "trailers" | "complete"> {
  const { complete, framing, trailers } = message;
  return { framing, body: bodyOf(message).toString("latin1"), trailers, complete };
}

function withoutZero(headers: readonly [string, string][]): [string, string][] {
  return headers.filter(([name]) => name.toLowerCase() !== "content-length");
}

/** Which of two sidecars it was shows in ports, and every request has ids of its own. */
function withoutPlace(lowerName: string, value: string, sent: string): string {
  switch (lowerName) {
    case "host":
      // Whoever speaks HTTP/1.0 may leave it out; then the upstream's own address is put there.
      return sent.includes(value) ? value : value.replace(/^127\.0\.0\.1:\d+$/, "*");
    case "x-forwarded-port":
      return sent.includes(value) ? value : "*";
    case "x-request-id":
    case "traceparent":
      return withoutChance(value, sent);
    default:
      return value;
  }
}

/** Long runs of hex digits that nobody sent were drawn at random. */
function withoutChance(value: string, sent: string): string {
  return value.replaceAll(/[0-9a-f]{16,}/g, (digits) => (sent.includes(digits) ? digits : "*"));
}

function interimText(message: HttpMessage): string {
  const names = new Set(pairsOf(message.rawHeaders).map(([name]) => name.toLowerCase()));
  const fields = [...names].map(
    (name) => `${name}: ${valuesOf(message.rawHeaders, name).join().replaceAll(", ", ",")}`,
  );
  return [statusOf(message), ...fields.sort()].join("\n");
}

function statusOf(message: HttpMessage): number {
  return Number(message.startLine.slice(9, 12));
}

function pairsOf(flat: readonly string[]): [string, string][] {
  const pairs: [string, string][] = [];
  for (let i = 0; i < flat.length; i += 2) pairs.push([flat[i] as string, flat[i + 1] as string]);
  return pairs;
}
