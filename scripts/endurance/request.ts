import { pickDeed, type Deed } from "./deeds.ts";
import type { Dice } from "./dice.ts";

/** A request of a client that wants its answer, with everything that its target says to the upstream. */
export interface Ask {
  /** Unique in the run; target, header and both bodies carry it. */
  readonly id: string;
  readonly route: string;
  readonly method: "GET" | "POST" | "HEAD" | "PUT" | "DELETE";
  readonly deed: Deed;
  /** Bytes of the answer's body. */
  readonly answerBytes: number;
  /** Bytes of the request's body; 0 = it has none. */
  readonly bodyBytes: number;
  readonly bodyFraming: "length" | "chunked";
  /** Written in a form that only the library engine takes. */
  readonly absoluteForm: boolean;
}

/** What an upstream reads from a target. */
export interface Order {
  readonly id: string;
  readonly deed: Deed;
  readonly answerBytes: number;
  readonly bodyBytes: number;
}

const SMALL_BYTES = 2_048;
const METHODS = ["GET", "GET", "GET", "GET", "GET", "POST", "POST", "PUT", "HEAD", "DELETE"] as const;

/** Throws for the next request on a route. */
export function pickAsk(dice: Dice, id: string, route: string): Ask {
  const method = dice.pick(METHODS);
  const upload = method === "POST" || method === "PUT";
  const deed = method === "HEAD" ? "plain" : pickDeed(dice);
  // What comes behind a large answer could arrive after it, or destroy its end: nobody could tell what it was meant for.
  const small = ["extra-bytes", "too-long", "close-later", "reset-later"].includes(deed);
  return {
    id,
    route,
    method,
    deed,
    answerBytes: small ? dice.between(1, SMALL_BYTES) : pickBytes(dice, 1 << 20),
    bodyBytes: upload ? Math.max(1, pickBytes(dice, 1 << 18)) : 0,
    bodyFraming: dice.chance(0.5) ? "length" : "chunked",
    absoluteForm: dice.chance(0.03),
  };
}

/** The text of a request up to its body. */
export function headText(ask: Ask): string {
  const path = `/${ask.route}/${ask.id}?do=${ask.deed}&n=${ask.answerBytes}&b=${ask.bodyBytes}`;
  const target = ask.absoluteForm ? `http://a.test${path}` : path;
  const lines = [`${ask.method} ${target} HTTP/1.1`, "Host: a.test", `X-Id: ${ask.id}`];
  if (ask.bodyBytes > 0) {
    lines.push(ask.bodyFraming === "length" ? `Content-Length: ${ask.bodyBytes}` : "Transfer-Encoding: chunked");
  }
  if (ask.deed === "trailers") lines.push("TE: trailers");
  return `${lines.join("\r\n")}\r\n\r\n`;
}

/** The body of a request as it goes over the wire. */
export function bodyBytesOf(ask: Ask): Buffer {
  const content = contentOf(ask.id, ask.bodyBytes);
  if (ask.bodyFraming === "length" || ask.bodyBytes === 0) return content;
  const half = Math.ceil(content.length / 2);
  return Buffer.concat([chunk(content.subarray(0, half)), chunk(content.subarray(half)), LAST_CHUNK]);
}

/** What a target asks for; null when it is none of ours. */
export function orderFrom(target: string): Order | null {
  const match = /^(?:http:\/\/a\.test)?\/[\w-]+\/(\w+)\?do=([\w-]+)&n=(\d+)&b=(\d+)$/.exec(target);
  if (match === null) return null;
  const [, id = "", deed, answerBytes, bodyBytes] = match;
  return { id, deed: deed as Deed, answerBytes: Number(answerBytes), bodyBytes: Number(bodyBytes) };
}

/** Bytes that belong to one request and to no other. */
export function contentOf(id: string, bytes: number): Buffer {
  return Buffer.alloc(bytes, `${id}.`, "latin1");
}

/** One chunk; an empty one is none. */
export function chunk(content: Buffer): Buffer {
  if (content.length === 0) return content;
  return Buffer.concat([Buffer.from(`${content.length.toString(16)}\r\n`), content, Buffer.from("\r\n")]);
}

const LAST_CHUNK = Buffer.from("0\r\n\r\n");

function pickBytes(dice: Dice, largest: number): number {
  const throwOf100 = dice.below(100);
  if (throwOf100 < 75) return dice.below(SMALL_BYTES);
  if (throwOf100 < 98) return dice.between(SMALL_BYTES, 1 << 16);
  return dice.between(1 << 16, largest);
}
