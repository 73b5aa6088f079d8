import type { Scrape } from "../../test/support/scrape.ts";
import { STRICT_ROUTES, type Stage } from "./stage.ts";
import { growthOf, quantile, type Resources } from "./vitals.ts";

/** A promise, and whether it was kept. */
export interface Finding {
  readonly promise: string;
  readonly kept: boolean;
  /** What was found. */
  readonly detail: string;
}

/** Everything that was measured in a run. */
export interface Harvest {
  readonly seconds: number;
  readonly before: Scrape;
  readonly after: Scrape;
  /** Gauges that did not come back to zero; null = all did. */
  readonly busy: string | null;
  /** Open file descriptors before and after. */
  readonly files: readonly [number, number];
  readonly resources: readonly [Resources, Resources];
  readonly residentBytes: readonly number[];
  /** Slow clients that held a connection at once. */
  readonly mostSlow: number;
  /** Client connections of all kinds, by the gauge. */
  readonly mostConnections: number;
  readonly scrapes: number;
  readonly rude: ReadonlyMap<string, number>;
  readonly slowEnded: ReadonlyMap<string, number>;
  readonly tunnels: number;
  readonly changes: { readonly reloads: number; readonly splits: number };
}

const MIB = 2 ** 20;
/** Compiled code, counters of routes and the like come with the first requests and stay. */
const MOST_LIVE_GROWTH_MIB = 16;
/** Of the good requests: what may fail without an explanation, and what neighbours may take with them. */
const MOST_UNEXPLAINED = 0.001;
const MOST_BY_NEIGHBOURS = 0.05;
/** Types of resources that would pile up if something were forgotten. */
const COUNTED = ["Timeout", "TCPSocketWrap", "Immediate"];

/** Holds a run against what was promised. */
export function findingsFrom(
  stage: Stage,
  harvest: Harvest,
  mostGrowthMiB: number,
): { readonly findings: readonly Finding[]; readonly table: readonly (readonly [string, string])[] } {
  const findings = [
    noViolations(stage),
    ...answers(stage),
    counters(stage, harvest),
    sockets(harvest),
    files(harvest),
    timers(harvest),
    memory(harvest, mostGrowthMiB),
    liveMemory(harvest),
    slowClients(harvest),
    logs(stage),
  ];
  return { findings, table: tableFrom(stage, harvest) };
}

function noViolations({ ledger }: Stage): Finding {
  const { violationCount, violations, outstanding } = ledger;
  return {
    promise: "every answer is the right one, every client comes to an end, every change is taken",
    kept: violationCount === 0 && outstanding === 0,
    detail: `${violationCount} violations, ${outstanding} requests without an end\n${violations.join("\n")}`.trim(),
  };
}

function answers({ ledger }: Stage): readonly Finding[] {
  const { good, unexplained, neighbour, unexplainedKept } = ledger;
  return [
    {
      promise: "more than 99.9 % of the good requests are answered, but for what the scripted faults explain",
      kept: good > 0 && unexplained <= good * MOST_UNEXPLAINED,
      detail: `${unexplained} of ${good} failed unexplained\n${unexplainedKept.join("\n")}`.trim(),
    },
    {
      promise: "faults take few good requests with them",
      kept: neighbour <= good * MOST_BY_NEIGHBOURS,
      detail: `${neighbour} of ${good}`,
    },
  ];
}

/** On strict routes each ending that a client saw is one exchange, by its status. */
function counters({ ledger }: Stage, { before, after }: Harvest): Finding {
  const wrong: string[] = [];
  for (const route of STRICT_ROUTES.keys()) {
    for (const code of codesOf(route, after, ledger.statuses)) {
      const labels = { route, code };
      const counted = after.sum("crossfade_requests_total", labels) - before.sum("crossfade_requests_total", labels);
      const seen = ledger.statuses.get(`${route} ${code}`) ?? 0;
      if (counted !== seen) wrong.push(`${route} ${code}: counted ${counted}, clients saw ${seen}`);
    }
  }
  return {
    promise: "requests_total grows by what the clients saw",
    kept: wrong.length === 0,
    detail: wrong.join("\n") || "on every strict route, by status",
  };
}

function codesOf(route: string, after: Scrape, statuses: ReadonlyMap<string, number>): readonly string[] {
  const counted = after.samples.filter(({ name, labels }) => {
    return name === "crossfade_requests_total" && labels["route"] === route;
  });
  const seen = [...statuses.keys()].filter((key) => key.startsWith(`${route} `)).map((key) => key.split(" ")[1] ?? "");
  return [...new Set([...counted.map(({ labels }) => labels["code"] ?? ""), ...seen])];
}

function sockets({ busy }: Harvest): Finding {
  return {
    promise: "once the clients are gone, no connection, request or tunnel is left",
    kept: busy === null,
    detail: busy ?? "every gauge is at zero",
  };
}

