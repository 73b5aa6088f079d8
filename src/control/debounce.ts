/**
 * Turns a burst of triggers into one call: it comes when there was no trigger for `quietMs`, and at the latest
 * `maxWaitMs` after the first.
 */
export class Debounce {
  readonly #quietMs: number;
  readonly #maxWaitMs: number;
  readonly #call: () => void;
  #quiet: NodeJS.Timeout | null = null;
  #latest: NodeJS.Timeout | null = null;

  constructor(quietMs: number, maxWaitMs: number, call: () => void) {
    this.#quietMs = quietMs;
    this.#maxWaitMs = maxWaitMs;
    this.#call = call;
  }

  /** Something happened. */
  trigger(): void {
    if (this.#quiet !== null) clearTimeout(this.#quiet);
    this.#quiet = setTimeout(() => this.#fire(), this.#quietMs);
    this.#latest ??= setTimeout(() => this.#fire(), this.#maxWaitMs);
  }

  /** Forgets triggers that have not led to a call yet. */
  cancel(): void {
    if (this.#quiet !== null) clearTimeout(this.#quiet);
    if (this.#latest !== null) clearTimeout(this.#latest);
    this.#quiet = null;
    this.#latest = null;
  }

  #fire(): void {
    this.cancel();
    this.#call();
  }
}
