import { parseArgs } from "node:util";
import { refuse, wholeNumber } from "../arguments.ts";

/** The rows of the table, in the order in which they are measured. */
export const ROWS = ["probe", "open", "fallback", "kill", "trip", "laws", "reuse", "cost", "parts"] as const;

/** One of them. */
export type RowName = (typeof ROWS)[number];

/** How the benchmark is to run. */
export interface ResilienceOptions {
  readonly rows: readonly RowName[];
  /** Of each measurement; the cost has as many sets of fresh processes, its parts a third of that. */
  readonly rounds: number;
  /** Length of one paced measurement. */
  readonly seconds: number;
  /** Results go to bench/results/NAME.json and .md. */
  readonly name: string;
}

const HELP = `usage: npm run bench:resilience -- [options]
  --only A,B        of ${ROWS.join(", ")} (default all)
  --rounds N        measurements of each; the median counts (default 3)
  --seconds N       length of one paced measurement (default 2)
  --name NAME       results go to bench/results/NAME.json and .md (default resilience)
cost and parts need wrk on the PATH.
`;

/** The command line; prints help or what is wrong with it, and ends. */
export function readOptions(): ResilienceOptions {
  const text = { type: "string" } as const;
  const { values } = parseArgs({
    options: {
      help: { type: "boolean", default: false },
      only: text,
      rounds: { ...text, default: "3" },
      seconds: { ...text, default: "2" },
      name: { ...text, default: "resilience" },
    },
  });
  if (values.help) {
    process.stdout.write(HELP);
    process.exit(0);
  }
  if (!/^[\w.-]+$/.test(values.name)) refuse("--name", values.name, "a file name", HELP);
  return {
    rows: rowsFrom(values.only),
    rounds: wholeNumber("--rounds", values.rounds, HELP),
    seconds: wholeNumber("--seconds", values.seconds, HELP),
    name: values.name,
  };
}

function rowsFrom(value: string | undefined): readonly RowName[] {
  if (value === undefined) return ROWS;
  const wanted = value.split(",");
  const unknown = wanted.find((each) => !(ROWS as readonly string[]).includes(each));
  if (unknown !== undefined) refuse("--only", unknown, `one of ${ROWS.join(", ")}`, HELP);
  return ROWS.filter((each) => wanted.includes(each));
}
