import { reload, setSplit } from "../../test/support/admin-calls.ts";
import type { Sidecar } from "../../test/support/sidecar.ts";
import type { Dice } from "./dice.ts";
import type { Ledger } from "./ledger.ts";
import { scrapeOnce } from "./vitals.ts";

/** Somebody who edits the config and moves shares all the time. */
export interface Changes {
  readonly counts: { reloads: number; splits: number };
  stop(): Promise<void>;
}

/** Starts them: a change every `everyMs`, of the file and of the split of `route` in turn. */
export function startChanges(
  sidecar: Sidecar,
  configOf: (variant: number) => object,
  route: string,
  everyMs: number,
  dice: Dice,
  ledger: Ledger,
): Changes {
  const counts = { reloads: 0, splits: 0 };
  let underWay: Promise<void> = Promise.resolve();
  const change = async (): Promise<void> => {
    if (counts.splits <= counts.reloads) {
      counts.splits++;
      await setSplit(sidecar, route, `${dice.below(101)}%`);
    } else {
      counts.reloads++;
      sidecar.writeConfig(configOf(counts.reloads));
      await reload(sidecar);
    }
  };
  const timer = setInterval(() => {
    underWay = underWay.then(change).catch((error: unknown) => {
      ledger.violation(`a change was not taken: ${error instanceof Error ? error.message : String(error)}`);
    });
  }, everyMs);
  return {
    counts,
    stop: async () => {
      clearInterval(timer);
      await underWay;
    },
  };
}

/** Waits until the sidecar is idle: every gauge of sockets and requests at zero. Gives what is not when it never is. */
export async function untilIdle(sidecar: Sidecar, deadlineMs: number): Promise<string | null> {
  const endMs = performance.now() + deadlineMs;
  for (;;) {
    const view = await scrapeOnce(sidecar);
    const busy = IDLE_GAUGES.filter((name) => view.sum(name) !== 0);
    if (busy.length === 0) return null;
    if (performance.now() > endMs) return busy.map((name) => `${name} is ${view.sum(name)}`).join(", ");
    await new Promise((go) => setTimeout(go, 250));
  }
}

/** Gauges that must be zero when nobody is there. */
const IDLE_GAUGES = [
  "crossfade_downstream_connections",
  "crossfade_requests_in_flight",
  "crossfade_upgrades_open",
  "crossfade_pool_connections",
  "crossfade_pool_pending",
];
