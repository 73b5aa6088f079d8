import { parseArgs } from "node:util";
import { refuse, wholeNumber } from "../arguments.ts";
import { findProgram } from "../processes.ts";
import type { UpstreamKind } from "../upstreams.ts";
import { CONTESTANTS } from "./contestants.ts";

/** The loads of the comparison, in the order in which they run. */
export const LOADS = ["small", "post", "large", "paced", "routes", "threads", "memory"] as const;

/** One of them. */
export type LoadName = (typeof LOADS)[number];

/** How the comparison is to run. */
export interface CompareOptions {
  readonly loads: readonly LoadName[];
  /** Names of contestants; null = all. */
  readonly only: readonly string[] | null;
  readonly upstream: UpstreamKind;
  readonly rounds: number;
  /** Length of one measurement. */
  readonly seconds: number;
  /** Length of the load before the first measurement of each kind. */
  readonly warmUpSeconds: number;
  /** Results go to bench/results/NAME.json, .md and .svg. */
  readonly name: string;
}

const HELP = `usage: npm run bench:compare -- [options]
  --loads A,B       of ${LOADS.join(", ")} (default all)
  --only A,B        of ${CONTESTANTS.map(({ name }) => name).join(", ")}
                    (default all that are there)
  --upstream KIND   nginx or bundled: what answers behind (default nginx where it is on the PATH)
  --rounds N        measurements of each; the median counts (default 5)
  --seconds N       length of one measurement (default 3)
  --quick           2 rounds of 1 s after 1 s of warming up: to see that it runs, not to quote
  --name NAME       results go to bench/results/NAME.json, .md and .svg (default compare)
Needs wrk on the PATH.
`;

/** The command line; prints help or what is wrong with it, and ends. */
export function readOptions(): CompareOptions {
  const text = { type: "string" } as const;
  const flag = { type: "boolean", default: false } as const;
  const { values } = parseArgs({
    options: {
      help: flag,
      quick: flag,
      loads: text,
      only: text,
      upstream: text,
      rounds: text,
      seconds: text,
      name: text,
    },
  });
  if (values.help) {
    process.stdout.write(HELP);
    process.exit(0);
  }
  if (values.name !== undefined && !/^[\w.-]+$/.test(values.name)) refuse("--name", values.name, "a file name", HELP);
  const { quick } = values;
  return {
    loads: loadsFrom(values.loads),
    only: values.only === undefined ? null : namesFrom(values.only),
    upstream: upstreamFrom(values.upstream),
    rounds: wholeNumber("--rounds", values.rounds ?? (quick ? "2" : "5"), HELP),
    seconds: wholeNumber("--seconds", values.seconds ?? (quick ? "1" : "3"), HELP),
    warmUpSeconds: quick ? 1 : 3,
    name: values.name ?? "compare",
  };
}

function loadsFrom(value: string | undefined): readonly LoadName[] {
  if (value === undefined) return LOADS;
  const wanted = value.split(",");
  const unknown = wanted.find((each) => !(LOADS as readonly string[]).includes(each));
  if (unknown !== undefined) refuse("--loads", unknown, `one of ${LOADS.join(", ")}`, HELP);
  return LOADS.filter((each) => wanted.includes(each));
}

function namesFrom(value: string): readonly string[] {
  const known = CONTESTANTS.map(({ name }) => name);
  const wanted = value.split(",");
  const unknown = wanted.find((each) => !known.includes(each));
  if (unknown !== undefined) refuse("--only", unknown, `one of ${known.join(", ")}`, HELP);
  return wanted;
}

function upstreamFrom(value: string | undefined): UpstreamKind {
  if (value === undefined) return findProgram("nginx") === null ? "bundled" : "nginx";
  if (value !== "nginx" && value !== "bundled") refuse("--upstream", value, "nginx or bundled", HELP);
  return value;
}