function files({ files: [before, after] }: Harvest): Finding {
  return {
    promise: "as many files are open as before",
    kept: after <= before,
    detail: `${before} before, ${after} after`,
  };
}

function timers({ resources: [before, after] }: Harvest): Finding {
  const more: string[] = [];
  for (const { thread, active } of after.values()) {
    for (const type of COUNTED) {
      const were = before.get(thread)?.active[type] ?? 0;
      const are = active[type] ?? 0;
      if (are > were + 1) more.push(`${thread}: ${were} ${type} before, ${are} after`);
    }
  }
  const held = [...after.values()].map(({ thread, active }) => `${thread} ${JSON.stringify(active)}`);
  return {
    promise: "no timer or socket is left in any thread",
    kept: more.length === 0 && after.size === before.size,
    detail: (more.length === 0 ? held : more).join("\n"),
  };
}

/** What nobody could free: sharper than the resident set, which also shows the moods of the collector. */
function liveMemory({ resources: [before, after] }: Harvest): Finding {
  const grown = [...after.values()].map(({ thread, liveBytes }) => {
    return { thread, mib: (liveBytes - (before.get(thread)?.liveBytes ?? 0)) / MIB };
  });
  return {
    promise: `once the clients are gone, no thread holds ${MOST_LIVE_GROWTH_MIB} MiB more than before`,
    kept: grown.every(({ mib }) => mib < MOST_LIVE_GROWTH_MIB),
    detail: grown.map(({ thread, mib }) => `${thread} ${mib.toFixed(1)} MiB more`).join(", "),
  };
}

function memory({ residentBytes }: Harvest, mostGrowthMiB: number): Finding {
  const growthMiB = growthOf(residentBytes) / MIB;
  const peakMiB = Math.max(0, ...residentBytes) / MIB;
  return {
    promise: `the resident set grows by at most ${mostGrowthMiB} MiB from the middle third to the last`,
    kept: residentBytes.length >= 9 && growthMiB <= mostGrowthMiB,
    detail: `${growthMiB.toFixed(1)} MiB; median ${(quantile(residentBytes, 0.5) / MIB).toFixed(0)}, peak ${peakMiB.toFixed(0)}`,
  };
}

function slowClients({ mostSlow, mostConnections, slowEnded }: Harvest): Finding {
  const ended = ["head", "sender", "reader"].map((kind) => slowEnded.get(kind) ?? 0);
  return {
    promise: "1 000 slow clients are held at once, and each is ended by a limit",
    kept: mostSlow >= 1_000 && mostConnections >= 1_000 && ended.every((count) => count > 0),
    detail: `at most ${mostSlow} of them, ${mostConnections} connections; ended: ${ended[0]} heads, ${ended[1]} senders, ${ended[2]} readers`,
  };
}

function logs({ sidecar }: Stage): Finding {
  const bad = sidecar.logs.filter(({ level, stderr, raw }) => {
    return level === "error" || level === "fatal" || stderr === true || raw !== undefined;
  });
  return {
    promise: "nothing is logged that should never happen",
    kept: bad.length === 0,
    detail: bad.length === 0 ? `${sidecar.logs.length} records` : bad.slice(0, 10).map(lineOf).join("\n"),
  };
}

function lineOf(record: object): string {
  return JSON.stringify(record);
}

function tableFrom({ ledger, upstreams }: Stage, harvest: Harvest): readonly (readonly [string, string])[] {
  const rude = [...harvest.rude.values()].reduce((sum, count) => sum + count, 0);
  const count = (name: string, labels: Readonly<Record<string, string>> = {}): string =>
    String(harvest.after.sum(name, labels) - harvest.before.sum(name, labels));
  return [
    ["seconds", harvest.seconds.toFixed(0)],
    ["whole answers", String(ledger.whole)],
    ["failures as scripted", String(ledger.own)],
    ["failures by neighbours", String(ledger.neighbour)],
    ["failures unexplained", String(ledger.unexplained)],
    ["exchanges counted", count("crossfade_requests_total")],
    ["of these in the native lane", count("crossfade_lane_total", { lane: "native" })],
    ["of these in the library lane", count("crossfade_lane_total", { lane: "library" })],
    ["retries", count("crossfade_retries_total")],
    ["requests at upstreams", upstreams.map(({ name, requests }) => `${name} ${requests()}`).join(", ")],
    ["client connections", count("crossfade_downstream_connections_accepted_total")],
    ["upstream connections", count("crossfade_pool_opened_total")],
    ["rude clients", String(rude)],
    ["tunnels", String(harvest.tunnels)],
    ["reloads, splits", `${harvest.changes.reloads}, ${harvest.changes.splits}`],
    ["scrapes", String(harvest.scrapes)],
  ];
}
