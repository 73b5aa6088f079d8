/** Time by parameter: pure floors take one of these instead of reading a clock. */
export interface Clock {
  /** Monotonic milliseconds with a fraction; only differences mean anything. */
  nowMs(): number;
  /** Milliseconds since the Unix epoch, for records that people read. */
  wallMs(): number;
}

/** A source of chance: uniform in [0, 1). */
export type Random = () => number;
