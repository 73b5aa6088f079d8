import type { ArmLabel } from "./cells.ts";

/**
 * What a counter block counts: one key has one block in every data thread, for as long as the process lives.
 *
 *   thread     block 0 of each data thread: connections, lanes, what was refused before a route
 *   route      one per route name
 *   exchange   one per route × arm × upstream: status codes and the latency histogram
 *   upstream   one per upstream name: pool, failures, time to first byte
 */
export type SeriesKey =
  | { readonly kind: "thread" }
  | { readonly kind: "route"; readonly route: string }
  | { readonly kind: "exchange"; readonly route: string; readonly arm: ArmLabel; readonly upstream: string }
  | { readonly kind: "upstream"; readonly upstream: string };

/** One text per key; equal keys give equal texts and different keys different ones, whatever the names contain. */
export function seriesKeyText(key: SeriesKey): string {
  switch (key.kind) {
    case "thread":
      return "thread";
    case "route":
      return JSON.stringify(["route", key.route]);
    case "exchange":
      return JSON.stringify(["exchange", key.route, key.arm, key.upstream]);
    case "upstream":
      return JSON.stringify(["upstream", key.upstream]);
  }
}
