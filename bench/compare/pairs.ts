import type { Contestant, Place, Subject } from "../contestant.ts";
import { crossfade } from "../servers/crossfade.ts";
import { closedRows } from "./closed.ts";
import type { ClosedRow } from "./report.ts";
import type { ClosedLoad, InTurn } from "./rounds.ts";

const ROUTES = 10_000;
const PREFIXES = Array.from({ length: ROUTES }, (_, index) => `/route-${String(index).padStart(5, "0")}/`);

/** Where requests of the routes load go: the last of the routes. */
export const LAST_ROUTE_PATH = `${PREFIXES[ROUTES - 1] ?? ""}x`;

/** The same sidecar with 1 route and with 10 000, asked for the same path. */
export const ROUTES_PAIR = [
  crossfade({ name: "crossfade-native, 1 route", engine: "native", prefixes: PREFIXES.slice(-1) }),
  crossfade({ name: "crossfade-native, 10 000 routes", engine: "native", prefixes: PREFIXES }),
] as const;

/** The same sidecar with one data thread and with two, neither held to one core. */
export const THREADS_PAIR = [
  crossfade({ name: "crossfade-native, 1 thread", engine: "native", threads: 1 }),
  crossfade({ name: "crossfade-native, 2 threads", engine: "native", threads: 2 }),
] as const;

/** Starts both of a pair, measures them in turn and stops them; the first is the reference of the second. */
export async function pairRows(
  pair: readonly [Contestant, Contestant],
  load: ClosedLoad,
  place: Place,
  inTurn: InTurn,
): Promise<readonly ClosedRow[]> {
  const subjects: Subject[] = [];
  try {
    for (const each of pair) subjects.push(await each.start(place));
    return await closedRows(load, "request", subjects, pair[0].name, inTurn);
  } finally {
    for (const each of subjects) await each.stop();
  }
}
