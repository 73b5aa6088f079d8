import { createHash, timingSafeEqual } from "node:crypto";
import { readFile } from "node:fs/promises";
import type { Clock } from "../base/clock.ts";
import type { StateEventSink } from "../base/state-event.ts";

/** Fewest characters of a token. */
export const MIN_TOKEN_LENGTH = 16;

/** How long a token that was read counts before its file is looked at again, in milliseconds. */
const LOOK_AGAIN_MS = 1000;

/** The bearer token of the control API, as its file says; a changed file counts within a second. */
export class BearerToken {
  readonly #path: string;
  readonly #clock: Clock;
  readonly #onEvent: StateEventSink;
  #digest: Buffer;
  #readAtMs: number;
  #failing = false;

  /** Use `openBearerToken`. */
  constructor(path: string, token: string, clock: Clock, onEvent: StateEventSink) {
    this.#path = path;
    this.#clock = clock;
    this.#onEvent = onEvent;
    this.#digest = digestOf(token);
    this.#readAtMs = clock.nowMs();
  }

  /** Compares in constant time: digests of equal length, whatever the caller sent. */
  accepts(presented: string): boolean {
    return timingSafeEqual(digestOf(presented), this.#digest);
  }

  /** Reads the file again when the last look is a second old; a file that became unusable keeps the old token. */
  async refresh(): Promise<void> {
    const nowMs = this.#clock.nowMs();
    if (nowMs - this.#readAtMs < LOOK_AGAIN_MS) return;
    this.#readAtMs = nowMs;
    try {
      this.#replace(await readToken(this.#path));
    } catch (error) {
      this.#reportOnce(error as Error);
    }
  }

  #replace(token: string): void {
    this.#failing = false;
    const digest = digestOf(token);
    if (digest.equals(this.#digest)) return;
    this.#digest = digest;
    this.#onEvent({
      level: "info",
      name: "admin-token-changed",
      message: "admin token changed",
      fields: { tokenFile: this.#path },
    });
  }

  #reportOnce(error: Error): void {
    if (this.#failing) return;
    this.#failing = true;
    this.#onEvent({
      level: "warn",
      name: "admin-token-unusable",
      message: "the token file became unusable: the token read before was kept",
      fields: { tokenFile: this.#path, error: error.message },
    });
  }
}

/** Reads the token once; rejects with an Error that says what is wrong with the file. */
export async function openBearerToken(path: string, clock: Clock, onEvent: StateEventSink): Promise<BearerToken> {
  return new BearerToken(path, await readToken(path), clock, onEvent);
}

async function readToken(path: string): Promise<string> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (cause) {
    throw new Error(`admin.tokenFile: "${path}" cannot be read: ${(cause as Error).message}`, { cause });
  }
  const token = text.trim();
  if (token.length < MIN_TOKEN_LENGTH) {
    throw new Error(
      `admin.tokenFile: "${path}" holds ${token.length} characters; a token has at least ${MIN_TOKEN_LENGTH}`,
    );
  }
  if (!/^[\u0021-\u007e]+$/.test(token)) {
    throw new Error(`admin.tokenFile: "${path}" holds more than one line, a blank or a character outside of ASCII`);
  }
  return token;
}

function digestOf(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
