import { header, bodyOf, type HttpMessage } from "../../test/support/message-reader.ts";
import { consequenceOf } from "./deeds.ts";
import { contentOf, type Ask } from "./request.ts";

/** How a request ended for its client; `cut`: the connection ended inside or before the answer. */
export type Ending =
  | { readonly kind: "answer"; readonly message: HttpMessage }
  | { readonly kind: "cut"; readonly message: HttpMessage | null };

/** Upstreams that each route may lead to, and whether one of them shares connections. */
export interface RouteFacts {
  readonly upstreams: readonly string[];
  readonly isShared: boolean;
}

/** More of them say nothing new. */
const MOST_KEPT = 40;
const MOST_RECENT = 2_000;

/**
 * What every client saw, held against what was meant for its very request. A failure that the script explains is counted
 * apart: one of the request's own deed, or one that the deed before it on the same connection brought with it.
 */
export class Ledger {
  /** Things that must never happen, the first of them. */
  readonly violations: string[] = [];
  violationCount = 0;
  /** Whole answers with the right bytes. */
  whole = 0;
  /** Failures that the request's own deed explains. */
  own = 0;
  /** Failures of good requests that a neighbour on the connection explains. */
  neighbour = 0;
  /** Failures of good requests that nothing explains. */
  unexplained = 0;
  /** The first of these. */
  readonly unexplainedKept: string[] = [];
  /** Requests that were to be answered whole. */
  good = 0;
  /** Route, a blank, status → endings; a cut without any byte counts as 200. */
  readonly statuses = new Map<string, number>();
  readonly #routes: ReadonlyMap<string, RouteFacts>;
  readonly #outstanding = new Map<string, { readonly ask: Ask; arrivals: number }>();
  /** How requests ended that are over, the last of them, by id. */
  readonly #recent = new Map<string, { readonly how: string; mayArrive: boolean }>();
  #nextId = 0;

  constructor(routes: ReadonlyMap<string, RouteFacts>) {
    this.#routes = routes;
  }

  /** A new id: `k` of a request whose client waits for its end, `r` of one whose client does not. */
  newId(prefix: "k" | "r"): string {
    return `${prefix}${(this.#nextId++).toString(36)}x`;
  }

  /** Requests that wait for their end. */
  get outstanding(): number {
    return this.#outstanding.size;
  }

  /** A client sends this request and will wait for its end. */
  sent(ask: Ask): void {
    this.#outstanding.set(ask.id, { ask, arrivals: 0 });
  }

  /** An earlier request took the connection with it: this one was never served. */
  unserved(ask: Ask, why: string): void {
    this.#close(ask, `unserved: ${why}`, false);
  }

  /** An upstream has read the head of a request. */
  arrived(id: string, method: string): void {
    if (!id.startsWith("k")) return;
    const entry = this.#outstanding.get(id);
    if (entry === undefined) {
      if (!isIdempotent(method)) this.#arrivedLate(id, method);
      return;
    }
    entry.arrivals++;
    if (method !== entry.ask.method) this.violation(`${entry.ask.method} ${id} arrived as ${method}`);
    if (entry.arrivals > (isIdempotent(method) ? 2 : 1)) {
      this.violation(`${method} ${id} (${entry.ask.deed}) reached an upstream ${entry.arrivals} times`);
    }
  }

  /** A client's request is over; `past` is what its connection had carried before. */
  ended(ask: Ask, ending: Ending, past: readonly string[]): void {
    const refused = ending.message !== null && header(ending.message, "x-crossfade-error") !== null;
    this.#close(ask, `${ending.kind} ${ending.message?.startLine ?? ""} after ${past.join(", ")}`, refused);
    const status = ending.message === null ? 200 : statusOf(ending.message);
    const key = `${ask.route} ${status}`;
    this.statuses.set(key, (this.statuses.get(key) ?? 0) + 1);
    const { whole } = consequenceOf(ask.deed);
    if (whole === "must") this.good++;
    if (ending.kind === "cut") this.#judgeCut(ask, ending.message, past);
    else if (refused) this.#judgeRefusal(ask, ending.message, past);
    else this.#judgeAnswer(ask, ending.message);
  }

  /** Something that must never happen. */
  violation(what: string): void {
    this.violationCount++;
    if (this.violations.length < MOST_KEPT) this.violations.push(what);
  }

