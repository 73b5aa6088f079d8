/**
 * `npm run endurance`: a whole sidecar between scripted upstreams that fail in every way and clients that are good, slow or
 * rude, for as long as wished. Exit codes: 0, 1 when a promise was not kept, 2 usage.
 */
import { parseArgs } from "node:util";
import { endure } from "./endurance/run.ts";
import { reportLines } from "./endurance/report.ts";

const USAGE = `usage: npm run endurance [-- --minutes N] [--seed N]

  --minutes N   traffic for N minutes (2 to 1440, default 60)
  --seed N      the seed of all chance; a run prints its own
  --help        this text
`;

/** Up to here the resident set has a smaller limit. Below two minutes it is still warming up in the middle third. */
const SHORT_MINUTES = 10;

interface Wish {
  readonly minutes: number;
  readonly seed: number;
}

function wishFrom(args: readonly string[]): Wish | string {
  try {
    const options = { minutes: { type: "string" }, seed: { type: "string" }, help: { type: "boolean" } } as const;
    const { values } = parseArgs({ args: [...args], options });
    if (values.help === true) return "";
    const minutes = Number(values.minutes ?? 60);
    const seed = Number(values.seed ?? Date.now() % 1_000_000);
    if (!(minutes >= 2 && minutes <= 1_440)) return `--minutes: "${values.minutes}" is not a number from 2 to 1440`;
    if (!Number.isSafeInteger(seed)) return `--seed: "${values.seed}" is not a whole number`;
    return { minutes, seed };
  } catch (error) {
    return (error as Error).message;
  }
}

async function main(): Promise<number> {
  const wish = wishFrom(process.argv.slice(2));
  if (typeof wish === "string") {
    const out = wish === "" ? process.stdout : process.stderr;
    out.write(wish === "" ? USAGE : `endurance: ${wish}\n\n${USAGE}`);
    return wish === "" ? 0 : 2;
  }
  const say = (line: string): void => void process.stdout.write(`${line}\n`);
  say(`endurance: ${wish.minutes} minutes of traffic, seed ${wish.seed}`);
  const interrupted = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => interrupted.abort());
  const result = await endure({
    trafficMs: wish.minutes * 60_000,
    seed: wish.seed,
    mostGrowthMiB: wish.minutes < SHORT_MINUTES ? 8 : 16,
    onProgress: say,
    signal: interrupted.signal,
  });
  for (const line of reportLines(result, wish.seed)) say(line);
  return result.findings.every(({ kept }) => kept) ? 0 : 1;
}

process.exitCode = await main();
process.exit();
