import type { Clock } from "../base/clock.ts";
import { GATE_WORDS, gateStride } from "../base/gates.ts";
import type { StateEvent, StateEventSink } from "../base/state-event.ts";
import { endpointText } from "../model/endpoint.ts";
import type { Snapshot, UpstreamSpec } from "../model/snapshot.ts";
import { windowTotals } from "../policy/circuit-cell.ts";
import type { Circuit, CircuitReading } from "../policy/circuit-cell.ts";
import { ALL_ENDPOINTS, emptyHistogram, observeDuration } from "../telemetry/resilience-reports.ts";
import type { CircuitKind, CircuitNow, CircuitReport, HistogramWords } from "../telemetry/resilience-reports.ts";
import { endpointCircuit, upstreamCircuit } from "../transport/circuits.ts";
import { everyUnheld, type Every } from "./every.ts";

/** What the watch works with. */
export interface CircuitWatchOptions {
  readonly gates: Int32Array;
  /** Data threads that the gates have windows for. */
  readonly threads: number;
  readonly clock: Clock;
  readonly onEvent: StateEventSink;
  /** Calls again and again; tests call by hand. */
  readonly every?: Every;
}

/** How often the circuits are looked at, milliseconds. */
export const WATCH_PERIOD_MS = 250;

/**
 * Sees the circuits from the control thread: moves those on whose time has come while nobody asks, tells what happened to
 * them, and counts it. Whoever trips or closes a circuit does so in its word; what is told and counted here follows from the
 * transition counters beside it, so that nothing is missed between two looks. Counts live as long as the process.
 */
export class CircuitWatch {
  readonly #options: CircuitWatchOptions;
  readonly #counts = new Map<string, CircuitCounts>();
  readonly #every: Every;
  #watched: readonly Watched[] = [];
  #stop: (() => void) | null = null;

  /** Watches nothing until `apply`. */
  constructor(options: CircuitWatchOptions) {
    this.#options = options;
    this.#every = options.every ?? everyUnheld;
  }

  /** Watches the circuits of this snapshot. */
  apply(snapshot: Snapshot): void {
    const known = new Map(this.#watched.map((watched) => [watched.gate, watched]));
    this.#watched = snapshot.upstreams.flatMap((spec) => this.#circuitsOf(spec, known));
    if (this.#watched.length === 0) this.close();
    else this.#stop ??= this.#every(WATCH_PERIOD_MS, () => this.look());
  }

  /** Looks at every circuit now. */
  look(): void {
    const nowMs = this.#options.clock.nowMs();
    for (const watched of this.#watched) {
      watched.circuit.tick(nowMs);
      this.#noteChanges(watched, nowMs);
    }
  }

  /** What is known of every circuit there is or was, up to this moment. */
  reports(): readonly CircuitReport[] {
    this.look();
    const nowMs = this.#options.clock.nowMs();
    const live = new Map(this.#watched.map((watched) => [watched.counts, watched]));
    return [...this.#counts.values()].map((counts) => {
      const watched = live.get(counts);
      return { ...counts, now: watched === undefined ? null : this.#stateOf(watched, nowMs) };
    });
  }

  /** A data thread died, and the probes that it had under way with it: nobody would report them. */
  onThreadLost(): void {
    const nowMs = this.#options.clock.nowMs();
    for (const { circuit } of this.#watched) circuit.giveUpProbes(nowMs);
  }

  /** Closes every circuit of an upstream, by hand; false when it has none. */
  reset(upstream: string): boolean {
    return this.#byHand((watched) => watched.counts.upstream === upstream, "reset");
  }

  /** Opens the circuit of an upstream as a whole, by hand; false when it has none. It goes on by itself from there. */
  trip(upstream: string): boolean {
    return this.#byHand(({ isWhole, counts }) => isWhole && counts.upstream === upstream, "trip");
  }

  /** Watches no more. */
  close(): void {
    this.#stop?.();
    this.#stop = null;
  }

  #byHand(isMeant: (watched: Watched) => boolean, deed: "reset" | "trip"): boolean {
    const nowMs = this.#options.clock.nowMs();
    const meant = this.#watched.filter(isMeant);
    for (const watched of meant) {
      watched.circuit[deed](nowMs);
      this.#noteChanges(watched, nowMs);
    }
    return meant.length > 0;
  }

  #circuitsOf(spec: UpstreamSpec, known: ReadonlyMap<number, Watched>): readonly Watched[] {
    if (spec.circuitBreaker === null) return [];
    // This thread admits nothing and reports nothing, so it needs no window of its own.
    const place = { gates: this.#options.gates, index: 0, threads: this.#options.threads };
    const several = spec.endpoints.length > 1;
    const firstText = endpointText(spec.endpoints[0] as UpstreamSpec["endpoints"][number]);
    const whole = { spec, gate: spec.cells.gate, label: several ? ALL_ENDPOINTS : firstText, isWhole: true };
    const watched = [this.#watch(whole, upstreamCircuit(spec, place), known)];
    for (const [index, endpoint] of spec.endpoints.entries()) {
      const gate = spec.cells.endpointGates[index] as number;
      const part = { spec, gate, label: endpointText(endpoint), isWhole: false };
      watched.push(this.#watch(part, endpointCircuit(spec, index, place), known));
    }
    return watched.filter((one) => one !== null);
  }

  #watch(part: Part, circuit: Circuit | null, known: ReadonlyMap<number, Watched>): Watched | null {
    if (circuit === null) return null;
    const { spec, gate, label, isWhole } = part;
    const counts = this.#countsOf(spec.name, label);
    const windowMs = spec.circuitBreaker?.windowMs ?? 0;
    const before = known.get(gate) ?? this.#firstSight(circuit, gate);
    return { circuit, gate, isWhole, windowMs, counts, seen: before.seen, openSinceMs: before.openSinceMs };
  }

  /** The gate may have been watched before, for a config that came back. */
  #firstSight(circuit: Circuit, gate: number): Pick<Watched, "seen" | "openSinceMs"> {
    const nowMs = this.#options.clock.nowMs();
    const { kind, sinceMs } = circuit.reading(nowMs);
    return { seen: this.#transitionsOf(gate), openSinceMs: kind === "closed" ? null : nowMs - sinceMs };
  }

  #countsOf(upstream: string, endpoint: string): CircuitCounts {
    const key = JSON.stringify([upstream, endpoint]);
    const transitions = { closed: 0, open: 0, half_open: 0 };
    const counts = this.#counts.get(key) ?? { upstream, endpoint, transitions, openTimes: emptyHistogram() };
    this.#counts.set(key, counts);
    return counts;
  }

  #noteChanges(watched: Watched, nowMs: number): void {
    const { seen, counts } = watched;
    const transitions = this.#transitionsOf(watched.gate);
    const reading = watched.circuit.reading(nowMs);
    for (const kind of orderUpTo(labelOf(reading))) {
      // The words may have come round.
      const times = (transitions[kind] - seen[kind]) | 0;
      if (times === 0) continue;
      counts.transitions[kind] += times;
      this.#noteOpenTime(watched, kind, reading, nowMs);
      this.#options.onEvent(eventOf(watched, kind, times, reading));
    }
    watched.seen = transitions;
    if (reading.kind === "closed") watched.openSinceMs = null;
  }

  #noteOpenTime(watched: Watched, kind: CircuitKind, reading: CircuitReading, nowMs: number): void {
    const sinceMs = nowMs - reading.sinceMs;
    if (kind === "open") watched.openSinceMs ??= reading.kind === "open" ? sinceMs : nowMs;
    if (kind !== "closed" || watched.openSinceMs === null) return;
    const closedAtMs = reading.kind === "closed" ? sinceMs : nowMs;
    observeDuration(watched.counts.openTimes, Math.max(0, closedAtMs - watched.openSinceMs));
    watched.openSinceMs = null;
  }

  #transitionsOf(gate: number): Transitions {
    const { gates, threads } = this.#options;
    const row = gate * gateStride(threads);
    return {
      closed: Atomics.load(gates, row + GATE_WORDS.toClosed),
      open: Atomics.load(gates, row + GATE_WORDS.toOpen),
      half_open: Atomics.load(gates, row + GATE_WORDS.toHalfOpen),
    };
  }

