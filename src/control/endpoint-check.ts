import type { Clock, Random } from "../base/clock.ts";
import type { StateEventSink } from "../base/state-event.ts";
import {
  failed,
  nextHealth,
  PASS,
  probeWaitMs,
  unknown,
  type HealthState,
  type ProbeResult,
} from "../policy/health.ts";
import type { EndpointStatus } from "./endpoint-status.ts";
import { eventOfHealth, unimplementedEvent } from "./health-events.ts";
import type { HealthRecord } from "./health-record.ts";
import type { OpenProbe, Probe, ProbeTarget } from "./probe.ts";

/** Calls back once after a time, and never keeps the process alive; gives what calls it off. */
export type StartTimer = (delayMs: number, callback: () => void) => () => void;

/** What checking takes of its surroundings. */
export interface CheckEnvironment {
  readonly clock: Clock;
  readonly random: Random;
  readonly status: EndpointStatus;
  readonly onEvent: StateEventSink;
  readonly openProbe: OpenProbe;
  readonly startTimer: StartTimer;
}

/**
 * Asks one endpoint again and again, one probe at a time, and keeps its health.
 *
 *   aim(target) ──▶ wait ──▶ probe ──▶ settle: state, record, status word, event ──┐
 *                    ▲                                                             │
 *                    └─────────────────────────────────────────────────────────────┘
 *
 * A new aim keeps the state: edited settings do not make an endpoint unknown.
 */
export class EndpointCheck {
  readonly #env: CheckEnvironment;
  readonly #gate: number;
  readonly #record: HealthRecord;
  #state: HealthState = unknown();
  #run: Run | null = null;

  /** Makes the endpoint unknown at once; `aim` begins to ask it. */
  constructor(env: CheckEnvironment, gate: number, record: HealthRecord) {
    this.#env = env;
    this.#gate = gate;
    this.#record = record;
    this.#publish();
  }

  /** Asks this target from now on, first after `delayMs`. */
  aim(target: ProbeTarget, delayMs: number): void {
    this.#run?.stop();
    this.#record.kind = target.health.check.kind;
    const run = new Run(this.#env, target, (result, durationMs) => this.#settle(target, result, durationMs));
    this.#run = run;
    run.start(delayMs);
  }

  /** Stops asking; the counters stay. */
  stop(): void {
    this.#run?.stop();
    this.#run = null;
    this.#record.live = false;
    this.#record.become("unchecked", this.#env.clock.wallMs());
  }

  #settle(target: ProbeTarget, result: ProbeResult, durationMs: number | null): HealthState {
    const { clock, onEvent } = this.#env;
    const before = this.#state;
    this.#state = nextHealth(before, result, target.health);
    if (durationMs !== null) this.#record.countDuration(durationMs);
    this.#warnOnce(result);
    this.#record.countResult(result, clock.wallMs());
    if (before.kind !== this.#state.kind) this.#publish();
    const event = eventOfHealth(this.#record, before, this.#state, result);
    if (event !== null) onEvent(event);
    return this.#state;
  }

  #warnOnce(result: ProbeResult): void {
    if (result.kind === "pass" || result.reason !== "unimplemented" || this.#record.failures.unimplemented > 0) return;
    this.#env.onEvent(unimplementedEvent(this.#record));
  }

  #publish(): void {
    this.#record.become(this.#state.kind, this.#env.clock.wallMs());
    this.#env.status.setHealth(this.#gate, this.#state.kind);
  }
}

/** Takes a result and says what the endpoint is now; the duration is null when nobody had asked. */
type Settle = (result: ProbeResult, durationMs: number | null) => HealthState;

/** The probes of one target, one after another. */
class Run {
  readonly #env: CheckEnvironment;
  readonly #target: ProbeTarget;
  readonly #settle: Settle;
  #probe: Probe | null = null;
  #cancelTimer: (() => void) | null = null;
  #busy = false;
  #stopped = false;
  #hinted = false;
  #startedAtMs = 0;
  #dueAtMs = 0;

  constructor(env: CheckEnvironment, target: ProbeTarget, settle: Settle) {
    this.#env = env;
    this.#target = target;
    this.#settle = settle;
  }

  start(delayMs: number): void {
    this.#schedule(this.#env.clock.nowMs() + delayMs);
  }

  stop(): void {
    this.#stopped = true;
    this.#cancelTimer?.();
    this.#probe?.close();
  }

  #schedule(dueAtMs: number): void {
    this.#cancelTimer?.();
    this.#dueAtMs = dueAtMs;
    const delayMs = Math.max(0, dueAtMs - this.#env.clock.nowMs());
    this.#cancelTimer = this.#env.startTimer(delayMs, () => void this.#ask());
  }

  async #ask(): Promise<void> {
    this.#cancelTimer = null;
    this.#busy = true;
    this.#startedAtMs = this.#env.clock.nowMs();
    const result = await this.#result().catch(brokenProbe);
    this.#busy = false;
    if (this.#stopped) return;
    this.#goOn(this.#settle(result, this.#env.clock.nowMs() - this.#startedAtMs));
  }

  async #result(): Promise<ProbeResult> {
    const probe = (this.#probe ??= await this.#open());
    // The first one takes long: its modules are loaded.
    this.#startedAtMs = this.#env.clock.nowMs();
    this.#hinted = false;
    if (!this.#stopped) return probe.run();
    probe.close();
    return PASS;
  }

  #open(): Promise<Probe> {
    return this.#env.openProbe(this.#target, {
      onHint: () => this.#takeHint(),
      onDenied: (result) => this.#takeDenial(result),
    });
  }

  #goOn(state: HealthState): void {
    const waitMs = probeWaitMs(state, this.#target.health, this.#env.random);
    this.#schedule(this.#hinted ? Math.min(this.#soonestMs(), this.#startedAtMs + waitMs) : this.#startedAtMs + waitMs);
  }

  /** However often an endpoint hints, it is asked no more often than an unhealthy one. */
  #soonestMs(): number {
    return this.#startedAtMs + this.#target.health.unhealthyIntervalMs;
  }

  #takeHint(): void {
    if (this.#stopped) return;
    if (this.#busy) this.#hinted = true;
    else if (this.#soonestMs() < this.#dueAtMs) this.#schedule(this.#soonestMs());
  }

  #takeDenial(result: ProbeResult): void {
    if (this.#stopped) return;
    const state = this.#settle(result, null);
    if (!this.#busy) this.#goOn(state);
  }
}

/** A probe that cannot be made is a check that failed, and no reason to end the process that carries the traffic. */
function brokenProbe(error: unknown): ProbeResult {
  return failed("protocol", error instanceof Error ? error.message : String(error));
}
