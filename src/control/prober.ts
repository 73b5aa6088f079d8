import type { Clock, Random } from "../base/clock.ts";
import type { StateEventSink } from "../base/state-event.ts";
import { endpointText } from "../model/endpoint.ts";
import type { Snapshot, UpstreamSpec } from "../model/snapshot.ts";
import { firstWaitMs } from "../policy/health.ts";
import { EndpointCheck, type CheckEnvironment, type StartTimer } from "./endpoint-check.ts";
import type { EndpointStatus } from "./endpoint-status.ts";
import { HealthRecord, type HealthReading } from "./health-record.ts";
import { openProbe, probedEndpoint, type OpenProbe, type ProbeTarget } from "./probe.ts";

/** What active health checks need. */
export interface ProberOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly status: EndpointStatus;
  readonly onEvent: StateEventSink;
  /** How probes are made; default: the real ones. */
  readonly openProbe?: OpenProbe;
  /** Default: `setTimeout`, unref'd. */
  readonly startTimer?: StartTimer;
}

/** Asks the endpoints of the snapshot in force whether they are well. */
export interface Prober {
  /**
   * Takes over a snapshot, before any data thread has it: endpoints that were never asked are unknown when this returns,
   * those without a health section unchecked. What did not change goes on undisturbed.
   */
  apply(snapshot: Snapshot): void;
  /** One per endpoint that was ever asked. */
  readings(): readonly HealthReading[];
  /** Stops all probes and drops their connections; the status words stay as they are. */
  close(): Promise<void>;
}

/** Makes a prober that asks nobody yet. */
export function openProber({
  openProbe: open = openProbe,
  startTimer = startUnrefTimer,
  ...rest
}: ProberOptions): Prober {
  return new EndpointProber({ ...rest, openProbe: open, startTimer });
}

interface Running {
  readonly check: EndpointCheck;
  /** All that a probe of it depends on; another digest is another probe. */
  readonly digest: string;
}

class EndpointProber implements Prober {
  readonly #env: CheckEnvironment;
  readonly #running = new Map<string, Running>();
  /** Of all endpoints ever asked; bounded as the gates are. */
  readonly #records = new Map<string, HealthRecord>();

  constructor(env: CheckEnvironment) {
    this.#env = env;
  }

  apply(snapshot: Snapshot): void {
    const wanted = new Set<string>();
    for (const upstream of snapshot.upstreams) {
      for (const key of this.#applyUpstream(upstream)) wanted.add(key);
    }
    for (const key of this.#running.keys()) {
      if (!wanted.has(key)) this.#stop(key);
    }
  }

  readings(): readonly HealthReading[] {
    return [...this.#records.values()];
  }

  close(): Promise<void> {
    for (const key of this.#running.keys()) this.#stop(key);
    return Promise.resolve();
  }

  /** The keys of the endpoints that are to be asked. */
  #applyUpstream(upstream: UpstreamSpec): readonly string[] {
    const keys: string[] = [];
    for (const [index, endpoint] of upstream.endpoints.entries()) {
      const gate = upstream.cells.endpointGates[index] as number;
      if (upstream.health === null) {
        this.#leaveUnchecked(gate);
        continue;
      }
      const text = endpointText(endpoint);
      const key = JSON.stringify([upstream.name, text]);
      const target = { upstream, endpoint: probedEndpoint(endpoint, upstream.health), health: upstream.health };
      this.#keepOrAim(key, gate, target, () => this.#recordOf(key, text, target));
      keys.push(key);
    }
    return keys;
  }

  #keepOrAim(key: string, gate: number, target: ProbeTarget, record: () => HealthRecord): void {
    const digest = digestOf(target);
    const running = this.#running.get(key);
    if (running?.digest === digest) return;
    const check = running?.check ?? new EndpointCheck(this.#env, gate, record());
    this.#running.set(key, { check, digest });
    check.aim(target, firstWaitMs(target.upstream.endpoints.length, this.#env.random));
  }

  #recordOf(key: string, endpoint: string, { upstream, health }: ProbeTarget): HealthRecord {
    const known = this.#records.get(key);
    if (known !== undefined) {
      known.live = true;
      return known;
    }
    const record = new HealthRecord(upstream.name, endpoint, health.check.kind, this.#env.clock.wallMs());
    this.#records.set(key, record);
    return record;
  }

  #leaveUnchecked(gate: number): void {
    const { status } = this.#env;
    if (status.health(gate) !== "unchecked") status.setHealth(gate, "unchecked");
  }

  #stop(key: string): void {
    this.#running.get(key)?.check.stop();
    this.#running.delete(key);
  }
}

/** Both are plain data, written by one compiler: equal settings give equal text. */
function digestOf({ upstream, endpoint, health }: ProbeTarget): string {
  return JSON.stringify([upstream.tls, upstream.maxHeaderBytes, endpoint, health]);
}

function startUnrefTimer(delayMs: number, callback: () => void): () => void {
  const timer = setTimeout(callback, delayMs).unref();
  return () => clearTimeout(timer);
}
