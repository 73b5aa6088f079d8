import { GATE_WORDS, gateStride, statusEjected, statusHealth } from "../base/gates.ts";
import type { EndpointSpec, UpstreamSpec } from "../model/snapshot.ts";
import { REFUSED, type Circuit } from "../policy/circuit-cell.ts";
import { endpointCircuit, type CircuitPlace } from "./circuits.ts";
import type { Deadlines } from "./deadlines.ts";

/** A connection as the pool sees it. */
export interface PooledConnection {
  readonly closed: boolean;
  close(): void;
}

/** One address of the upstream, with its connections. */
export interface Endpoint<C extends PooledConnection> {
  readonly spec: EndpointSpec;
  /** null: there is none but the upstream's. */
  readonly circuit: Circuit | null;
  /** First word of its gate. */
  readonly gateStart: number;
  /** Most recently used last: the hottest connection is taken first, the others can go idle and close. */
  readonly idle: C[];
  /** Connections in use that take one more attempt which may share; the last is filled first. */
  readonly shared: C[];
  /** Attempts under way. */
  inFlight: number;
}

/** An endpoint that was chosen, and what its circuit gave for it; 0 when it has none. */
export interface Place<C extends PooledConnection> {
  readonly endpoint: Endpoint<C>;
  readonly ticket: number;
}

/** What the endpoints need of their thread. */
export interface EndpointsEnvironment extends CircuitPlace {
  readonly deadlines: Deadlines;
}

/** How long an endpoint takes to come back when no circuitBreaker says so. */
const SLOW_START_MS = 5_000;
const LEAST_SHARE = 0.05;
/** What one that comes back counts as busier when it is not its turn: it is taken only if there is no other. */
const AWAY = 1_000_000;

/**
 * The endpoints of one upstream in one thread, and the choice among them: fewest requests in flight of those that are
 * healthy, not ejected, and whose circuit lets somebody through. One that is coming back takes part in a growing share of the
 * choices. When health knows none that is well, all may be asked: whether a request goes out then at all was decided before.
 */
export class Endpoints<C extends PooledConnection> {
  readonly all: readonly Endpoint<C>[];
  /** Any endpoint has a circuit of its own. */
  readonly haveCircuits: boolean;
  readonly #env: EndpointsEnvironment;
  readonly #slowStartMs: number;
  /** The usual case: one endpoint, and the upstream's circuit says it all. */
  readonly #only: Place<C> | null;
  /** Where the next look begins: ties go round, so that equal endpoints share equally. */
  #next = 0;
  /** 0..2^32 - 1, by lot; thrown anew for each choice. */
  #dice = 1;

  constructor(spec: UpstreamSpec, env: EndpointsEnvironment) {
    this.#env = env;
    this.#slowStartMs = spec.circuitBreaker?.slowStartMs ?? SLOW_START_MS;
    this.all = spec.endpoints.map((endpoint, index) => ({
      spec: endpoint,
      circuit: endpointCircuit(spec, index, env),
      gateStart: (spec.cells.endpointGates[index] as number) * gateStride(env.threads),
      idle: [],
      shared: [],
      inFlight: 0,
    }));
    this.haveCircuits = this.all.some(({ circuit }) => circuit !== null);
    this.#only = this.all.length === 1 ? { endpoint: this.all[0] as Endpoint<C>, ticket: 0 } : null;
  }

  /** There is a connection that could be shared, and whose endpoint may be asked. */
  get mayShare(): boolean {
    return this.#best(hasShared) !== null;
  }

  /** Chooses one and takes a permit of its circuit; null when the circuits of all refuse. */
  take(): Place<C> | null {
    return this.#only ?? this.#takeOf(isAny);
  }

  /** The same among those that have a connection to share. */
  takeShared(): Place<C> | null {
    return this.#takeOf(hasShared);
  }

  #takeOf(isMeant: (endpoint: Endpoint<C>) => boolean): Place<C> | null {
    const { deadlines } = this.#env;
    for (let tries = this.all.length; tries > 0; tries--) {
      const endpoint = this.#best(isMeant);
      if (endpoint === null) return null;
      this.#goOn(endpoint);
      if (endpoint.circuit === null) return { endpoint, ticket: 0 };
      const ticket = endpoint.circuit.admit(deadlines.recentMs);
      // Another thread may have taken the last permit since we looked.
      if (ticket !== REFUSED) return { endpoint, ticket };
    }
    return null;
  }

  /** Behind the one that was chosen: those that cannot be must not leave their turns to their neighbour. */
  #goOn(chosen: Endpoint<C>): void {
    this.#next = (this.all.indexOf(chosen) + 1) % this.all.length;
    // Good enough to share out turns (Numerical Recipes' generator), and the same in every test.
    this.#dice = (Math.imul(this.#dice, 1_664_525) + 1_013_904_223) >>> 0;
  }

  #best(isMeant: (endpoint: Endpoint<C>) => boolean): Endpoint<C> | null {
    return this.#leastLoaded(isMeant, true) ?? this.#leastLoaded(isMeant, false);
  }

  #leastLoaded(isMeant: (endpoint: Endpoint<C>) => boolean, isPicky: boolean): Endpoint<C> | null {
    const nowMs = this.#env.deadlines.recentMs;
    let best: Endpoint<C> | null = null;
    let least = Infinity;
    for (let i = 0; i < this.all.length; i++) {
      const endpoint = this.all[(this.#next + i) % this.all.length] as Endpoint<C>;
      if (!isMeant(endpoint) || (isPicky && !this.#isUp(endpoint))) continue;
      if (endpoint.circuit?.mayAdmit(nowMs) === false) continue;
      const load = endpoint.inFlight + (this.#hasTurn(endpoint, nowMs) ? 0 : AWAY);
      if (load >= least) continue;
      best = endpoint;
      least = load;
    }
    return best;
  }

  /** Whose turn comes to naught has the next one sooner than the others: so its chance is less than its share. */
  #hasTurn(endpoint: Endpoint<C>, nowMs: number): boolean {
    const share = this.#backShare(endpoint, nowMs);
    if (share === 1) return true;
    const { length } = this.all;
    return this.#dice / 2 ** 32 < (share * (length - 1)) / (length - share);
  }

  #isUp({ gateStart }: Endpoint<C>): boolean {
    const status = Atomics.load(this.#env.gates, gateStart + GATE_WORDS.status);
    const health = statusHealth(status);
    return (health === "healthy" || health === "unchecked") && !statusEjected(status);
  }

  /** 1, or less while the endpoint comes back from being ejected, unhealthy or behind an open circuit. */
  #backShare({ circuit, gateStart }: Endpoint<C>, nowMs: number): number {
    const backSince = Atomics.load(this.#env.gates, gateStart + GATE_WORDS.backSince);
    const away = backSince === 0 ? 1 : rampOf((Math.floor(nowMs) - backSince) | 0, this.#slowStartMs);
    return circuit === null ? away : Math.min(away, circuit.backShare(nowMs));
  }
}

function rampOf(elapsedMs: number, overMs: number): number {
  if (elapsedMs < 0 || elapsedMs >= overMs) return 1;
  return Math.max(LEAST_SHARE, elapsedMs / overMs);
}

function isAny(): boolean {
  return true;
}

function hasShared<C extends PooledConnection>(endpoint: Endpoint<C>): boolean {
  return endpoint.shared.length > 0;
}
