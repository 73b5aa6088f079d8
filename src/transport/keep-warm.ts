/** What keeping connections open needs of an engine. */
export interface KeepWarmOptions {
  /** Connections to keep open in all, busy ones included; 0 = none are opened ahead. */
  readonly minConnections: number;
  /** Connections that are open or being opened. */
  readonly count: () => number;
  /** Opens one more; its end is told by `opened` or `failed`. */
  readonly open: () => void;
}

const CHECK_MS = 1_000;
const LONGEST_RETRY_CHECKS = 30;

/**
 * Keeps some connections to one endpoint open ahead of need, so that a request after a quiet time does not pay for the
 * handshake. An upstream that closes them gets new ones, one that refuses them is asked less and less often, down to every
 * 30 s.
 */
export class KeepWarm {
  readonly #options: KeepWarmOptions;
  readonly #timer: NodeJS.Timeout | null;
  #failures = 0;
  #checksToSkip = 0;

  constructor(options: KeepWarmOptions) {
    this.#options = options;
    this.#timer = options.minConnections > 0 ? setInterval(() => this.#check(), CHECK_MS).unref() : null;
    if (this.#timer !== null) this.#check();
  }

  opened(): void {
    this.#failures = 0;
  }

  failed(): void {
    this.#failures++;
    this.#checksToSkip = Math.min(2 ** this.#failures, LONGEST_RETRY_CHECKS);
  }

  close(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
  }

  #check(): void {
    if (this.#checksToSkip > 0) {
      this.#checksToSkip--;
      return;
    }
    const { minConnections, count, open } = this.#options;
    for (let missing = minConnections - count(); missing > 0; missing--) open();
  }
}
