import type { Snapshot } from "../model/snapshot.ts";
import type { ThreadCount, ThreadRestarts } from "../telemetry/metrics-source.ts";

/** Everything that carries traffic, be it threads or this one: what control tells it, and what it can be asked. */
export interface TrafficPlane {
  /** Real ports, in the order of the listeners. */
  readonly ports: readonly number[];
  /** Sends a snapshot on its way; each thread swaps it in when it arrives. */
  publish(snapshot: Snapshot): void;
  /** Answers end their connection from now on. */
  announceDrain(): void;
  /** Stops accepting and resolves when the last connection is closed, at the latest after `deadlineMs`. */
  drain(deadlineMs: number): Promise<void>;
  /** False when nothing carries traffic any more. */
  alive(): boolean;
  threads(): readonly ThreadCount[];
  restarts(): readonly ThreadRestarts[];
}
