import type { Clock, Random } from "../base/clock.ts";
import type { StateEventSink } from "../base/state-event.ts";
import type { Snapshot } from "../model/snapshot.ts";
import type { CellTable } from "./cell-table.ts";
import { CircuitWatch } from "./circuit-watch.ts";
import { EndpointStatus } from "./endpoint-status.ts";
import { OutlierWatch } from "./outliers.ts";
import { OverloadWatch } from "./overload-watch.ts";
import { openProber, type Prober } from "./prober.ts";

/** What looks after the upstreams from the control thread. */
export interface Watchers {
  readonly prober: Prober;
  readonly circuits: CircuitWatch;
  readonly outliers: OutlierWatch;
  /** Takes over a snapshot; to be called before any data thread has it, so that nobody asks an endpoint that no check has seen. */
  apply(snapshot: Snapshot): void;
  close(): Promise<void>;
}

/** What the watchers work with. */
export interface WatcherOptions {
  readonly cells: CellTable;
  readonly clock: Clock;
  readonly random: Random;
  readonly onEvent: StateEventSink;
}

/** Makes watchers that look at nothing until `apply`. */
export function openWatchers({ cells, clock, random, onEvent }: WatcherOptions): Watchers {
  const { gates, threads } = cells;
  const status = new EndpointStatus(gates, threads, clock);
  const prober = openProber({ clock, random, status, onEvent });
  const circuits = new CircuitWatch({ gates, threads, clock, onEvent });
  const outliers = new OutlierWatch({ gates, threads, clock, status, onEvent });
  const overload = new OverloadWatch({ regions: () => cells.regions(), onEvent });
  return {
    prober,
    circuits,
    outliers,
    apply(snapshot) {
      prober.apply(snapshot);
      circuits.apply(snapshot);
      outliers.apply(snapshot);
      overload.apply(snapshot);
    },
    async close() {
      circuits.close();
      outliers.close();
      overload.close();
      await prober.close();
    },
  };
}