  #stateOf(watched: Watched, nowMs: number): CircuitNow {
    const { gates, threads, clock } = this.#options;
    const reading = watched.circuit.reading(nowMs);
    const { closed, open, half_open: halfOpen } = this.#transitionsOf(watched.gate);
    const isUntouched = closed === 0 && open === 0 && halfOpen === 0;
    return {
      kind: labelOf(reading),
      isWhole: watched.isWhole,
      sinceWallMs: isUntouched ? null : clock.wallMs() - reading.sinceMs,
      retryInMs: reading.retryInMs,
      window: windowTotals(gates, watched.gate, threads, watched.windowMs, nowMs),
    };
  }
}

type Transitions = Readonly<Record<CircuitKind, number>>;

interface CircuitCounts {
  readonly upstream: string;
  readonly endpoint: string;
  readonly transitions: Record<CircuitKind, number>;
  readonly openTimes: HistogramWords;
}

interface Part {
  readonly spec: UpstreamSpec;
  readonly gate: number;
  readonly label: string;
  readonly isWhole: boolean;
}

/** One circuit of the snapshot in force. */
interface Watched {
  readonly circuit: Circuit;
  readonly gate: number;
  readonly isWhole: boolean;
  readonly windowMs: number;
  readonly counts: CircuitCounts;
  /** Transition counters as they were at the last look. */
  seen: Transitions;
  /** When it left the closed state, of the monotonic clock; null while it is closed. */
  openSinceMs: number | null;
}

function labelOf({ kind }: CircuitReading): CircuitKind {
  return kind === "half-open" ? "half_open" : kind;
}

/** The states in the order in which they follow one another, so that the present one comes last. */
function orderUpTo(kind: CircuitKind): readonly CircuitKind[] {
  switch (kind) {
    case "open":
      return ["half_open", "closed", "open"];
    case "half_open":
      return ["closed", "open", "half_open"];
    case "closed":
      return ["open", "half_open", "closed"];
  }
}

function eventOf({ counts, isWhole }: Watched, kind: CircuitKind, times: number, reading: CircuitReading): StateEvent {
  const { upstream } = counts;
  const endpoint = isWhole ? null : counts.endpoint;
  const fields = { upstream, endpoint, ...(times > 1 && { times }) };
  switch (kind) {
    case "open": {
      const openForMs = reading.kind === "open" ? reading.retryInMs : null;
      return { level: "warn", name: "circuit-opened", message: "circuit opened", fields: { ...fields, openForMs } };
    }
    case "half_open":
      return { level: "info", name: "circuit-half-open", message: "circuit half-open", fields };
    case "closed":
      return { level: "info", name: "circuit-closed", message: "circuit closed", fields };
  }
}
