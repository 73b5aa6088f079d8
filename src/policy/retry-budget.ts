/** Retries that may always be under way at once (Envoy: `min_retry_concurrency`). */
const MIN_RETRIES = 3;

/**
 * How many retries of one route may be under way at once in one thread: fewer than the greater of three and a share of its
 * requests under way (Envoy: `retry_budget`). When everything fails, retries then add that share to the load and not a
 * multiple of it. A share of 0 leaves the three.
 */
export class RetryBudget {
  readonly #budgetPpm: number;
  #requests = 0;
  #retries = 0;

  /** `budgetPpm`: 0..1 000 000. */
  constructor(budgetPpm: number) {
    this.#budgetPpm = budgetPpm;
  }

  /** A request of a client came under way. */
  started(): void {
    this.#requests++;
  }

  /** A request that was `started` is over. */
  finished(): void {
    this.#requests = Math.max(0, this.#requests - 1);
  }

  /** Takes a place for a retry; false = none is free. It is held through the wait and the try, until `retryFinished`. */
  tryRetry(): boolean {
    if (this.#retries >= Math.max(MIN_RETRIES, (this.#budgetPpm * this.#requests) / 1_000_000)) return false;
    this.#retries++;
    return true;
  }

  /** A retry that got its place is over: answered, failed or given up. */
  retryFinished(): void {
    this.#retries = Math.max(0, this.#retries - 1);
  }
}
