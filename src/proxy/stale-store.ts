import { hash } from "node:crypto";
import { lastingFields } from "../model/answer.ts";
import { numberFromDigits } from "../model/decimal.ts";
import type { Chunk, OutgoingAnswer, ResponseHead } from "../model/exchange-types.ts";
import { headerValue } from "../model/headers.ts";
import {
  readStaleRequest,
  staleTerms,
  standingOf,
  isHarmless,
  variantText,
  type StaleRequest,
  type StaleRules,
  type StaleTerms,
} from "../policy/stale-rules.ts";
import { httpDate } from "../transport/http-date.ts";
import { KeptAnswers, type Entry } from "./kept-answers.ts";
import { Capture, type StaleCapture } from "./stale-capture.ts";

/** Settings of a store. */
export interface StaleStoreOptions extends StaleRules {
  /** All that is kept or being kept, overhead included: this thread's part of the step's `maxBytes`. */
  readonly maxBytes: number;
  /** Longest body that is kept. */
  readonly maxEntryBytes: number;
  /** Field that says who served: it is the exchange's own and is not kept. */
  readonly versionHeader: string;
}

/** A kept answer, to be told again. */
export interface StaleAnswer {
  /** Its fields lack ours: the version header, the request id, and that it is a fallback. */
  readonly head: OutgoingAnswer;
  /** Empty for HEAD. */
  readonly body: readonly Chunk[];
  /** Name of the upstream that made it. */
  readonly servedBy: string;
  /** Time since it arrived or was last confirmed. */
  readonly ageMs: number;
}

/**
 * The last good answers of one route in one thread, to be told again when their upstream fails: bounded by bytes, the
 * least recently used go first. The rules are in policy/stale-rules.ts.
 */
export class StaleStore {
  readonly #options: StaleStoreOptions;
  readonly #kept: KeptAnswers;
  /** Captures under way by key of their slots: one at a time is enough. */
  readonly #underway = new Map<string, StaleCapture>();

  constructor(options: StaleStoreOptions) {
    this.#options = options;
    this.#kept = new KeptAnswers(options.maxBytes);
  }

  /** Answers that are kept. */
  get size(): number {
    return this.#kept.size;
  }

  /** Bytes of what is kept and being kept, overhead included. */
  get bytes(): number {
    return this.#kept.bytes;
  }

