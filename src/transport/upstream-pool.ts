import { UPSTREAM_WORDS } from "../base/cells.ts";
import type { FailureKind } from "../base/failure.ts";
import { SwapList, type Listed } from "../base/swap-list.ts";
import type { Attempt } from "../model/exchange-types.ts";
import type { EndpointSpec, UpstreamSpec } from "../model/snapshot.ts";
import type { Circuit } from "../policy/circuit-cell.ts";
import { CallReport } from "./call-report.ts";
import { upstreamCircuit } from "./circuits.ts";
import type { Deadlines } from "./deadlines.ts";
import { Endpoints, type Endpoint, type Place, type PooledConnection } from "./endpoints.ts";

/** What an upstream engine needs of its thread. */
export interface UpstreamEnvironment {
  readonly deadlines: Deadlines;
  /** The upstream's counter block of this thread. */
  readonly counters: Float64Array;
  /** Gates of all upstreams and endpoints; see base/gates.ts. */
  readonly gates: Int32Array;
  /** Which data thread this is, from 0. */
  readonly index: number;
  /** Data threads that share the upstream's connection limits; each gets an equal part, at least one. */
  readonly threads: number;
}

/** Where a tunnel goes. */
export interface TunnelPlace {
  readonly spec: EndpointSpec;
  /** The endpoint's own circuit, which gave `ticket`; null when it has none. */
  readonly circuit: Circuit | null;
  readonly ticket: number;
}

/** An attempt as the pool sees it. */
export interface PooledAttempt<C extends PooledConnection> extends Attempt, Listed {
  /** It may start: on this endpoint, over this idle or shared connection if there is one. */
  run(endpoint: Endpoint<C>, connection: C | null): void;
  /** It may not start, and not wait either. */
  refuse(why: FailureKind): void;
  /** An endpoint with a circuit of its own was chosen; told right before `run`. */
  atEndpoint(circuit: Circuit, ticket: number): void;
  /** The upstream is closing and its patience is over. */
  expire(): void;
  readonly wantsFresh: boolean;
  /** It may go over a connection that others are using. */
  readonly mayShare: boolean;
}

/**
 * Slots and idle connections of one upstream in one thread, whatever engine carries them: limits, a bounded queue with
 * a deadline, last-in-first-out reuse, least-in-flight choice among endpoints, exact counters. A slot is a connection in
 * use; without sharing that is one attempt.
 *
 *   admit ──▶ start: shared connection, else idle one, else new one while slots last ──▶ attempt.run
 *         └─▶ wait in line ──(vacate, offer)──▶ start
 */
export class UpstreamPool<C extends PooledConnection> {
  readonly spec: UpstreamSpec;
  readonly env: UpstreamEnvironment;
  /** The circuit of the upstream as a whole; null when it has none. */
  readonly circuit: Circuit | null;
  readonly #endpoints: Endpoints<C>;
  readonly #maxConnections: number;
  readonly #maxPending: number;
  readonly #maxInFlight: number;
  readonly #waiting = new Set<PooledAttempt<C>>();
  readonly #running = new SwapList<PooledAttempt<C>>();
  #busy = 0;
  #closed: (() => void) | null = null;

  constructor(spec: UpstreamSpec, env: UpstreamEnvironment) {
    this.spec = spec;
    this.env = env;
    this.circuit = upstreamCircuit(spec, env);
    this.#endpoints = new Endpoints(spec, env);
    this.#maxConnections = Math.max(1, Math.ceil(spec.pool.maxConnections / env.threads));
    this.#maxPending = Math.ceil(spec.pool.maxPending / env.threads);
    this.#maxInFlight = spec.pool.maxInFlight === 0 ? Infinity : Math.ceil(spec.pool.maxInFlight / env.threads);
  }

  /** The endpoints, in config order. */
  get endpoints(): readonly Endpoint<C>[] {
    return this.#endpoints.all;
  }

