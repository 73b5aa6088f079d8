import type { CircuitBreakerSpec } from "../../src/model/snapshot.ts";
import { openTimeMs } from "../../src/policy/circuit.ts";
import type { CallOutcome } from "../../src/policy/circuit-cell.ts";

/** What the model gave out for an admitted call. */
export interface ModelTicket {
  /** The state it was admitted in. */
  readonly era: object;
  readonly isProbe: boolean;
}

type Counted = { readonly atMs: number; readonly requests: number; readonly failures: number; readonly slow: number };

/** A state with all it remembers; each has an identity of its own, where the real one has a cycle. */
type Era =
  | {
      readonly kind: "closed";
      readonly sinceMs: number;
      recovering: boolean;
      streak: number;
      readonly calls: Counted[];
    }
  | { readonly kind: "open"; readonly sinceMs: number; readonly level: number }
  | { readonly kind: "half-open"; readonly sinceMs: number; readonly level: number; probes: number; successes: number };

/**
 * A circuit as one would write it for one thread with unlimited memory: a list of calls instead of buckets, objects instead
 * of packed words. Times are plain numbers that never wrap.
 */
export class CircuitModel {
  readonly #rules: CircuitBreakerSpec;
  readonly #seed: string;
  #era: Era;
  /** States so far; what the dice are thrown with. */
  #cycle: number;
  readonly transitions = { open: 0, halfOpen: 0, closed: 0 };

  constructor(rules: CircuitBreakerSpec, seed: string, cycle: number, nowMs: number) {
    this.#rules = rules;
    this.#seed = seed;
    this.#cycle = cycle;
    this.#era = closedEra(nowMs, false);
  }

