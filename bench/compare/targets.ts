import { NATIVE, REFERENCE } from "./contestants.ts";
import type { ClosedRow, CompareReport, MemoryRow, TargetRow } from "./report.ts";

type Measured = Pick<CompareReport, "closed" | "paced" | "memory">;

const MIB = 2 ** 20;

/** Each target of the project beside what this run measured. Ratios are of medians. */
export function targetRows({ closed, paced, memory }: Measured): readonly TargetRow[] {
  const cpu = (load: string, subject: string): number | null => rowOf(closed, load, subject)?.median?.cpuMicros ?? null;
  const against = (load: string, subject: string, base: string): number | null =>
    quotient(cpu(load, subject), cpu(load, base));
  const own = NATIVE.name;
  const pacedOwn = paced.find(({ subject }) => subject === own)?.ratio?.ofMedians ?? null;
  const resident = memory.find(({ subject }) => subject.startsWith(own));
  return [
    ...[REFERENCE.name, "haproxy"].map((base) =>
      atMost(`small GET, CPU against ${base}`, 1.15, "×", against("small", own, base)),
    ),
    ...[REFERENCE.name, "haproxy"].map((base) =>
      atMost(
        `small GET, CPU with pipelining against ${base}`,
        0.85,
        "×",
        against("small", "crossfade-pipelining", base),
      ),
    ),
    atLeast("small GET, CPU of caddy against ours", 4, against("small", "caddy", own)),
    atLeast("small GET, CPU of fast-proxy against ours", 2.5, against("small", "fast-proxy", own)),
    atLeast("small GET, CPU of http-proxy-3 against ours", 9, against("small", "http-proxy-3", own)),
    atMost("POST of 4 KiB, CPU against nginx", 1.2, "×", against("post", own, REFERENCE.name)),
    atMost("answers of 1 MiB, CPU against nginx", 1.5, "×", against("large", own, REFERENCE.name)),
    atMost("p99 at 60 % of own saturation against nginx at the same rate", 1.5, "×", pacedOwn),
    atMost("10 000 routes, CPU against 1 route", 1.1, "×", lastRatio(closed, "routes")),
    atMost("two data threads, CPU against one", 1.05, "×", lastRatio(closed, "threads")),
    atMost("resident, idle", 85, "MiB", mib(resident, "idleBytes")),
    atMost("resident, 1 000 busy connections", 130, "MiB", mib(resident, "busyBytes")),
  ];
}

function atMost(what: string, most: number, unit: string, measured: number | null): TargetRow {
  return { what, target: `≤ ${most} ${unit}`, measured, met: measured === null ? null : measured <= most };
}

function atLeast(what: string, least: number, measured: number | null): TargetRow {
  return { what, target: `≥ ${least} ×`, measured, met: measured === null ? null : measured >= least };
}

function lastRatio(closed: readonly ClosedRow[], load: string): number | null {
  return closed.findLast((row) => row.load === load)?.ratio?.ofMedians ?? null;
}

function rowOf(closed: readonly ClosedRow[], load: string, subject: string): ClosedRow | null {
  return closed.find((row) => row.load === load && row.subject === subject) ?? null;
}

function quotient(value: number | null, base: number | null): number | null {
  return value === null || base === null ? null : value / base;
}

function mib(row: MemoryRow | undefined, key: "idleBytes" | "busyBytes"): number | null {
  return row === undefined ? null : row[key] / MIB;
}