  /** Starts the attempt now, later or never. */
  admit(attempt: PooledAttempt<C>): void {
    if (this.#running.size + this.#waiting.size >= this.#maxInFlight) {
      this.#turnAway(attempt, "too-many-in-flight", UPSTREAM_WORDS.overloaded);
      return;
    }
    // Whoever came before goes first, also when this one could share a connection and that one cannot.
    if (this.#waiting.size === 0 && this.#start(attempt)) return;
    if (this.#waiting.size < this.#maxPending) this.#enqueue(attempt);
    else this.#turnAway(attempt, "overflow", UPSTREAM_WORDS.overflowed);
  }

  /** For a call with this method that the upstream's circuit gave `ticket`; null when no circuit wants to know. */
  newReport(method: string, ticket: number): CallReport | null {
    if (this.circuit === null && !this.#endpoints.haveCircuits) return null;
    return new CallReport(this.circuit, ticket, method, this.spec.circuitBreaker?.slowCallMs ?? 0);
  }

  /** The endpoint that a new tunnel should use; null when the circuits of all refuse. */
  takeEndpoint(): TunnelPlace | null {
    const place = this.#endpoints.take();
    return place === null ? null : { spec: place.endpoint.spec, circuit: place.endpoint.circuit, ticket: place.ticket };
  }

  /** An attempt is over and its slot free; `connection` is the one it leaves in good order, null when there is none. */
  release(attempt: PooledAttempt<C>, endpoint: Endpoint<C> | null, connection: C | null): void {
    if (this.over(attempt, endpoint) && endpoint !== null) this.vacate(endpoint, connection);
  }

  /** An attempt is over; its slot stays with the connection. False when it never ran. */
  over(attempt: PooledAttempt<C>, endpoint: Endpoint<C> | null): boolean {
    if (!this.#running.delete(attempt) || endpoint === null) {
      this.#dequeue(attempt);
      this.#serveWaiting();
      return false;
    }
    endpoint.inFlight--;
    return true;
  }

  /** A slot is free again; its connection is parked when it is in good order. */
  vacate(endpoint: Endpoint<C>, connection: C | null): void {
    this.#busy--;
    this.#count(UPSTREAM_WORDS.active, -1);
    if (connection !== null) this.park(endpoint, connection);
    this.#serveWaiting();
    if (this.#closed !== null) this.#finishClosing(this.#closed);
  }

  /** A connection in use takes one more. */
  offer(endpoint: Endpoint<C>, connection: C): void {
    endpoint.shared.push(connection);
    this.#serveWaiting();
  }

  /** A connection that was offered takes no more. */
  withdraw(endpoint: Endpoint<C>, connection: C): void {
    const index = endpoint.shared.lastIndexOf(connection);
    if (index !== -1) endpoint.shared.splice(index, 1);
  }

  /** An open connection that nobody uses: it waits for the next attempt. */
  park(endpoint: Endpoint<C>, connection: C): void {
    if (this.#closed !== null || connection.closed) {
      connection.close();
      return;
    }
    endpoint.idle.push(connection);
    this.#count(UPSTREAM_WORDS.idle, 1);
  }

  /** An idle connection closed. */
  forget(endpoint: Endpoint<C>, connection: C): void {
    const index = endpoint.idle.indexOf(connection);
    if (index === -1) return;
    endpoint.idle.splice(index, 1);
    this.#count(UPSTREAM_WORDS.idle, -1);
  }

  /** A connection was opened. */
  countOpened(): void {
    this.#count(UPSTREAM_WORDS.opened, 1);
  }

  /** Lets running attempts finish for `graceMs`, then aborts them. */
  async close(graceMs: number): Promise<void> {
    for (const endpoint of this.#endpoints.all) this.#closeIdle(endpoint);
    if (this.#running.size === 0) return;
    const ended = new Promise<void>((resolve) => {
      this.#closed = resolve;
    });
    const timer = setTimeout(() => this.#abortAll(), graceMs);
    await ended;
    clearTimeout(timer);
  }

  #start(attempt: PooledAttempt<C>): boolean {
    if (this.#busy >= this.#maxConnections) return attempt.mayShare && this.#joinAny(attempt);
    const place = this.#endpoints.take();
    if (place === null) {
      queueMicrotask(() => attempt.refuse("circuit-open"));
      return true;
    }
    const { endpoint } = place;
    if (attempt.mayShare && this.#join(attempt, place)) return true;
    this.#busy++;
    this.#count(UPSTREAM_WORDS.active, 1);
    this.#run(attempt, place, attempt.wantsFresh ? null : this.#takeIdle(endpoint));
    return true;
  }

  #join(attempt: PooledAttempt<C>, place: Place<C>): boolean {
    const connection = place.endpoint.shared.at(-1);
    if (connection === undefined) return false;
    this.#count(UPSTREAM_WORDS.reused, 1);
    this.#run(attempt, place, connection);
    return true;
  }

  #joinAny(attempt: PooledAttempt<C>): boolean {
    const place = this.#endpoints.takeShared();
    return place !== null && this.#join(attempt, place);
  }

  #run(attempt: PooledAttempt<C>, { endpoint, ticket }: Place<C>, connection: C | null): void {
    endpoint.inFlight++;
    this.#running.add(attempt);
    if (endpoint.circuit !== null) attempt.atEndpoint(endpoint.circuit, ticket);
    attempt.run(endpoint, connection);
  }

  /** Starts those in line, first come first served, as many as there is room for. */
  #serveWaiting(): void {
    while (this.#waiting.size > 0) {
      const next = this.#waiting.values().next().value as PooledAttempt<C>;
      if (!this.#canStart(next)) return;
      // Out of the line first: to run it may offer its connection, which serves the next.
      this.#dequeue(next);
      // Not, when another thread took the last permit since we looked.
      if (!this.#start(next)) queueMicrotask(() => next.refuse("circuit-open"));
    }
  }

  #canStart(attempt: PooledAttempt<C>): boolean {
    if (this.#busy < this.#maxConnections) return true;
    return attempt.mayShare && this.#endpoints.mayShare;
  }

  #takeIdle(endpoint: Endpoint<C>): C | null {
    const connection = endpoint.idle.pop();
    if (connection === undefined) return null;
    this.#count(UPSTREAM_WORDS.idle, -1);
    this.#count(UPSTREAM_WORDS.reused, 1);
    return connection;
  }

  #enqueue(attempt: PooledAttempt<C>): void {
    this.#waiting.add(attempt);
    this.#count(UPSTREAM_WORDS.pending, 1);
  }

  #dequeue(attempt: PooledAttempt<C>): void {
    if (this.#waiting.delete(attempt)) this.#count(UPSTREAM_WORDS.pending, -1);
  }

  #turnAway(attempt: PooledAttempt<C>, why: FailureKind, word: number): void {
    this.#count(word, 1);
    // The road must have its attempt in hand before it hears of the failure.
    queueMicrotask(() => attempt.refuse(why));
  }

  #closeIdle(endpoint: Endpoint<C>): void {
    this.#count(UPSTREAM_WORDS.idle, -endpoint.idle.length);
    for (const connection of endpoint.idle.splice(0)) connection.close();
  }

  #abortAll(): void {
    for (const attempt of this.#running.snapshot()) attempt.expire();
  }

  #finishClosing(closed: () => void): void {
    if (this.#running.size === 0) closed();
  }

  #count(word: number, change: number): void {
    const { counters } = this.env;
    counters[word] = (counters[word] as number) + change;
  }
}