  admit(nowMs: number): ModelTicket | null {
    if (!this.mayAdmit(nowMs)) return null;
    if (this.#era.kind === "half-open") this.#era.probes++;
    return { era: this.#era, isProbe: this.#era.kind === "half-open" };
  }

  mayAdmit(nowMs: number): boolean {
    this.#openTimeOver(nowMs);
    if (this.#era.kind !== "half-open") return this.#era.kind === "closed";
    const { halfOpenRequests: atOnce, halfOpenSuccesses } = this.#rules;
    const { probes, successes } = this.#era;
    return probes < atOnce && probes + successes < Math.max(atOnce, halfOpenSuccesses);
  }

  report(ticket: ModelTicket, outcome: CallOutcome, slow: boolean, nowMs: number): void {
    const era = this.#era;
    if (ticket.era !== era) return;
    const isSlow = slow && this.#rules.slowCallPpm > 0;
    if (era.kind === "half-open") this.#reportProbe(era, outcome, isSlow, nowMs);
    if (era.kind !== "closed" || outcome === "cancelled") return;
    const isFailed = outcome !== "success";
    era.calls.push({ atMs: nowMs, requests: 1, failures: Number(isFailed), slow: Number(isSlow) });
    if (outcome === "success") era.streak = 0;
    if (outcome === "failure") era.streak++;
    const isStreak = outcome === "failure" && this.#isStreakMet(era.streak);
    if (isStreak || ((isFailed || isSlow) && this.#isShareMet(nowMs))) this.#open(nowMs, 0);
  }

  failLate(ticket: ModelTicket, nowMs: number): void {
    const era = this.#era;
    if (ticket.era !== era) return;
    if (era.kind === "half-open") this.#open(nowMs, era.level + 1);
    if (era.kind !== "closed") return;
    era.calls.push({ atMs: nowMs, requests: 0, failures: 1, slow: 0 });
    era.streak++;
    if (this.#isStreakMet(era.streak) || this.#isShareMet(nowMs)) this.#open(nowMs, 0);
  }

  tick(nowMs: number): void {
    const era = this.#era;
    this.#openTimeOver(nowMs);
    this.backShare(nowMs);
    if (era.kind !== "half-open" || this.mayAdmit(nowMs)) return;
    if (nowMs - era.sinceMs < Math.max(30_000, this.#rules.openMs)) return;
    this.#begin({ ...era, sinceMs: nowMs, probes: 0 });
  }

  backShare(nowMs: number): number {
    if (this.#era.kind !== "closed" || !this.#era.recovering) return 1;
    const elapsedMs = nowMs - this.#era.sinceMs;
    if (elapsedMs < this.#rules.slowStartMs) return Math.max(0.05, elapsedMs / this.#rules.slowStartMs);
    this.#era.recovering = false;
    return 1;
  }

  reset(nowMs: number): void {
    if (this.#era.kind !== "closed") this.transitions.closed++;
    this.#begin(closedEra(nowMs, false));
  }

  trip(nowMs: number): void {
    this.#open(nowMs, this.#era.kind === "closed" ? 0 : this.#era.level);
  }

  /** As `Circuit.reading`. */
  reading(nowMs: number): object {
    const era = this.#era;
    const plain = { kind: era.kind, sinceMs: nowMs - era.sinceMs, retryInMs: null, level: 0, probes: 0, successes: 0 };
    if (era.kind === "closed") return plain;
    if (era.kind === "half-open") {
      return { ...plain, level: era.level, probes: era.probes, successes: era.successes };
    }
    const leftMs = Math.max(0, this.#openMs(era.level) - plain.sinceMs);
    return { ...plain, level: era.level, retryInMs: this.#rules.autoRecover ? leftMs : null };
  }

  /** As `windowTotals`. */
  totals(nowMs: number): { readonly requests: number; readonly failures: number; readonly slow: number } {
    const totals = { requests: 0, failures: 0, slow: 0 };
    if (this.#era.kind !== "closed") return totals;
    const { sinceMs, calls } = this.#era;
    const bucketMs = Math.ceil(this.#rules.windowMs / 10);
    const bucketOf = (atMs: number): number => Math.floor((atMs - sinceMs) / bucketMs);
    for (const call of calls.filter(({ atMs }) => bucketOf(atMs) > bucketOf(nowMs) - 10)) {
      totals.requests += call.requests;
      totals.failures += call.failures;
      totals.slow += call.slow;
    }
    return { ...totals, failures: Math.min(totals.failures, totals.requests) };
  }

  #reportProbe(era: Era & { kind: "half-open" }, outcome: CallOutcome, isSlow: boolean, nowMs: number): void {
    era.probes--;
    if (outcome === "cancelled") return;
    if (outcome !== "success" || isSlow) {
      this.#open(nowMs, era.level + 1);
      return;
    }
    era.successes++;
    if (era.successes < this.#rules.halfOpenSuccesses) return;
    this.transitions.closed++;
    this.#begin(closedEra(nowMs, this.#rules.slowStartMs > 0));
  }

  #openTimeOver(nowMs: number): void {
    const era = this.#era;
    if (era.kind !== "open" || !this.#rules.autoRecover || nowMs - era.sinceMs < this.#openMs(era.level)) return;
    this.transitions.halfOpen++;
    this.#begin({ kind: "half-open", sinceMs: nowMs, level: era.level, probes: 0, successes: 0 });
  }

  #isStreakMet(streak: number): boolean {
    return this.#rules.consecutiveFailures > 0 && streak >= this.#rules.consecutiveFailures;
  }

  #isShareMet(nowMs: number): boolean {
    const { errorPpm, slowCallPpm, minRequests } = this.#rules;
    const { requests, failures, slow } = this.totals(nowMs);
    if (requests < minRequests) return false;
    return (
      (errorPpm > 0 && failures / requests >= errorPpm / 1e6) ||
      (slowCallPpm > 0 && slow / requests >= slowCallPpm / 1e6)
    );
  }

  #openMs(level: number): number {
    return openTimeMs(this.#rules, this.#seed, this.#cycle % 1_024, level);
  }

  #open(nowMs: number, level: number): void {
    if (this.#era.kind !== "open") this.transitions.open++;
    this.#begin({ kind: "open", sinceMs: nowMs, level: Math.min(31, level) });
  }

  #begin(era: Era): void {
    this.#era = era;
    this.#cycle++;
  }
}

function closedEra(sinceMs: number, recovering: boolean): Era {
  return { kind: "closed", sinceMs, recovering, streak: 0, calls: [] };
}
