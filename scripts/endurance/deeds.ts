import type { Dice } from "./dice.ts";

/** What an upstream does with one request; the request's target says it. */
export type Deed = keyof typeof DEEDS;

/** What a client may see of a deed. */
interface Consequence {
  /** How often, in parts of the sum of all. */
  readonly weight: number;
  /** Whether the client gets a whole 200 with exactly the body that was meant. */
  readonly whole: "must" | "may" | "never";
  /** Codes of the local replies that it may get instead (docs/errors.md). */
  readonly codes: readonly string[];
  /** The answer may be cut off: a right beginning, then the end of the connection. */
  readonly cut: boolean;
}

const good = (weight: number): Consequence => ({ weight, whole: "must", codes: [], cut: false });
const refused = (weight: number, ...codes: string[]): Consequence => ({ weight, whole: "never", codes, cut: false });
const cut = (weight: number, ...codes: string[]): Consequence => ({ weight, whole: "never", codes, cut: true });

/** Everything that the upstreams do, and what it must look like from outside. */
export const DEEDS = {
  /** A whole answer with its length. */
  plain: good(560),
  chunked: good(120),
  trailers: good(40),
  "until-close": good(20),
  /** 103 before the answer. */
  interim: good(40),
  /** A few pieces, 20 ms apart. */
  drip: good(30),
  "close-announced": good(20),
  /** Answers as soon as the head is there, and goes on reading. */
  early: good(30),
  /** FIN right behind an answer that had promised to stay. */
  "close-behind": good(10),
  /** FIN a moment later, when the connection may be in use again. */
  "close-later": good(10),
  /** RST a moment later. */
  "reset-later": good(5),
  /** Bytes behind the answer that nobody asked for. */
  "extra-bytes": good(8),
  /** More body than the length says. */
  "too-long": good(8),
  "stall-before": refused(6, "head_timeout"),
  "stall-inside": cut(6),
  "reset-before": refused(6, "upstream_reset"),
  "reset-inside": cut(6, "upstream_reset", "truncated_answer"),
  "close-before": refused(6, "upstream_reset"),
  "close-inside-head": refused(4, "upstream_reset", "bad_answer"),
  /** Less body than the length says, then FIN. */
  "too-short": cut(8),
  /** A chunked body without its last chunk, then FIN. */
  "chunks-unfinished": cut(6),
  /** A chunk size that is no number. */
  "chunks-broken": cut(6, "bad_answer"),
  "bad-head": refused(8, "bad_answer"),
  "head-too-large": refused(2, "answer_too_large"),
  /** An answer before the upload was read, and RST. */
  "early-reset": { weight: 6, whole: "may", codes: ["upstream_reset", "truncated_answer"], cut: true },
} as const satisfies Record<string, Consequence>;

const NAMES = Object.keys(DEEDS) as Deed[];
const TOTAL = NAMES.reduce((sum, name) => sum + DEEDS[name].weight, 0);

/** What is to be seen of a deed. */
export function consequenceOf(deed: Deed): Consequence {
  return DEEDS[deed];
}

/** Throws for a deed. */
export function pickDeed(dice: Dice): Deed {
  let left = dice.below(TOTAL);
  for (const name of NAMES) {
    left -= DEEDS[name].weight;
    if (left < 0) return name;
  }
  return "plain";
}

/** Heads that no proxy may pass on. */
export const BAD_HEADS: readonly string[] = [
  "HTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
  "HTTP/1.1 2x0 OK\r\nContent-Length: 2\r\n\r\nok",
  "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
  "HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nok",
  "HTTP/1.1 200 OK\r\nContent Length : 2\r\n\r\nok",
  "HTTP/1.1 101 Switching Protocols\r\nUpgrade: other\r\nConnection: upgrade\r\n\r\n",
  "\u0000\u0001\u0002\u0003\r\n\r\n",
];