  /**
   * Its bytes may still have been on their way on a connection that the upstream was closing when its client got its 502:
   * once, and never when the client was told anything else.
   */
  #arrivedLate(id: string, method: string): void {
    const past = this.#recent.get(id);
    if (past?.mayArrive === true) past.mayArrive = false;
    else this.violation(`${method} ${id} reached an upstream after its end: ${past?.how ?? "long ago"}`);
  }

  #close(ask: Ask, how: string, wasRefused: boolean): void {
    const arrivals = this.#outstanding.get(ask.id)?.arrivals ?? 0;
    this.#outstanding.delete(ask.id);
    this.#recent.set(ask.id, { how: `${nameOf(ask)} ${how}`, mayArrive: wasRefused && arrivals === 0 });
    if (this.#recent.size > MOST_RECENT) this.#recent.delete(this.#recent.keys().next().value ?? "");
  }

  #judgeAnswer(ask: Ask, message: HttpMessage): void {
    const wrong = this.#wrongIn(ask, message) ?? trailersWrong(ask, message);
    if (wrong !== null) this.violation(`wrong answer to ${nameOf(ask)}: ${wrong}`);
    else if (consequenceOf(ask.deed).whole === "never") this.violation(`${nameOf(ask)} got a whole answer`);
    else if (!bodyOf(message).equals(meantBody(ask))) {
      this.violation(`wrong body to ${nameOf(ask)}: ${differenceOf(bodyOf(message), meantBody(ask))}`);
    } else this.whole++;
  }

  #judgeCut(ask: Ask, message: HttpMessage | null, past: readonly string[]): void {
    const wrong = message === null ? null : this.#wrongIn(ask, message);
    if (wrong !== null) this.violation(`wrong answer to ${nameOf(ask)}, cut: ${wrong}`);
    if (message !== null && !isBeginning(bodyOf(message), meantBody(ask))) {
      this.violation(`wrong body to ${nameOf(ask)}, cut: ${differenceOf(bodyOf(message), meantBody(ask))}`);
    }
    const { cut, whole } = consequenceOf(ask.deed);
    // A reset by the deed behind it on a shared connection destroys the end of an answer that is still on its way.
    const byNeighbour = message !== null && ask.bodyBytes === 0 && this.#routes.get(ask.route)?.isShared === true;
    if (cut) this.own++;
    else if (byNeighbour && whole === "must") this.neighbour++;
    else this.#unexplained(ask, `cut ${message === null ? "without a byte" : message.startLine}`, past);
  }

  #judgeRefusal(ask: Ask, message: HttpMessage, past: readonly string[]): void {
    const code = header(message, "x-crossfade-error") ?? "";
    const { codes, whole } = consequenceOf(ask.deed);
    if (codes.includes(code)) this.own++;
    else if (this.#isNeighbours(ask, code)) {
      if (whole === "must") this.neighbour++;
      else this.own++;
    } else this.#unexplained(ask, `${message.startLine} ${code}`, past);
  }

  /** What a neighbour on the same upstream connection can do to a request that is not its own fault. */
  #isNeighbours(ask: Ask, code: string): boolean {
    // The connection was closed by the upstream just as it was used again, and this may not be sent twice.
    if (code === "upstream_reset" && !isIdempotent(ask.method)) return true;
    // The same, and its body was gone: it cannot be sent twice.
    if (code === "upstream_reset" && ask.bodyBytes > 0) return true;
    // In line behind an answer with bytes behind it, or behind one that stalls.
    const shared = this.#routes.get(ask.route)?.isShared === true && ask.bodyBytes === 0;
    return shared && (code === "bad_answer" || code === "head_timeout");
  }

  #unexplained(ask: Ask, what: string, past: readonly string[]): void {
    this.unexplained++;
    const before = past.length === 0 ? "first on its connection" : `after ${past.join(", ")}`;
    if (this.unexplained <= MOST_KEPT) this.unexplainedKept.push(`${nameOf(ask)}: ${what}; ${before}`);
  }

  #wrongIn(ask: Ask, message: HttpMessage): string | null {
    if (statusOf(message) !== 200) return message.startLine;
    const id = header(message, "x-id");
    if (id !== ask.id) return `it is the answer to ${id}`;
    const upstream = header(message, "x-crossfade-upstream") ?? "";
    return this.#routes.get(ask.route)?.upstreams.includes(upstream) === true ? null : `it is from ${upstream}`;
  }
}

function trailersWrong(ask: Ask, message: HttpMessage): string | null {
  if (ask.deed !== "trailers" || ask.method === "HEAD") return null;
  const [name = "", value = ""] = message.trailers;
  return name.toLowerCase() === "x-trailer-id" && value === ask.id ? null : `trailers ${message.trailers.join(" ")}`;
}

function statusOf(message: HttpMessage): number {
  return Number(message.startLine.slice(9, 12));
}

function meantBody(ask: Ask): Buffer {
  return contentOf(ask.id, ask.method === "HEAD" ? 0 : ask.answerBytes);
}

function isBeginning(part: Buffer, whole: Buffer): boolean {
  return part.equals(whole.subarray(0, part.length));
}

function isIdempotent(method: string): boolean {
  return method !== "POST";
}

function nameOf(ask: Ask): string {
  const form = ask.absoluteForm ? ", absolute form" : "";
  return `${ask.method} /${ask.route}/${ask.id} (${ask.deed}, ${ask.answerBytes} bytes, body ${ask.bodyBytes}${form})`;
}

function differenceOf(got: Buffer, meant: Buffer): string {
  const length = Math.min(got.length, meant.length);
  let at = 0;
  while (at < length && got[at] === meant[at]) at++;
  const sample = JSON.stringify(got.subarray(at, at + 60).toString("latin1"));
  return `${got.length} bytes, ${meant.length} were meant, they differ from ${at} on: ${sample}`;
}
