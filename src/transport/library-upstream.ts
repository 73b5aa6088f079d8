import type { Attempt, AttemptOptions, OutgoingHead, ResponseSink, Upstream } from "../model/exchange-types.ts";
import type { Circuit } from "../policy/circuit-cell.ts";
import type { UpstreamSpec } from "../model/snapshot.ts";
import { NodeAttempt } from "./node-attempt.ts";
import { UndiciAttempt } from "./undici-attempt.ts";
import { Dialer } from "./dialer.ts";
import { UndiciConnection } from "./undici-connection.ts";
import type { Endpoint } from "./endpoints.ts";
import { UpstreamPool, type TunnelPlace, type UpstreamEnvironment } from "./upstream-pool.ts";

/**
 * The library engine towards an upstream: undici dispatch on connections that we pool ourselves, so that limits,
 * last-in-first-out reuse, fresh connections for replays and the counters are exact. What undici cannot carry (Expect,
 * request trailers, a head ahead of its body, the asterisk form) goes over `node:http` with a connection of its own, under the same limits.
 */
export class LibraryUpstream implements Upstream {
  readonly spec: UpstreamSpec;
  readonly #pool: UpstreamPool<UndiciConnection>;
  readonly #dialers = new Map<Endpoint<UndiciConnection>, Dialer>();

  constructor(spec: UpstreamSpec, env: UpstreamEnvironment) {
    this.spec = spec;
    this.#pool = new UpstreamPool(spec, env);
    const { endpoints } = this.#pool;
    const minConnections = Math.ceil(spec.pool.minConnections / env.threads / endpoints.length);
    for (const endpoint of endpoints) {
      const otherConnections = (): number => endpoint.idle.length + endpoint.inFlight;
      const dialer = new Dialer({
        spec,
        endpoint: endpoint.spec,
        counters: env.counters,
        minConnections,
        otherConnections,
      });
      this.#dialers.set(endpoint, dialer);
    }
  }

  get name(): string {
    return this.spec.name;
  }

  open(head: OutgoingHead, sink: ResponseSink, options: AttemptOptions): Attempt {
    const special = head.expectsContinue || head.hasTrailers || head.bodyFollowsLater || head.target === "*";
    const attempt = special
      ? new NodeAttempt(this.#pool, head, sink, options)
      : new UndiciAttempt(this.#pool, head, sink, options, (endpoint) => this.#connect(endpoint));
    this.#pool.admit(attempt);
    return attempt;
  }

  get circuit(): Circuit | null {
    return this.#pool.circuit;
  }

  /** The endpoint that a new tunnel should use; null when the circuits of all refuse. */
  takeEndpoint(): TunnelPlace | null {
    return this.#pool.takeEndpoint();
  }

  close(graceMs: number): Promise<void> {
    for (const dialer of this.#dialers.values()) dialer.close();
    return this.#pool.close(graceMs);
  }

  #connect(endpoint: Endpoint<UndiciConnection>): UndiciConnection {
    // An idle connection that closed is of no more use; one that is in use is its attempt's business.
    const onGone = (connection: UndiciConnection): void => this.#pool.forget(endpoint, connection);
    return new UndiciConnection(this.spec, endpoint.spec, this.#dialers.get(endpoint) as Dialer, onGone);
  }
}
