import type { Attempt, AttemptOptions, OutgoingHead, ResponseSink, Upstream } from "../model/exchange-types.ts";
import type { Circuit } from "../policy/circuit-cell.ts";
import type { UpstreamSpec } from "../model/snapshot.ts";
import { KeepWarm } from "./keep-warm.ts";
import { NativeAttempt } from "./native-attempt.ts";
import { NativeConnection } from "./native-connection.ts";
import type { Endpoint } from "./endpoints.ts";
import { UpstreamPool, type TunnelPlace, type UpstreamEnvironment } from "./upstream-pool.ts";

/** The native engine towards an upstream: our own codec on sockets that we pool, pipelined where the config allows it. */
export class NativeUpstream implements Upstream {
  readonly spec: UpstreamSpec;
  readonly #pool: UpstreamPool<NativeConnection>;
  readonly #warmers: readonly KeepWarm[];

  constructor(spec: UpstreamSpec, env: UpstreamEnvironment) {
    this.spec = spec;
    this.#pool = new UpstreamPool(spec, env);
    const { endpoints } = this.#pool;
    const minConnections = Math.ceil(spec.pool.minConnections / env.threads / endpoints.length);
    this.#warmers = endpoints.map((endpoint) => this.#keepWarm(endpoint, minConnections));
  }

  get name(): string {
    return this.spec.name;
  }

  open(head: OutgoingHead, sink: ResponseSink, options: AttemptOptions): Attempt {
    const attempt = new NativeAttempt(this.#pool, head, sink, options, this.#dial);
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
    for (const warmer of this.#warmers) warmer.close();
    return this.#pool.close(graceMs);
  }

  readonly #dial = (endpoint: Endpoint<NativeConnection>): NativeConnection =>
    new NativeConnection(this.#pool, endpoint, this.#pool.env.deadlines, IGNORED);

  #keepWarm(endpoint: Endpoint<NativeConnection>, minConnections: number): KeepWarm {
    let opening = 0;
    const warmer = new KeepWarm({
      minConnections,
      count: () => endpoint.idle.length + endpoint.inFlight + opening,
      open: () => {
        opening++;
        const connection = new NativeConnection(this.#pool, endpoint, this.#pool.env.deadlines, {
          onOpened: () => {
            opening--;
            warmer.opened();
          },
          onNotOpened: () => {
            opening--;
            warmer.failed();
          },
        });
        void connection;
      },
    });
    return warmer;
  }
}

const IGNORED = { onOpened: () => {}, onNotOpened: () => {} };
