import type { Running } from "./processes.ts";

/** Something to measure: where to ask, and whose CPU to count. */
export interface Subject {
  readonly name: string;
  readonly url: string;
  readonly processId: number;
  /** What is switched on in it. */
  readonly settings: string;
  stop(): Promise<void>;
}

/** Loopback ports where the two upstreams answer. */
export interface UpstreamPorts {
  readonly v1: number;
  readonly v2: number;
}

/** Where a contestant is to run. */
export interface Place {
  readonly upstream: UpstreamPorts;
  /** Null = not pinned. */
  readonly core: number | null;
  /** For its config file; removed after the run. */
  readonly folder: string;
}

/** A proxy that can take part in the comparison. */
export interface Contestant {
  readonly name: string;
  /** What is switched on in it. */
  readonly settings: string;
  /** What must be on the PATH for it; null = nothing. */
  readonly program: string | null;
  start(place: Place): Promise<Subject>;
}

/** What has been started, as something to measure. */
export function subjectOf(
  { name, settings }: Pick<Contestant, "name" | "settings">,
  port: number,
  running: Pick<Running, "pid" | "stop">,
): Subject {
  return { name, settings, url: `http://127.0.0.1:${port}/`, processId: running.pid, stop: running.stop };
}