  /** The last good answer to a GET or HEAD request; null when there is none that may be told. */
  find(request: StaleRequest, nowMs: number): StaleAnswer | null {
    const reading = readStaleRequest(request, this.#options.shared);
    if (reading === null || !reading.mayTell) return null;
    const entry = this.#entryFor(digest(reading.keyText), request);
    if (entry === null) return null;
    const ageMs = nowMs - entry.sinceMs;
    if (ageMs > entry.keepMs) {
      this.#kept.remove(entry);
      return null;
    }
    this.#kept.touch(entry);
    const age = `age: ${Math.floor((entry.cameAgeMs + ageMs) / 1_000)}\r\n`;
    const head = { ...entry.head, fields: entry.head.fields + age };
    const body = request.outgoing.method === "HEAD" || entry.body.length === 0 ? [] : [entry.body];
    return { head, body, servedBy: entry.servedBy, ageMs };
  }

  /**
   * To be called with every answer of an upstream as it is committed, whatever its method and status: some make what is
   * kept obsolete. Gives a capture when the answer should be kept; null when it may not be, and when the one that is kept
   * is younger than a second or a 60th of its time, whichever is less: a busy request costs one digest.
   */
  capture(request: StaleRequest, head: ResponseHead, servedBy: string, nowMs: number): StaleCapture | null {
    const standing = standingOf(request.outgoing.method, head.status);
    if (standing === "silent") return null;
    const reading = readStaleRequest(request, this.#options.shared);
    if (reading === null) return null;
    const key = digest(reading.keyText);
    switch (standing) {
      case "otherwise":
        this.#underway.get(key)?.drop();
        this.#kept.removeSlot(key);
        return null;
      case "confirmed":
        this.#confirm(this.#entryFor(key, request), head, nowMs);
        return null;
      case "good":
        if (!reading.mayKeep || this.#underway.has(key)) return null;
        if (isFresh(this.#entryFor(key, request), nowMs)) return null;
        return this.#begin(key, request, head, { servedBy, nowMs });
    }
  }

  #begin(key: string, request: StaleRequest, head: ResponseHead, made: Made): StaleCapture | null {
    const { maxEntryBytes, versionHeader } = this.#options;
    const terms = staleTerms(head, this.#options);
    if (terms === null || numberFromDigits(headerValue(head.headers, "content-length") ?? "") > maxEntryBytes)
      return null;
    const { fields, hasDate } = lastingFields(head, versionHeader);
    // An answer that is told later needs the date on which it came (RFC 9110 §6.6.1).
    const dated = hasDate ? fields : `${fields}date: ${httpDate()}\r\n`;
    const bytes = ENTRY_BYTES + dated.length;
    if (!this.#kept.reserve(bytes)) return null;
    const capture = new Capture({
      maxBytes: maxEntryBytes,
      reserve: (more) => this.#kept.reserve(more),
      onOver: (reserved) => {
        this.#underway.delete(key);
        this.#kept.free(bytes + reserved);
      },
      keep: (body) => this.#keep(key, request, { head, fields: dated, terms, made, body }),
    });
    this.#underway.set(key, capture);
    return capture;
  }

  #keep(key: string, request: StaleRequest, { head, fields, terms, made, body }: Kept): void {
    const lengthField = head.status === 204 ? "" : `content-length: ${body.length}\r\n`;
    this.#kept.put({
      slot: this.#kept.slotFor(key, terms.vary.map(ownText)),
      variant: ownText(variantOf(terms.vary, request)),
      head: {
        status: head.status,
        reason: ownText(head.reason),
        fields: ownText(fields + lengthField),
        hasLength: true,
        hasDate: true,
      },
      body,
      servedBy: made.servedBy,
      etag: terms.etag === null ? null : ownText(terms.etag),
      keepMs: terms.keepMs,
      cameAgeMs: terms.ageMs,
      sinceMs: made.nowMs,
      bytes: ENTRY_BYTES + fields.length + body.length,
    });
  }

  #entryFor(key: string, request: StaleRequest): Entry | null {
    const slot = this.#kept.slot(key);
    if (slot === null) return null;
    const variant = variantOf(slot.vary, request);
    return slot.variants.find((entry) => entry.variant === variant) ?? null;
  }

  /** The upstream says that a kept answer still holds (RFC 9111 §4.3.4): its time begins anew. */
  #confirm(entry: Entry | null, head: ResponseHead, nowMs: number): void {
    const terms = staleTerms(head, this.#options);
    if (entry === null || terms === null || terms.etag === null || terms.etag !== entry.etag) return;
    entry.sinceMs = nowMs;
    entry.keepMs = terms.keepMs;
    entry.cameAgeMs = terms.ageMs;
    this.#kept.touch(entry);
  }
}

/** Counted for each answer besides its text: maps, digests, objects. */
const ENTRY_BYTES = 1_024;
const LONGEST_REFRESH_MS = 1_000;

/** Who made an answer, and when its head came. */
interface Made {
  readonly servedBy: string;
  readonly nowMs: number;
}

interface Kept {
  readonly head: ResponseHead;
  readonly fields: string;
  readonly terms: StaleTerms;
  readonly made: Made;
  readonly body: Chunk;
}

function isFresh(entry: Entry | null, nowMs: number): boolean {
  return entry !== null && nowMs - entry.sinceMs < Math.min(LONGEST_REFRESH_MS, entry.keepMs / 60);
}

/** Names one of the answers to a request. */
function variantOf(vary: readonly string[], request: StaleRequest): string {
  if (vary.length === 0) return "";
  const text = variantText(vary, request);
  return text.length <= PLAIN_LENGTH && isHarmless(vary) ? text : digest(text);
}

/** Short texts without secrets need no digest. */
const PLAIN_LENGTH = 64;

/** A copy: a piece of a head's text would keep all of that alive, and what came behind it. */
function ownText(text: string): string {
  return Buffer.from(text, "latin1").toString("latin1");
}

/** Stands for a text that is not to be kept, such as credentials. */
function digest(text: string): string {
  return hash("sha256", text, "base64");
}
