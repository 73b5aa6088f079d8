import { UPSTREAM_WORDS } from "../base/cells.ts";
import { SwapList, type Listed } from "../base/swap-list.ts";
import type { Attempt } from "../model/exchange-types.ts";
import type { EndpointSpec, UpstreamSpec } from "../model/snapshot.ts";
import type { Deadlines } from "./deadlines.ts";

/** What an upstream engine needs of its thread. */
export interface UpstreamEnvironment {
  readonly deadlines: Deadlines;
  /** The upstream's counter block of this thread. */
  readonly counters: Float64Array;
  /** Data threads that share the upstream's connection limits; each gets an equal part, at least one. */
  readonly threads: number;
}

/** A connection as the pool sees it. */
export interface PooledConnection {
  readonly closed: boolean;
  close(): void;
}

/** An attempt as the pool sees it. */
export interface PooledAttempt<C extends PooledConnection> extends Attempt, Listed {
  /** It may start: on this endpoint, over this idle or shared connection if there is one. */
  run(endpoint: Endpoint<C>, connection: C | null): void;
  /** No slot was free and none may be waited for. */
  refuse(): void;
  /** The upstream is closing and its patience is over. */
  expire(): void;
  readonly wantsFresh: boolean;
  /** It may go over a connection that others are using. */
  readonly mayShare: boolean;
}

/** One address of the upstream, with its connections. */
export interface Endpoint<C extends PooledConnection> {
  readonly spec: EndpointSpec;
  /** Most recently used last: the hottest connection is taken first, the others can go idle and close. */
  readonly idle: C[];
  /** Connections in use that take one more attempt which may share; the last is filled first. */
  readonly shared: C[];
  /** Attempts under way. */
  inFlight: number;
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
  readonly #endpoints: readonly Endpoint<C>[];
  readonly #maxConnections: number;
  readonly #maxPending: number;
  readonly #waiting = new Set<PooledAttempt<C>>();
  readonly #running = new SwapList<PooledAttempt<C>>();
  #busy = 0;
  #next = 0;
  #closed: (() => void) | null = null;

  constructor(spec: UpstreamSpec, env: UpstreamEnvironment) {
    this.spec = spec;
    this.env = env;
    this.#endpoints = spec.endpoints.map((endpoint) => ({ spec: endpoint, idle: [], shared: [], inFlight: 0 }));
    this.#maxConnections = Math.max(1, Math.ceil(spec.pool.maxConnections / env.threads));
    this.#maxPending = Math.ceil(spec.pool.maxPending / env.threads);
  }

  /** The endpoints, in config order. */
  get endpoints(): readonly Endpoint<C>[] {
    return this.#endpoints;
  }

  /** Starts the attempt now, later or never. */
  admit(attempt: PooledAttempt<C>): void {
    // Whoever came before goes first, also when this one could share a connection and that one cannot.
    if (this.#waiting.size === 0 && this.#start(attempt)) return;
    if (this.#waiting.size < this.#maxPending) this.#enqueue(attempt);
    else this.#overflow(attempt);
  }

  /** The endpoint that a new tunnel should use. */
  pickEndpoint(): EndpointSpec {
    return this.#leastInFlight().spec;
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
    for (const endpoint of this.#endpoints) this.#closeIdle(endpoint);
    if (this.#running.size === 0) return;
    const ended = new Promise<void>((resolve) => {
      this.#closed = resolve;
    });
    const timer = setTimeout(() => this.#abortAll(), graceMs);
    await ended;
    clearTimeout(timer);
  }

  #start(attempt: PooledAttempt<C>): boolean {
    const endpoint = this.#leastInFlight();
    if (attempt.mayShare && this.#join(attempt, endpoint)) return true;
    if (this.#busy >= this.#maxConnections) return attempt.mayShare && this.#joinAny(attempt);
    this.#busy++;
    this.#count(UPSTREAM_WORDS.active, 1);
    this.#run(attempt, endpoint, attempt.wantsFresh ? null : this.#takeIdle(endpoint));
    return true;
  }

  #join(attempt: PooledAttempt<C>, endpoint: Endpoint<C>): boolean {
    const connection = endpoint.shared.at(-1);
    if (connection === undefined) return false;
    this.#count(UPSTREAM_WORDS.reused, 1);
    this.#run(attempt, endpoint, connection);
    return true;
  }

  #joinAny(attempt: PooledAttempt<C>): boolean {
    return this.#endpoints.some((endpoint) => this.#join(attempt, endpoint));
  }

  #run(attempt: PooledAttempt<C>, endpoint: Endpoint<C>, connection: C | null): void {
    endpoint.inFlight++;
    this.#running.add(attempt);
    attempt.run(endpoint, connection);
  }

  /** Starts those in line, first come first served, as many as there is room for. */
  #serveWaiting(): void {
    while (this.#waiting.size > 0) {
      const next = this.#waiting.values().next().value as PooledAttempt<C>;
      if (!this.#canStart(next)) return;
      // Out of the line first: to run it may offer its connection, which serves the next.
      this.#dequeue(next);
      this.#start(next);
    }
  }

  #canStart(attempt: PooledAttempt<C>): boolean {
    if (this.#busy < this.#maxConnections) return true;
    return attempt.mayShare && this.#endpoints.some((endpoint) => endpoint.shared.length > 0);
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

  #overflow(attempt: PooledAttempt<C>): void {
    this.#count(UPSTREAM_WORDS.overflowed, 1);
    // The road must have its attempt in hand before it hears of the failure.
    queueMicrotask(() => attempt.refuse());
  }

  /** Fewest requests in flight; ties go round, so that equal endpoints share equally. */
  #leastInFlight(): Endpoint<C> {
    const count = this.#endpoints.length;
    let best = this.#endpoints[this.#next % count] as Endpoint<C>;
    for (let i = 1; i < count; i++) {
      const other = this.#endpoints[(this.#next + i) % count] as Endpoint<C>;
      if (other.inFlight < best.inFlight) best = other;
    }
    this.#next = (this.#next + 1) % count;
    return best;
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
